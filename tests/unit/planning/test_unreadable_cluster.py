"""One cluster, or one subscription, that cannot be read: a row with its reason, and no end of all the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.core.planning.fleet import Selector
from aks_entra.core.planning.rollout import Soak
from aks_entra.core.preflight import SKIPPABLE
from aks_entra.core.target import LocalAccounts, RotationPolicy
from aks_entra.errors import AksEntraError, Refused, Rejected
from aks_entra.planning.inventory import inventory
from aks_entra.planning.planner import plan_again, plan_rotations
from aks_entra.planning.rollback import plan_way_back
from aks_entra.planning.selection import Selection
from tests.support.memory_fleets import GROUPED, WHOLE, fleet_world, planned
from tests.support.memory_ports import World

ODD = KeyError("properties")


async def test_a_cluster_that_cannot_be_read_is_a_row_with_its_problem() -> None:
    world = fleet_world(3)
    world.faults["arm.certificate_authority"] = [ODD]
    found = await inventory(world.process().ports, Selection(selectors=(WHOLE,)), probe=True, read=True, records=())

    problems = [row.problem for row in found]
    assert sorted(problems) == ["", "", "unexpected error: KeyError: 'properties'"]
    (lost,) = (row for row in found if row.problem)
    assert lost.old_credentials.debt is Debt.UNKNOWN
    assert lost.posture.cluster.name in {"shop-01", "shop-02", "shop-03"}


async def test_it_is_a_row_also_where_it_is_the_only_one() -> None:
    world = fleet_world(1)
    world.faults["arm.certificate_authority"] = [ODD]
    (row,) = await inventory(world.process().ports, Selection(selectors=(WHOLE,)), probe=True, read=True, records=())
    assert row.problem == "unexpected error: KeyError: 'properties'"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ODD, "the cluster could not be read: unexpected error: KeyError: 'properties'"),
        (ValueError(), "the cluster could not be read: unexpected error: ValueError: no further text"),
    ],
)
async def test_a_cluster_that_cannot_be_read_is_refused_in_the_plan_of_its_fleet(error: Exception, said: str) -> None:
    world = fleet_world(3)
    world.faults["arm.missing_permissions"] = [error]
    plan = await planned(world)

    assert sorted(one.disposition for one in plan.clusters) == ["migrate", "migrate", "refused"]
    (lost,) = (one for one in plan.clusters if one.disposition == "refused")
    assert [(one.rule, one.message) for one in lost.blockers] == [("B028", said)]
    assert lost.steps == ()
    assert lost.debt is Debt.UNKNOWN


async def test_the_rule_cannot_be_passed_over() -> None:
    assert "B028" not in SKIPPABLE


async def test_a_fleet_of_which_nothing_can_be_read_is_one_error() -> None:
    world = fleet_world(2)
    world.faults["arm.tenant_of"] = [Rejected("gone", status=410)]
    with pytest.raises(Rejected, match="gone"):
        await planned(world)


async def test_a_cluster_that_cannot_be_read_when_the_plan_is_made_again_is_refused_and_the_others_are_planned() -> (
    None
):
    world = fleet_world(3)
    plan = await planned(world)
    moved = {one.cluster: ("local accounts are on",) for one in plan.clusters}
    world.faults["arm.cluster"] = [Refused("not there", status=404)]
    again = await plan_again(world.process().ports, plan, moved, ())

    assert sorted(one.disposition for one in again.clusters) == ["migrate", "migrate", "refused"]
    assert [one.message for one in again.clusters[0].blockers] == ["the cluster could not be read: not there"]


async def test_a_cluster_that_is_gone_does_not_hold_up_the_rotations_of_the_others() -> None:
    world = fleet_world(2)
    later = replace(GROUPED, rotation=RotationPolicy.LATER, local_accounts=LocalAccounts.OFF)
    plan = await planned(world, later, rotation=Soak(after=3600))
    world.faults["arm.cluster"] = [Refused("not there", status=404)]
    second = await plan_rotations(world.process().ports, plan, tuple(one.cluster for one in plan.clusters), ())

    assert sorted(one.disposition for one in second.clusters) == ["migrate", "refused"]


@pytest.fixture
def two() -> tuple[World, tuple[Selector, ...]]:
    return fleet_world(2), (Selector(subscription="none-such"), WHOLE, Selector(subscription="prod-eu", name="nobody"))


async def test_what_one_selector_does_not_find_is_told_and_the_others_are_shown(
    two: tuple[World, tuple[Selector, ...]],
) -> None:
    world, selectors = two
    told: list[AksEntraError] = []
    wanted = Selection(selectors=selectors, on_problem=told.append)
    found = await inventory(world.process().ports, wanted, probe=False, read=False, records=())
    assert [row.posture.cluster.name for row in found] == ["shop-01", "shop-02"]
    assert [one.field for one in told] == ["clusters[0].subscription", "clusters[2].name"]
    assert told[1].message.startswith("no cluster matches 'nobody'")


async def test_where_no_selector_finds_anything_it_is_an_error_all_the_same(
    two: tuple[World, tuple[Selector, ...]],
) -> None:
    world, selectors = two
    told: list[AksEntraError] = []
    for chosen in (selectors[:1], (selectors[0], selectors[2])):
        wanted = Selection(selectors=chosen, on_problem=told.append)
        with pytest.raises(Refused, match=r"`clusters\[0\]\.subscription`: "):
            await inventory(world.process().ports, wanted, probe=False, read=False, records=())


async def test_a_fleet_is_whole_or_is_not_planned(two: tuple[World, tuple[Selector, ...]]) -> None:
    world, selectors = two
    with pytest.raises(Refused, match=r"`clusters\[0\]\.subscription`: "):
        await planned(world, selectors=selectors)
    world.faults["arm.list_clusters"] = [Rejected("no list", status=410)]
    with pytest.raises(Rejected, match=r"`clusters\[0\]\.subscription`: no list"):
        await planned(world)


@pytest.mark.parametrize("error", [ODD, Rejected("no such thing", status=410)])
async def test_a_cluster_that_cannot_be_read_does_not_bar_the_way_back_of_the_others(error: Exception) -> None:
    world = fleet_world(3)
    plan = await planned(world)
    for one in world.clusters.values():
        one.local_accounts = False
    world.faults["arm.cluster"] = [error]
    back = await plan_way_back(world.process().ports, plan, tuple(one.cluster for one in plan.clusters), ())

    assert sorted(one.disposition for one in back.clusters) == ["migrate", "migrate", "refused"]
    (lost,) = (one for one in back.clusters if one.disposition == "refused")
    assert lost.blockers[0].message in {"unexpected error: KeyError: 'properties'", "no such thing"}
