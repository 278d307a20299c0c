"""Workloads are read as the prover, and with the admin credential only where the fleet asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.admin_reads import AdminRead
from aks_entra.core.planning.fleet import ReadAs
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.target import RotationPolicy
from aks_entra.errors import AksEntraError, Refused, TryLater
from aks_entra.planning.planner import plan_again
from tests.support.cases import INSIDE
from tests.support.memory_doors import WorldDoors
from tests.support.memory_fleets import GROUPED, fleet_world, planned
from tests.support.memory_ports import World

FETCH, AS_ADMIN = "arm.hold_admin_credential", "kubernetes.inside as admin"
LOADED = replace(INSIDE, node_local=("pay/ledger emptyDir 40Gi",), requests=12)


def a_world(identity: Identity = Identity.NONE, *, local_accounts: bool = True) -> World:
    world = World()
    world.add(identity=identity, inside=LOADED, local_accounts=local_accounts)
    return world


async def the_plan(world: World, read: ReadAs = ReadAs.ADMIN_CREDENTIAL) -> ClusterPlan:
    (plan,) = (await planned(world, read=read)).clusters
    return plan


def said(plan: ClusterPlan, rule: str) -> list[str]:
    return [finding.message for finding in plan.findings if finding.rule == rule]


@pytest.mark.parametrize("identity", [Identity.NONE, Identity.LEGACY])
async def test_without_entra_a_plan_says_what_the_rotation_breaks_only_if_it_may_fetch_the_credential(
    identity: Identity,
) -> None:
    world = a_world(identity)
    plan = await the_plan(world, ReadAs.PROVER)
    assert said(plan, "U140")
    assert not said(plan, "W124")
    assert FETCH not in world.calls
    world.calls.clear()
    plan = await the_plan(world)
    assert said(plan, "W124") == ["data on the nodes' own disks will be lost: pay/ledger emptyDir 40Gi"]
    assert not said(plan, "U140")
    (finding,) = [one for one in plan.findings if one.rule == "W140"]
    assert "works until the rotation" in finding.message
    assert "listClusterAdminCredential at 2026-11-24T08:00:00" in finding.evidence
    assert plan.admin_read == AdminRead(at="2026-11-24T08:00:00Z", until="2026-11-24T08:00:00Z", requests=12)
    assert (world.calls.count(FETCH), world.calls.count(AS_ADMIN)) == (1, 1)
    assert world.writes == []


async def test_the_credential_is_dropped_after_the_read_and_after_a_failed_one() -> None:
    for fault in (None, Refused("no right", status=403)):
        world = a_world()
        (cluster,) = world.clusters.values()
        process = world.process()
        if fault is not None:
            world.faults[AS_ADMIN] = [fault]
        first = await planned(world, read=ReadAs.ADMIN_CREDENTIAL)
        assert (first.clusters[0].admin_read is None) is bool(fault), "how far a failed read came is unknown"
        plan = await plan_again(process.ports, first, {cluster.id: ()}, ())
        assert not process.ports.vault.holds(cluster.id)
        assert said(plan.clusters[0], "W140"), "a plan that is made again reads as the plan before"
        assert plan.clusters[0].admin_read is not None


async def test_a_credential_that_is_held_already_is_used_and_kept() -> None:
    world = a_world()
    (cluster,) = world.clusters.values()
    plan = await planned(world, read=ReadAs.ADMIN_CREDENTIAL)
    ports = world.process().ports
    await ports.arm.hold_admin_credential(cluster.id)
    world.calls.clear()
    again = (await plan_again(ports, plan, {cluster.id: ()}, ())).clusters[0]
    assert FETCH not in world.calls
    assert (said(again, "W140"), len(said(again, "W124"))) == ([], 1)
    assert ports.vault.holds(cluster.id)


async def test_the_prover_reads_where_it_can() -> None:
    world = a_world(Identity.MANAGED)
    plan = await the_plan(world)
    assert said(plan, "W124")
    assert FETCH not in world.calls


@pytest.mark.parametrize(
    ("fault", "fetched"),
    [
        (Refused("the API server refuses", status=403), 1),
        (Refused("there is no API server address", code="NoApiServer"), 0),
    ],
)
async def test_with_entra_the_credential_is_fetched_only_if_the_api_server_refuses_the_prover(
    fault: AksEntraError, fetched: int
) -> None:
    world = a_world(Identity.MANAGED)
    world.faults["kubernetes.inside"] = [fault]
    plan = await the_plan(world)
    assert world.calls.count(FETCH) == fetched
    assert bool(said(plan, "U140")) is not bool(fetched)


async def test_a_prover_that_may_not_read_everything_is_helped_and_what_it_saw_is_not_lost() -> None:
    world = a_world(Identity.MANAGED)
    (cluster,) = world.clusters.values()
    cluster.inside = replace(LOADED, webhooks=None)
    world.faults[FETCH] = [Refused("the signed-in identity lacks listClusterAdminCredential", status=403)]
    plan = await the_plan(world)
    assert said(plan, "W124")
    assert said(plan, "U140") == ["the prover may not read webhooks in the cluster"]
    assert not said(plan, "W140")


async def test_why_the_workloads_are_unknown_is_said() -> None:
    world = a_world()
    world.faults[FETCH] = [Refused("the signed-in identity lacks listClusterAdminCredential/action", status=403)]
    (message,) = said(await the_plan(world), "U140")
    assert message.endswith("with the admin credential: the signed-in identity lacks listClusterAdminCredential/action")
    world = a_world()
    world.faults[AS_ADMIN] = [TryLater("nobody answers", after=30)] * 3
    plan = await the_plan(world)
    assert said(plan, "U140")[0].endswith("with the admin credential: nobody answers")
    assert said(plan, "W140"), "it was handed out, although nothing could be read with it"
    world = a_world(Identity.LEGACY, local_accounts=False)
    (message,) = said(await the_plan(world), "U140")
    assert message.endswith("local accounts are off, so there is no admin credential")
    assert FETCH not in world.calls
    world = a_world()
    (cluster,) = world.clusters.values()
    cluster.hands_out_at = world.now().replace(year=2030)
    (message,) = said(await the_plan(world), "U140")
    assert "Getting static credential is not allowed" in message


async def test_for_a_cluster_that_is_refused_anyway_nothing_is_fetched() -> None:
    world = a_world()
    (cluster,) = world.clusters.values()
    cluster.kubernetes_rbac = False
    plan = await the_plan(world)
    assert (plan.disposition, bool(said(plan, "U140"))) == ("refused", True)
    assert FETCH not in world.calls


async def test_without_a_rotation_nothing_is_fetched() -> None:
    world = a_world()
    plan = await planned(world, replace(GROUPED, rotation=RotationPolicy.LATER), read=ReadAs.ADMIN_CREDENTIAL)
    assert plan.clusters[0].disposition == "migrate"
    assert FETCH not in world.calls


async def test_an_api_server_that_does_not_answer_is_not_asked_for_workloads_or_doors() -> None:
    """A laptop outside of a private network would wait for each of these reads."""
    world = fleet_world(1)
    world.clusters[next(iter(world.clusters))].reachable = False
    world.doors = WorldDoors()
    (plan,) = (
        await planned(world, replace(GROUPED, doors=("jwt-authenticators",)), read=ReadAs.ADMIN_CREDENTIAL)
    ).clusters
    assert "B013" in {finding.rule for finding in plan.findings}
    assert not {"kubernetes.inside", "kubernetes.inside as admin", "arm.hold_admin_credential"} & set(world.calls)
    assert world.doors.asked == 1, "what ARM knows of doors is read all the same"
