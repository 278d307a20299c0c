"""A second look at a stage before it begins: who moved, what a new plan is made of, whose windows are open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.evidence.observations import LocalAccountsDisabled, StateSeen
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.fleet import Fleet, GroupSpec, StageSpec, WantedGroup, WantedTarget
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.plan import Change
from aks_entra.core.planning.rollout import Soak
from aks_entra.core.preflight import Writer
from aks_entra.core.steps import EnsureAdminGroup, RotateCertificates
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.verdict import CLOSED, Outcome, Verdict, judge, left_behind_its_gate, settled
from aks_entra.errors import Refused, TryLater
from aks_entra.planning.planner import plan_again, plan_fleet, plan_rotations
from aks_entra.planning.recheck import look_again, maintenance_windows, moved, shown_writes
from tests.support.memory_fleets import GROUPED, WHOLE, fleet_world
from tests.support.memory_model import ADMINS, Group, posture_of
from tests.support.memory_ports import World


def posed(world: World, name: str) -> str:
    return next(key for key in world.clusters if key.endswith(f"/{name}"))


async def test_only_what_leads_nowhere_in_the_plan_has_moved() -> None:
    world = fleet_world(6)
    plan = await plan_fleet(world.process().ports, Fleet(name="prod", selectors=(WHOLE,), target=GROUPED), ())
    names = [one.cluster.name for one in plan.clusters]
    drifted, further, busy, stopped, unread, same = (world.clusters[posed(world, name)] for name in names)
    drifted.azure_rbac = True
    further.local_accounts = False  # a step of the plan itself
    busy.azure_rbac, busy.state = True, "Updating"
    stopped.azure_rbac, stopped.power_state = True, "Stopped"
    unread.azure_rbac = True
    unread.etag += 1  # it was written, so its CA has to be read

    ports = world.process().ports
    world.faults["arm.cluster"] = [TryLater("throttled", after=1)]
    found = await moved(ports, plan.clusters[:4] + plan.clusters[5:])
    assert {cluster.name: differences for cluster, differences in found.items()} == {
        names[0]: ("Azure RBAC: expected off, found on",)
    }
    assert same.rotations == 0
    world.faults["arm.certificate_authority"] = [Refused("not allowed")]
    assert await moved(ports, (plan.clusters[4],)) == {}

    fresh = await plan_again(ports, plan, found, ())
    assert fresh.replaces == plan.digest
    assert fresh.digest != plan.digest
    assert fresh.clusters[1:] == plan.clusters[1:]
    assert fresh.clusters[0].before.azure_rbac
    assert fresh.clusters[0].target == plan.clusters[0].target
    assert await moved(ports, fresh.clusters[:1]) == {}
    again = await plan_again(ports, plan, found, ())
    assert again.digest == fresh.digest
    assert world.writes == []


async def test_a_group_that_was_created_meanwhile_is_not_created_again() -> None:
    world = World()
    cluster = world.add("shop-01", identity=Identity.MANAGED)
    wanted = WantedTarget(
        admin_groups=(WantedGroup(name="new", create=True, unique_name="aks-new"), WantedGroup(id=ADMINS))
    )
    ports = world.process().ports
    plan = await plan_fleet(ports, Fleet(name="prod", selectors=(WHOLE,), target=wanted), ())
    assert any(isinstance(step, EnsureAdminGroup) for step in plan.clusters[0].steps)
    made = Group(id="99999999-9999-9999-9999-999999999999", name="new", unique_name="aks-new", members={"dana"})
    world.groups[made.id] = made
    cluster.groups = (ADMINS, made.id)
    cluster.azure_rbac = True

    found = await moved(ports, plan.clusters)
    assert found
    [fresh] = (await plan_again(ports, plan, found, ())).clusters
    assert not any(isinstance(step, EnsureAdminGroup) for step in fresh.steps)
    assert [group.reference for group in fresh.target.admin_groups] == [made.id, ADMINS]


async def test_windows_that_cannot_be_read_are_unknown() -> None:
    world = fleet_world(2)
    world.windows = (MaintenanceWindow(name="default", hours=(("Tuesday", 9),)),)
    clusters = tuple(one.id for one in world.clusters.values())
    world.faults["arm.maintenance_windows"] = [TryLater("throttled", after=1)]
    ports = world.process().ports
    assert await maintenance_windows(ports, clusters) == (world.windows, world.windows)
    world.faults["arm.maintenance_windows"] = [Refused("not allowed")]
    assert None in await maintenance_windows(ports, clusters)


async def test_a_second_part_rotates_what_the_first_left_owed() -> None:
    world = fleet_world(3)
    ports = world.process().ports
    stages = tuple(
        StageSpec(name=name, groups=(GroupSpec(name=name, clusters=clusters, rest=not clusters),), gate_after=True)
        for name, clusters in (("canary", ("shop-01",)), ("rest", ()))
    )
    later = replace(GROUPED, rotation=RotationPolicy.LATER)
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=later, stages=stages, rotation=Soak(after=60))
    plan = await plan_fleet(ports, fleet, ())
    assert plan.digest != replace(plan, rotation=None).digest
    assert plan.digest != replace(plan, ticket_required=True).digest
    assert plan.clusters[0].rotation_planned == Soak(after=60).words
    first = plan.clusters[0]
    evidence = (LocalAccountsDisabled(at="2026-11-24T08:00:00Z", changed=True),)
    assert f"planned: {Soak(after=60).words}" in " ".join(judge(first, evidence).because)
    state = StateSeen(
        at="2026-11-24T08:00:00Z",
        identity="managed",
        local_accounts=False,
        azure_rbac=False,
        admin_group_ids=(ADMINS,),
        provisioning_state="Succeeded",
        ca="c",
        ca_not_before="2026-01-01T00:00:00Z",
    )
    assert settled(first, judge(first, (*evidence, state)))
    assert not settled(first, judge(first, evidence))

    owing = tuple(one.cluster for one in plan.clusters[1:])
    for cluster in owing:
        world.clusters[cluster.key].local_accounts = False
    second = await plan_rotations(ports, plan, owing, ())
    assert (second.follows, second.rotation, second.replaces) == (plan.digest, None, "")
    again = replace(plan, replaces="sha256:0", changes=(Change(cluster="c", differences=()),)).rotations(
        second.clusters, at="later"
    )
    assert (again.replaces, again.changes, again.created_at) == ("", (), "later")
    assert [stage.name for stage in second.stages] == ["rest"]
    assert second.stages[0].members == owing
    assert (second.stages[0].gate("before"), second.stages[0].gate("after")) == (Gate(wait=60), None)
    assert all(one.rotates and not one.rotation_planned for one in second.clusters)
    assert second.digest != replace(second, follows="").digest
    with pytest.raises(ValueError, match=r"^this plan leaves no rotation for later$"):
        second.rotations((), at="")


def test_a_member_that_its_window_left_out_is_told_from_others() -> None:
    cluster = ClusterId(subscription_id="s", resource_group="g", name="c")
    assert left_behind_its_gate(Verdict(cluster=cluster, outcome=Outcome.SKIPPED, because=(CLOSED,)))
    assert not left_behind_its_gate(Verdict(cluster=cluster, outcome=Outcome.SKIPPED, because=("stopped",)))
    assert not left_behind_its_gate(Verdict(cluster=cluster, outcome=Outcome.FAILED, because=(CLOSED,)))


async def test_what_is_due_to_write_is_read_from_azure_now() -> None:
    world = fleet_world(6)
    plan = await plan_fleet(world.process().ports, Fleet(name="prod", selectors=(WHOLE,), target=GROUPED), ())
    names = [one.cluster.name for one in plan.clusters]
    done, half, moved_, busy, unread, stopped = (world.clusters[posed(world, name)] for name in names)
    first = plan.clusters[0]
    assert isinstance(first.rotates, RotateCertificates)
    done.local_accounts = False
    done.generation += 1
    done.etag += 1
    half.local_accounts = False
    moved_.azure_rbac = True
    busy.state = "Updating"
    stopped.power_state = "Stopped"
    ports = world.process().ports
    found = await look_again(ports, (*plan.clusters[:4], plan.clusters[5]))
    assert {one.name: now.due_to_write for one, now in found.items()} == dict(
        zip((*names[:4], names[5]), (False, True, True, True, True), strict=True)
    )
    assert unread.rotations == 0
    world.faults["arm.cluster"] = [Refused("not allowed")]
    assert (await look_again(ports, (plan.clusters[4],)))[plan.clusters[4].cluster].due_to_write
    done.local_accounts = True  # somebody opened it again: the old plan would close and rotate it
    [again] = (await look_again(ports, plan.clusters[:1])).values()
    assert again.due_to_write


@pytest.mark.parametrize("readable", [True, False], ids=["listed", "the list may not be read"])
async def test_the_clusters_of_a_stage_are_read_with_one_list_and_none_was_written_since_the_plan(
    *, readable: bool
) -> None:
    world = fleet_world(6)
    plan = await plan_fleet(world.process().ports, Fleet(name="prod", selectors=(WHOLE,), target=GROUPED), ())
    world.calls.clear()
    world.faults["arm.list_clusters"] = [] if readable else [Refused("not allowed")]

    found = await look_again(world.process().ports, plan.clusters)

    assert all(now.due_to_write and not now.differences for now in found.values())
    assert world.calls.count("arm.list_clusters") == 1
    assert world.calls.count("arm.cluster") == (0 if readable else 6)
    assert "arm.certificate_authority" not in world.calls


def written(world: World, name: str) -> None:
    world.clusters[posed(world, name)].etag += 1


def without_etag(world: World, name: str) -> None:
    world.clusters[posed(world, name)].shows_etag = False


@pytest.mark.parametrize("happens", [written, without_etag])
async def test_the_authority_of_a_cluster_that_may_have_been_rotated_since_the_plan_is_read(
    happens: Callable[[World, str], None],
) -> None:
    world = fleet_world(1)
    plan = await plan_fleet(world.process().ports, Fleet(name="prod", selectors=(WHOLE,), target=GROUPED), ())
    world.clusters[posed(world, "shop-01")].generation += 1
    happens(world, "shop-01")

    [now] = (await look_again(world.process().ports, plan.clusters)).values()

    assert now.differences
    assert world.calls.count("arm.certificate_authority") == 2  # by the plan, and now


async def test_a_plan_that_was_made_during_an_operation_knows_no_authority() -> None:
    world = fleet_world(1)
    world.clusters[posed(world, "shop-01")].state = "RotatingClusterCertificates"
    plan = await plan_fleet(world.process().ports, Fleet(name="prod", selectors=(WHOLE,), target=GROUPED), ())
    cluster = world.clusters[posed(world, "shop-01")]
    assert plan.clusters[0].etag == ""
    cluster.state = "Succeeded"
    assert plan.clusters[0].authority_of(posture_of(cluster)) is None


async def test_what_azure_shows_to_have_been_written_since_the_plan() -> None:
    world = World()
    cluster = world.add("shop-01", identity=Identity.MANAGED)
    ports = world.process().ports
    plan = await plan_fleet(ports, Fleet(name="prod", selectors=(WHOLE,), target=GROUPED), ())
    [own] = plan.clusters
    world.writers = (
        Writer(name="application ci", at="2099-01-01T00:00:00.1234567Z", application=True),
        Writer(name="dana", at="some day", application=False),
        Writer(name="erin", at="2020-01-01T00:00:00Z", application=False),
    )
    assert await shown_writes(ports, own, plan.created_at) == (
        "Azure's activity log shows a write by dana at some day",
        "Azure's activity log shows a write by application ci at 2099-01-01T00:00:00.1234567Z",
    )
    world.writers = ()
    assert await shown_writes(ports, own, plan.created_at) == ()
    cluster.generation += 1
    [replaced] = await shown_writes(ports, own, plan.created_at) or ()
    assert replaced.startswith("the CA was replaced")
    world.writers = None
    assert await shown_writes(ports, own, plan.created_at) is None
    world.faults["arm.writers"] = [Refused("not allowed")]
    assert await shown_writes(ports, own, plan.created_at) is None
