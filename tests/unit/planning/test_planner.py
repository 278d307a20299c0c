"""Plans of a fleet: what they cost, what they contain, what is refused."""

from __future__ import annotations

import pytest

from aks_entra.core.planning.fleet import Fleet, GroupSpec, ProverSpec, StageSpec
from aks_entra.core.preflight import Severity, Skip
from aks_entra.core.preflight.audit_callers import AuditedCallers
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.planning.planner import plan_fleet
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


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "which of the 2 clusters"), ("shop-weu/shop-99", "the fleet has no cluster shop-weu/shop-99")],
)
async def test_an_audit_log_of_nobody_is_refused(name: str, message: str) -> None:
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED)
    with pytest.raises(Refused, match=message):
        await plan_fleet(fleet_world(2).process().ports, fleet, (), callers={name: QUIET_LOG})
