"""Plans of a fleet: what they cost, what they contain, what is refused."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.evidence.observations import Credential, CredentialTried, Moment
from aks_entra.core.planning.fleet import Fleet, GroupSpec, ReadAs, StageSpec
from aks_entra.core.planning.parts import FleetPart
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover, ProverSpec
from aks_entra.core.preflight import Severity, Skip
from aks_entra.core.preflight.audit_callers import AuditedCallers, Call, who_breaks
from aks_entra.core.rollout.own_calls import OwnCall
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.planning.audit_logs import OwnCalls
from aks_entra.planning.planner import plan_fleet
from tests.support.cases import INSIDE
from tests.support.memory_fleets import GROUPED, WHOLE, fleet_world, planned, rows
from tests.support.memory_model import PROVER, TENANT
from tests.support.memory_ports import World


async def test_an_empty_subscription() -> None:
    assert await rows(World()) == ()
    with pytest.raises(Refused, match="`clusters`: there is no cluster"):
        await planned(World())


async def test_a_plan_of_a_fleet() -> None:
    world = fleet_world(2)
    world.add("shop-03", kubernetes_rbac=False, fqdn="3.azmk8s.io")
    world.add("shop-04", power_state="Stopped", fqdn="4.azmk8s.io")
    told: list[tuple[int, int, str]] = []
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED)

    plan = await plan_fleet(
        world.process().ports, fleet, (), on_progress=lambda done, total, what: told.append((done, total, what))
    )

    assert [one.disposition for one in plan.clusters] == ["migrate", "migrate", "refused", "skipped"]
    assert plan.created_at == "2026-11-24T08:00:00.000Z"
    assert plan.prover.object_id == PROVER
    assert plan.clusters[0].target.tenant_id == TENANT
    assert [done for done, _, _ in told] == [1, 2, 3, 4]
    assert {total for _, total, _ in told} == {4}
    assert world.writes == []
    assert world.calls.count("arm.tenant_of") == 1
    again = await plan_fleet(world.process().ports, fleet, ())
    assert again.digest == plan.digest


async def test_throttling_is_waited_out() -> None:
    world = fleet_world(1)
    for name in ("arm.list_clusters", "arm.certificate_authority", "arm.locks", "directory.group", "arm.tenant_of"):
        world.faults[name] = [TryLater("throttled", after=20)]
    plan = await planned(world)
    assert plan.clusters[0].disposition == "migrate"
    assert world.consumed()


async def test_missing_rights_of_the_steps() -> None:
    world = fleet_world(1)
    world.missing_permissions = ("Microsoft.ContainerService/managedClusters/rotateClusterCertificates/action",)
    plan = await planned(world)
    assert [finding.message for finding in plan.clusters[0].blockers] == [
        "the runner lacks Microsoft.ContainerService/managedClusters/rotateClusterCertificates/action"
    ]


async def test_an_api_server_that_does_not_answer() -> None:
    world = fleet_world(1)
    (cluster,) = world.clusters.values()
    cluster.reachable = False
    plan = await planned(world)
    assert [finding.rule for finding in plan.clusters[0].blockers] == ["B013"]


async def test_a_rollout_that_leaves_clusters_out_is_refused() -> None:
    stages = (StageSpec(name="canary", groups=(GroupSpec(name="a", clusters=("shop-01",)),)),)
    with pytest.raises(Refused, match="`rollout`: no group of the rollout takes shop-weu/shop-02"):
        await planned(fleet_world(2), stages=stages)


async def test_another_prover_is_named_without_its_secret() -> None:
    plan = await planned(fleet_world(1), prover=ProverSpec(client_id="c", tenant_id="t", secret_from="PROVER_SECRET"))
    assert (plan.prover.client_id, plan.prover.tenant_id, plan.prover.secret_from) == ("c", "t", "PROVER_SECRET")


async def test_a_credential_that_is_refused_stops_at_once() -> None:
    world = fleet_world(1)
    world.faults["callers.runner"] = [Refused("expired", code="AADSTS7000222")]
    with pytest.raises(Refused, match="expired"):
        await planned(world)
    assert world.calls == ["callers.runner"]


async def test_one_clusters_error_is_one_error() -> None:
    world = fleet_world(3)
    world.faults["arm.tenant_of"] = [Rejected("gone", status=410)]
    with pytest.raises(AksEntraError, match="gone"):
        await planned(world)


async def test_a_skipped_rule_stands_in_plan_and_digest() -> None:
    world = fleet_world(1)
    plan = await planned(world)
    skipped = await planned(world, skip_rules=(Skip(rule="W103", reason="CHG-1042"),))
    other = await planned(world, skip_rules=(Skip(rule="W103", reason="CHG-1043"),))
    assert skipped.skip_rules == (Skip(rule="W103", reason="CHG-1042"),)
    assert len({plan.digest, skipped.digest, other.digest}) == 3
    finding = next(one for one in skipped.clusters[0].findings if one.rule == "W103")
    assert (finding.severity, finding.message[:18]) == (Severity.INFO, "skipped (CHG-1042)")
    with pytest.raises(Refused, match="keeps a way in open"):
        await planned(world, skip_rules=(Skip(rule="B009", reason="CHG-1042"),))


QUIET_LOG = AuditedCallers(since="2026-11-01", until="2026-11-24", events=7, complete=True)


@pytest.mark.parametrize(("count", "name"), [(1, ""), (2, "shop-weu/shop-01")])
async def test_an_audit_log_belongs_to_the_cluster_that_it_names_or_to_the_only_one(count: int, name: str) -> None:
    world = fleet_world(count)
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED)
    ports = world.process().ports
    plan = await plan_fleet(ports, fleet, (), callers={name: QUIET_LOG})
    assert "I120" in {finding.rule for finding in plan.clusters[0].findings}
    assert all("U120" in {finding.rule for finding in one.findings} for one in plan.clusters[1:])
    by_id = await plan_fleet(ports, fleet, (), callers={plan.clusters[0].cluster.key: QUIET_LOG})
    assert by_id.clusters[0].findings == plan.clusters[0].findings


async def test_who_will_break_does_not_count_what_this_program_called_itself_and_recorded() -> None:
    at = ("2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z", "2026-11-24T08:00:00Z", "2026-11-24T08:00:00Z")
    calls = [
        Call(username="masterclient", groups=("system:masters",), verb="list", user_agent="aks-entra/1", at=one)
        for one in at
    ]
    log = who_breaks([*calls, replace(calls[0], user_agent="helm/3.14")])
    tried = CredentialTried(at=at[0], credential=Credential.STATIC_TOKEN, moment=Moment.BEFORE, status=200, ca="")
    world, asked = fleet_world(1), list[object]()
    (one,) = world.clusters.values()
    one.identity, one.inside = Identity.NONE, replace(INSIDE, requests=2)
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED, read=ReadAs.ADMIN_CREDENTIAL)

    async def recorded(clusters: Collection[ClusterId]) -> dict[str, tuple[OwnCall, ...]]:
        asked.append(clusters)
        return {cluster.key: (tried,) for cluster in clusters}

    async def lost(_: Collection[ClusterId]) -> dict[str, tuple[OwnCall, ...]]:
        raise Refused("Prefect's server does not answer")

    async def said(own_calls: OwnCalls | None) -> list[str]:
        assert log is not None
        plan = await plan_fleet(world.process().ports, fleet, (), callers={"": log}, own_calls=own_calls)
        return [it.message for it in plan.clusters[0].findings if it.rule in {"W120", "I120"}]

    ours, helm, own = await said(recorded)
    assert "helm/3.14" in helm
    assert "1 request by masterclient" in ours
    assert "it calls itself aks-entra, and no evidence here recorded these requests" in ours
    assert own.endswith("3 of aks-entra's own requests, which its evidence recorded, do not count")
    assert asked == [(one.id,)]
    for nobody in (None, lost):
        unrecorded = await said(nobody)
        assert any("2 requests by masterclient" in text and "aks-entra/1" in text for text in unrecorded), unrecorded


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "which of the 2 clusters"),
        ("shop-weu/shop-99", "the fleet has no cluster shop-weu/shop-99"),
        ("/subscriptions/x/resourcegroups/y", "it is about /subscriptions/x/resourcegroups/y, and about no cluster"),
    ],
)
async def test_an_audit_log_of_nobody_is_refused(name: str, message: str) -> None:
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED)
    with pytest.raises(Refused, match=message):
        await plan_fleet(fleet_world(2).process().ports, fleet, (), callers={name: QUIET_LOG})


async def test_a_log_of_nobody_never_takes_the_place_of_the_clusters_own() -> None:
    ports, fleet = fleet_world(1).process().ports, Fleet(name="prod", selectors=(WHOLE,), target=GROUPED)
    plan = await plan_fleet(ports, fleet, ())
    both = {plan.clusters[0].cluster.key: QUIET_LOG, "": QUIET_LOG}
    with pytest.raises(Refused, match="some entries name their cluster, and others do not"):
        await plan_fleet(ports, fleet, (), callers=both)


NORTH = StageSpec(
    name="all",
    groups=(GroupSpec(name="far", clusters=("shop-01",), work_queue="north"), GroupSpec(name="near", rest=True)),
)


async def test_a_part_is_planned_elsewhere_and_the_plan_is_one() -> None:
    world, asked = fleet_world(2), []

    async def elsewhere(part: FleetPart) -> FleetPlan:
        asked.append((part.work_queue, [one.name for one in part.clusters]))
        plan = await plan_fleet(world.process().ports, part.fleet, ())
        return replace(plan, prover=Prover(object_id="the worker's"))

    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED, stages=(NORTH,))
    plan = await plan_fleet(world.process().ports, fleet, (), elsewhere=elsewhere)
    assert asked == [("north", ["shop-01"])]
    assert [(one.cluster.name, one.disposition) for one in plan.clusters] == [
        ("shop-01", "migrate"),
        ("shop-02", "migrate"),
    ]
    assert [plan.prover_of(one.cluster).object_id for one in plan.clusters] == ["the worker's", PROVER]
    assert [[one.name for one in batch] for batch in plan.stages[0].batches] == [["shop-01"], ["shop-02"]]
    alone = await plan_fleet(world.process().ports, fleet, ())
    assert [plan.prover_of(one.cluster).object_id for one in alone.clusters] == ["the worker's", PROVER]
    assert alone.prover_of(alone.clusters[0].cluster).object_id == PROVER, "without `elsewhere` it is planned here"


async def test_a_part_that_nobody_planned_is_refused_with_the_reason_and_the_rest_is_planned() -> None:
    async def nobody(part: FleetPart) -> FleetPlan:
        raise TryLater(f"no worker polls the work queue {part.work_queue}")

    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED, stages=(NORTH,))
    plan = await plan_fleet(fleet_world(2).process().ports, fleet, (), elsewhere=nobody)
    far, near = plan.clusters
    assert [one.message for one in far.blockers] == [
        "the cluster could not be read: no worker polls the work queue north"
    ]
    assert near.disposition == "migrate"


async def test_a_process_without_the_provers_credential_plans_what_only_others_can_read() -> None:
    laptop, network = fleet_world(1), fleet_world(1)
    there = replace(NORTH, groups=(GroupSpec(name="far", rest=True, work_queue="north"),))
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED, stages=(there,))
    laptop.faults["callers.prover"] = [Refused("the prover's secret is missing")]

    async def elsewhere(part: FleetPart) -> FleetPlan:
        return await plan_fleet(network.process().ports, part.fleet, ())

    plan = await plan_fleet(laptop.process().ports, fleet, (), elsewhere=elsewhere)
    assert plan.prover.object_id == PROVER
    assert plan.clusters[0].disposition == "migrate"
    log = AuditedCallers(since="", until="", events=0, complete=True)
    with pytest.raises(Refused, match="is planned by another process, which does not have this file"):
        await plan_fleet(laptop.process().ports, fleet, (), elsewhere=elsewhere, callers={"": log})
    with pytest.raises(Refused, match="secret is missing"):
        await plan_fleet(laptop.process().ports, fleet, ())
