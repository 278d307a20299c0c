"""What holds for every plan, whatever cluster, target and surroundings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aks_entra.core.cluster import CertificateAuthority, Identity, Posture
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan, Moved, plan_cluster, remaining
from aks_entra.core.planning.prover import Prover
from aks_entra.core.preflight import Facts, Finding, GroupFacts, Severity
from aks_entra.core.steps import (
    ROTATED,
    DisableLocalAccounts,
    EnsureAdminGroup,
    Guarded,
    ProveSignIn,
    RecordBaseline,
    RotateCertificates,
    VerifyOutcome,
    writes,
)
from aks_entra.core.target import AzureRbac, RotationPolicy, Target
from aks_entra.documents import dump_plan, load_plan, pack, unpack
from tests.support.cases import ADMINS, CREATE, NEW_CA, OTHERS, SHOP, any_facts, facts, postures, targets
from tests.support.examples import times
from tests.support.migrated_clusters import GROUPS, migrated, reopens
from tests.support.rollouts import fleet_of


def admits(plan: ClusterPlan, groups: tuple[str, ...], facts: Facts, *, azure_rbac: bool) -> bool:
    """Whether somebody may sign in with Microsoft Entra ID by these admin groups."""
    living = {
        group.id.lower()
        for group in facts.groups
        if group.exists
        and group.deleted_on is None
        and group.security_enabled
        and (group.members != 0 or group.eligible != 0)
    }
    created = {group.reference for group in plan.target.admin_groups if group.id is None}
    by_role = azure_rbac and bool(facts.prover_is_cluster_admin)
    return by_role or any(name.lower() in living or name in created for name in groups)


@times(2)
@given(posture=postures(), target=targets(), facts=any_facts())
def test_no_prefix_of_any_plan_locks_everybody_out(posture: Posture, target: Target, facts: Facts) -> None:
    plan = plan_cluster(posture, target, facts)
    assume(plan.disposition == "migrate")
    state, proven, held = plan.before, False, False
    for step in plan.steps:
        if isinstance(step, ProveSignIn):
            proven = True
        if isinstance(step, RecordBaseline):
            held = True
        if isinstance(step, DisableLocalAccounts | RotateCertificates):
            assert proven, "nothing is closed before sign-in was proven"
            assert held, "nothing is closed before the baseline"
            assert reopens(facts), "the way back is open"
        if isinstance(step, RotateCertificates):
            assert facts.home is None or not facts.home.in_cluster, "we never saw off our own branch"
        if isinstance(step, RotateCertificates):
            assert not state.local_accounts, "rotation is the last to close"
        state = state.after(step)
        if isinstance(step, DisableLocalAccounts):
            assert state.identity is Identity.MANAGED
            assert admits(plan, state.admin_groups, facts, azure_rbac=state.azure_rbac)
        if not state.local_accounts and posture.local_accounts:
            assert admits(plan, state.admin_groups, facts, azure_rbac=state.azure_rbac)
    assert isinstance(plan.steps[-1], VerifyOutcome)
    assert set(plan.before.admin_groups) <= set(state.admin_groups) or posture.identity is not Identity.MANAGED


@given(posture=postures(), target=targets(), facts=any_facts())
def test_planning_a_migrated_cluster_is_empty(posture: Posture, target: Target, facts: Facts) -> None:
    plan = plan_cluster(posture, target, facts)
    exists_by_now = tuple(replace(group, id=group.id or GROUPS[group.reference]) for group in target.admin_groups)
    debt = Debt.NONE if plan.rotates else facts.old_credentials.debt
    known = replace(facts, old_credentials=OldCredentials(debt=debt, because="rotated"))

    again = plan_cluster(migrated(posture, plan), replace(target, admin_groups=exists_by_now), known)

    assert again.steps == ()


@given(posture=postures(), target=targets(), facts=any_facts(), other_writer=st.booleans())
def test_what_remains_after_each_write_is_the_rest(
    posture: Posture, target: Target, facts: Facts, *, other_writer: bool
) -> None:
    plan = plan_cluster(posture, target, facts)
    state = plan.before
    assert remaining(plan, state, {}) == plan.steps
    assert remaining(plan, state, GROUPS) == plan.steps
    for index, step in enumerate(plan.steps):
        state = state.after(step).resolved(GROUPS)
        if not writes(step):
            continue
        now = replace(state, ca=NEW_CA.fingerprint if state.ca == ROTATED else state.ca)
        assert remaining(plan, now, GROUPS) == plan.steps[index + 1 :]
        if other_writer:
            moved = remaining(plan, replace(now, kubernetes_rbac=not now.kubernetes_rbac), GROUPS)
            assert isinstance(moved, Moved)
            assert any("Kubernetes RBAC" in text for text in moved.differences)


@given(posture=postures(), target=targets(), facts=any_facts())
def test_a_plan_comes_back_from_its_document(posture: Posture, target: Target, facts: Facts) -> None:
    plan = fleet_of(plan_cluster(posture, target, facts))
    text = dump_plan(plan)
    assert load_plan(text) == plan
    assert unpack(pack(text)) == text
    assert pack(text) == pack(text)


@given(posture=postures(), target=targets(), facts=any_facts(), message=st.text())
def test_the_digest_does_not_drift(posture: Posture, target: Target, facts: Facts, message: str) -> None:
    one = plan_cluster(posture, target, facts)
    plan = fleet_of(one)
    finding = Finding(rule="W199", severity=Severity.WARNING, message=message)
    shouting = replace(SHOP, resource_group=SHOP.resource_group.upper(), name=SHOP.name.upper())
    other = replace(one, findings=(*one.findings, finding), tier="Premium", debt_because=message, cluster=shouting)

    assert replace(fleet_of(other), created_at="2027-01-01T00:00:00Z").digest == plan.digest
    assert plan.digest.startswith("sha256:")


@pytest.mark.parametrize(
    "other",
    [
        {"target": Target(tenant_id="another")},
        {"before": Guarded.of(Posture(cluster=SHOP))},
        {"steps": ()},
        {"stopped": True},
        {"debt": Debt.NONE},
        {"cluster": replace(SHOP, name="shop-02")},
    ],
)
def test_the_digest_binds(other: dict[str, object]) -> None:
    posture = Posture(cluster=SHOP, ca=CertificateAuthority(fingerprint="aa", not_before=""))
    one = plan_cluster(posture, Target(tenant_id="t", admin_groups=(CREATE,)), facts())
    assert replace(fleet_of(one), clusters=(replace(one, **other),)).digest != fleet_of(one).digest  # type: ignore[arg-type]  # the table's own types


def test_the_digest_binds_order_and_prover() -> None:
    one = fleet_of(plan_cluster(Posture(cluster=SHOP), Target(tenant_id="t"), facts()))
    assert replace(one, prover=Prover(object_id="q")).digest != one.digest
    assert replace(one, stages=(replace(one.stages[0], max_concurrency=1),)).digest != one.digest
    assert replace(one, stages=(replace(one.stages[0], groups=()),)).digest != one.digest


def test_a_created_group_stands_in_every_plan_that_needs_it_once() -> None:
    posture = Posture(cluster=SHOP, identity=Identity.MANAGED, admin_group_ids=(OTHERS, ADMINS))
    target = Target(
        tenant_id="t", admin_groups=(CREATE, CREATE), azure_rbac=AzureRbac.KEEP, rotation=RotationPolicy.LATER
    )
    steps = plan_cluster(posture, target, facts(groups=(GroupFacts(id=ADMINS),))).steps
    assert [step.group for step in steps if isinstance(step, EnsureAdminGroup)] == [CREATE]
