"""Posture in, plan out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import Change, ClusterPlan, FleetPlan, plan_cluster
from aks_entra.core.planning.prover import Prover, ProverSpec
from aks_entra.core.planning.rollout import MemberGroup, Stage
from aks_entra.core.steps import Guarded, RotateCertificates, consequence
from aks_entra.core.target import AzureRbac, GroupTarget, Keep, LocalAccounts, RotationPolicy, Target
from tests.support.access_cases import POSTURE
from tests.support.cases import ADMINS, CREATE, DENIES, OLD_CA, OTHERS, SHUT, TENANT, facts, managed, posture, target
from tests.support.golden_files import approved, brief
from tests.support.golden_lines import plan_lines
from tests.support.rollouts import fleet_of

if TYPE_CHECKING:
    from collections.abc import Iterator


KEEP = target(keep=Keep.DENY)
CLOSE = ["prove-sign-in", "record-baseline", "disable-local-accounts", "rotate-certificates", "verify-outcome"]
GONE = OldCredentials(debt=Debt.NONE, because="rotated")


@pytest.mark.parametrize(
    ("before", "wanted", "old", "kinds"),
    [
        pytest.param(posture(), target(), None, ["enable-entra", *CLOSE], id="no Entra"),
        pytest.param(posture(identity="legacy"), target(), None, ["enable-entra", *CLOSE], id="legacy"),
        pytest.param(posture(), target(CREATE), None, ["ensure-admin-group", "enable-entra", *CLOSE], id="new group"),
        pytest.param(managed(), target(), None, CLOSE, id="managed, accounts on"),
        pytest.param(
            managed(admin_group_ids=(OTHERS,)), target(), None, ["update-entra", *CLOSE], id="managed, other group"
        ),
        pytest.param(
            managed(), target(CREATE), None, ["ensure-admin-group", "update-entra", *CLOSE], id="managed, new group"
        ),
        pytest.param(managed(), target(azure_rbac=AzureRbac.ON), None, ["update-entra", *CLOSE], id="Azure RBAC on"),
        pytest.param(
            managed(local_accounts=False),
            target(),
            OldCredentials(debt=Debt.OWED, because="open once"),
            ["prove-sign-in", "record-baseline", "rotate-certificates", "verify-outcome"],
            id="closed, owed",
        ),
        pytest.param(managed(local_accounts=False), target(), GONE, [], id="finished"),
        pytest.param(managed(), KEEP, None, [*CLOSE, "assign-deny-policy"], id="kept off"),
        pytest.param(
            managed(local_accounts=False), KEEP, GONE, ["verify-outcome", "assign-deny-policy"], id="finished, kept off"
        ),
        pytest.param(
            managed(),
            replace(KEEP, rotation=RotationPolicy.LATER),
            None,
            ["prove-sign-in", "record-baseline", "disable-local-accounts", "verify-outcome"],
            id="kept off after the rotation, which is later",
        ),
        pytest.param(
            managed(),
            target(rotation=RotationPolicy.LATER),
            None,
            ["prove-sign-in", "record-baseline", "disable-local-accounts", "verify-outcome"],
            id="rotation later",
        ),
        pytest.param(
            posture(),
            target(local_accounts=LocalAccounts.KEEP),
            None,
            ["enable-entra", "prove-sign-in", "verify-outcome"],
            id="accounts kept",
        ),
        pytest.param(managed(), target(local_accounts=LocalAccounts.KEEP), None, [], id="kept, nothing to do"),
        pytest.param(
            managed(local_accounts=False),
            Target(tenant_id=TENANT, local_accounts=LocalAccounts.KEEP),
            None,
            ["prove-sign-in", "record-baseline", "rotate-certificates", "verify-outcome"],
            id="closed already, kept so",
        ),
    ],
)
def test_steps(before: Posture, wanted: Target, old: OldCredentials | None, kinds: list[str]) -> None:
    known = facts(old_credentials=old) if old else facts()
    plan = plan_cluster(before, wanted, known)
    assert [step.kind for step in plan.steps] == kinds
    assert plan.disposition == ("migrate" if kinds else "nothing to do")
    assert (plan.rotates is not None) == ("rotate-certificates" in kinds)


def test_own_groups_stay_and_come_first() -> None:
    wanted = target(GroupTarget(display_name="", id=ADMINS.upper()), CREATE)
    plan = plan_cluster(managed(admin_group_ids=(OTHERS.upper(),)), wanted, facts())
    update = next(step for step in plan.steps if step.kind == "update-entra")
    assert update.admin_groups == (OTHERS, ADMINS, CREATE.reference)


@pytest.mark.parametrize(("rbac", "sent"), [(AzureRbac.KEEP, None), (AzureRbac.ON, True), (AzureRbac.OFF, False)])
def test_azure_rbac_is_sent_only_when_asked_for(rbac: AzureRbac, sent: object) -> None:
    plan = plan_cluster(posture(), target(azure_rbac=rbac), facts())
    enable = next(step for step in plan.steps if step.kind == "enable-entra")
    assert enable.azure_rbac is sent


def test_dispositions() -> None:
    stopped = plan_cluster(managed(power_state="Stopped"), target(), facts())
    assert stopped.disposition == "skipped"
    refused = plan_cluster(posture(kubernetes_rbac=False), target(), facts())
    assert refused.disposition == "refused"
    going = plan_cluster(managed(), target(), facts())
    fleet = fleet_of(stopped, refused, going)
    assert fleet.step_count == len(going.steps)
    other_case = ClusterId.parse(going.cluster.resource_id.upper())
    assert fleet.plan_for(other_case) is stopped  # the first of the three: all are one cluster here
    with pytest.raises(KeyError):
        fleet.plan_for(ClusterId(subscription_id="s", resource_group="g", name="n"))
    assert Prover(object_id="p").secret_from is None


def test_consequences() -> None:
    """What is one-way, what interrupts, what can be taken back."""
    plan = plan_cluster(posture(identity="legacy", tier="Free"), target(CREATE), facts())
    told = {step.kind: consequence(step, tier="Free") for step in plan.steps}
    assert told["enable-entra"].one_way
    assert "API server" in told["enable-entra"].interruption
    legacy = next(step for step in plan.steps if step.kind == "enable-entra")
    assert consequence(legacy).interruption == ""
    assert told["disable-local-accounts"].reversible
    assert told["rotate-certificates"].one_way
    assert "30 min" in told["rotate-certificates"].interruption
    for kind in ("ensure-admin-group", "prove-sign-in", "record-baseline", "verify-outcome"):
        assert told[kind] == consequence(plan.steps[-1])
    enable = next(step for step in plan_cluster(posture(), target(), facts()).steps if step.kind == "enable-entra")
    assert consequence(enable).one_way
    update = next(
        step for step in plan_cluster(managed(), target(CREATE), facts()).steps if step.kind == "update-entra"
    )
    assert consequence(update).reversible


def test_the_rotation_names_the_ca_it_replaces() -> None:
    plan = plan_cluster(managed(), target(), facts())
    assert plan.rotates == RotateCertificates(ca_before=OLD_CA.fingerprint)


LONELY = plan_cluster(managed(), target(), facts())


class Counted(tuple[ClusterPlan, ...]):
    """Clusters of a plan that count how often they are gone through."""

    __slots__ = ()
    walks = 0

    def __iter__(self) -> Iterator[ClusterPlan]:
        Counted.walks += 1
        return super().__iter__()


def test_a_digest_is_computed_once_however_often_it_is_asked_for() -> None:
    plan = replace(fleet_of(plan_cluster(managed(), target(), facts())), clusters=Counted((LONELY,)))
    Counted.walks = 0
    digests = {plan.digest for _ in range(1_000)}
    assert (len(digests), Counted.walks) == (1, 1)
    facts_digests = {plan.facts_digest for _ in range(1_000)}
    walked = Counted.walks
    assert len(facts_digests) == 1
    assert {plan.facts_digest for _ in range(1_000)} == facts_digests
    assert Counted.walks == walked
    assert replace(plan, ticket_required=True).digest not in digests
    assert replace(plan, ticket_required=True).plan_for(LONELY.cluster) is LONELY


def test_doors_that_must_be_closed_are_under_the_digest_of_a_plan() -> None:
    asked = target(doors=("node-ssh",))
    assert asked.bound()["doors"] == ("node-ssh",)
    assert "doors" not in target().bound()


def test_what_a_person_reads_is_under_a_digest_of_its_own() -> None:
    plan = fleet_of(plan_cluster(managed(), target(), facts()))
    [cluster] = plan.clusters
    for changed in (
        replace(plan, clusters=(replace(cluster, findings=()),)),
        replace(plan, clusters=(replace(cluster, debt_because="nobody ever had one"),)),
        replace(plan, changes=(Change(cluster="a/b", differences=("c",)),)),
        replace(plan, created_at="2020-01-01T00:00:00Z"),
        replace(plan, unsealed=True),
    ):
        assert changed != plan
        assert changed.digest == plan.digest
        assert changed.facts_digest != plan.facts_digest
    assert replace(plan, ticket_required=True).facts_digest != plan.facts_digest


def test_golden_plans() -> None:
    befores = (
        posture(),
        posture(identity=Identity.LEGACY),
        managed(),
        SHUT,
        managed(azure_rbac=True, ca=None),
    )
    targets = (
        target(),
        target(CREATE, azure_rbac=AzureRbac.ON, rotation=RotationPolicy.LATER),
        target(local_accounts=LocalAccounts.KEEP, azure_rbac=AzureRbac.OFF),
    )
    approved(
        "plans",
        [
            (f"{brief(Guarded.of(before))} · to · {brief(wanted)}", plan_lines(plan_cluster(before, wanted, facts())))
            for before in befores
            for wanted in targets
        ],
    )


def test_the_prover_as_the_wiring_wants_it() -> None:
    assert Prover(object_id="p").spec is None
    assert Prover(object_id="p", client_id="c", tenant_id="t").spec is None
    assert Prover(object_id="p", client_id="c", tenant_id="t", secret_from="S").spec == ProverSpec(
        client_id="c", tenant_id="t", secret_from="S"
    )


@pytest.mark.parametrize("missing", ["client_id", "tenant_id", "secret_from"])
def test_a_prover_of_its_own_is_named_whole(missing: str) -> None:
    whole: dict[str, Any] = {"client_id": "c", "tenant_id": "t", "secret_from": "SECRET"}
    assert Prover(object_id="o", **whole).spec == ProverSpec(**whole)
    assert Prover(object_id="o", **{**whole, missing: None}).spec is None


KINDS = (
    ProverSpec(client_id="c", tenant_id="t", secret_from="SECRET"),
    ProverSpec(client_id="c", tenant_id="t", certificate_path="/prover.pem"),
    ProverSpec(client_id="c", tenant_id="t", token_file="/token"),
    ProverSpec(client_id="c", managed_identity=True),
    ProverSpec(managed_identity=True),
)


def test_each_kind_of_credential_of_a_prover_is_in_the_plan_and_its_digest() -> None:
    provers = [Prover.of("o", spec) for spec in KINDS]
    assert tuple(prover.spec for prover in provers) == KINDS
    assert len({str(prover.bound()) for prover in provers}) == len(KINDS)
    assert Prover.of("o", None) == Prover(object_id="o")
    earlier = {"object_id": "o", "client_id": None, "tenant_id": None, "secret_from": None}
    assert Prover(object_id="o").bound() == earlier, "plans of earlier versions keep their digests"


NORTH, SOUTH, HERE = (replace(POSTURE.cluster, name=name) for name in ("north", "south", "here"))


def split() -> FleetPlan:
    other = Prover.of("other", KINDS[3])
    groups = (
        MemberGroup(name="a", members=(NORTH,), work_queue="north"),
        MemberGroup(name="b", members=(SOUTH,), prover=other),
    )
    stage = Stage(name="all", groups=groups)
    return FleetPlan(name="p", created_at="", prover=Prover(object_id="o"), clusters=(), stages=(stage,))


def test_each_cluster_is_proven_by_the_prover_of_its_group_on_its_work_queue() -> None:
    plan = split()
    assert [plan.prover_of(one).object_id for one in (NORTH, SOUTH, HERE)] == ["o", "other", "o"]
    groups = plan.groups_of((HERE, SOUTH, NORTH))
    assert [(one.work_queue, one.members) for one in groups] == [("", (HERE,)), ("", (SOUTH,)), ("north", (NORTH,))]
    assert plan.groups_of(()) == ()


def test_a_digest_covers_work_queues_and_provers_of_groups() -> None:
    plan = split()
    (stage,) = plan.stages
    alike = [
        replace(stage, groups=tuple(replace(group, **changed) for group in stage.groups))
        for changed in ({"work_queue": ""}, {"prover": None}, {})
    ]
    assert len({replace(plan, stages=(one,)).digest for one in alike}) == 3


def test_a_cluster_that_is_in_no_plan_is_named() -> None:
    plan = FleetPlan(name="p", created_at="", prover=Prover(object_id="o"), clusters=(), stages=())
    with pytest.raises(KeyError, match="managedclusters/shop-01"):
        plan.plan_for(POSTURE.cluster)


def test_nothing_is_assigned_where_a_policy_denies_local_accounts_already() -> None:
    assert plan_cluster(SHUT, KEEP, facts(old_credentials=GONE, policies=(DENIES,))).steps == ()
    audits = replace(DENIES, effect="Audit")
    unread = facts(old_credentials=GONE, policies=None)
    for known in (facts(old_credentials=GONE, policies=(audits,)), unread):
        assert [step.kind for step in plan_cluster(SHUT, KEEP, known).steps] == ["verify-outcome", "assign-deny-policy"]


def test_keep_is_part_of_the_digest_and_an_earlier_target_keeps_its_own() -> None:
    assert "keep" not in target().bound()
    assert KEEP.bound()["keep"] == "deny"
