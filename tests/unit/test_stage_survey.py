"""A second look at a stage before it begins: who moved, what a new plan is made of, whose windows are open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.evidence import LocalAccountsDisabled, StateSeen
from aks_entra.core.fleet import Fleet, GroupSpec, StageSpec, WantedGroup, WantedTarget
from aks_entra.core.gates import Gate
from aks_entra.core.rollout import Soak
from aks_entra.core.steps import EnsureAdminGroup
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict import CLOSED, Outcome, Verdict, judge, left_for_its_window, settled
from aks_entra.core.windows import Window
from aks_entra.errors import Refused, TryLater
from aks_entra.stage_survey import maintenance_windows, moved
from aks_entra.survey import plan_again, plan_fleet, plan_rotations
from tests.unit.ports_world import ADMINS, Group, World
from tests.unit.test_survey import GROUPED, WHOLE, fleet_world


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
    world.windows = (Window(name="default", hours=(("Tuesday", 9),)),)
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
    assert [stage.name for stage in second.stages] == ["rest"]
    assert second.stages[0].members == owing
    assert (second.stages[0].gate("before"), second.stages[0].gate("after")) == (Gate(wait=60), None)
    assert all(one.rotates and not one.rotation_planned for one in second.clusters)
    assert second.digest != replace(second, follows="").digest
    with pytest.raises(ValueError, match="no rotation for later"):
        second.rotations((), at="")


def test_a_member_that_its_window_left_out_is_told_from_others() -> None:
    cluster = ClusterId(subscription_id="s", resource_group="g", name="c")
    assert left_for_its_window(Verdict(cluster=cluster, outcome=Outcome.SKIPPED, because=(CLOSED,)))
    assert not left_for_its_window(Verdict(cluster=cluster, outcome=Outcome.SKIPPED, because=("stopped",)))
    assert not left_for_its_window(Verdict(cluster=cluster, outcome=Outcome.FAILED, because=(CLOSED,)))
