"""The admin groups, members and owners that a fleet file names."""

from __future__ import annotations

import pytest

from aks_entra.core.planning.fleet import WantedGroup, WantedTarget
from aks_entra.errors import Refused, TryLater
from tests.support.memory_fleets import fleet_world, planned
from tests.support.memory_model import ADMINS, OTHERS, PROVER, TENANT, Group


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (WantedGroup(id=ADMINS.upper()), (ADMINS, None, "aks-admins")),
        (WantedGroup(name="aks-admins"), (ADMINS, None, "aks-admins")),
        (WantedGroup(name="aks-admins", create=True), (ADMINS, None, "aks-admins")),
        (WantedGroup(name="Cluster Admins", create=True), (None, "cluster-admins", "Cluster Admins")),
        (WantedGroup(unique_name="made-once", create=True), (OTHERS, "made-once", "made-once")),
        (WantedGroup(name="another", unique_name="new-one", create=True), (None, "new-one", "another")),
    ],
)
async def test_groups_as_a_person_names_them(wanted: WantedGroup, found: tuple[str | None, str | None, str]) -> None:
    world = fleet_world(1)
    world.groups[OTHERS] = Group(id=OTHERS, name="others", unique_name="made-once", members={PROVER})
    plan = await planned(world, WantedTarget(admin_groups=(wanted,)))
    (group,) = plan.clusters[0].target.admin_groups
    assert (group.id, group.unique_name, group.display_name) == found


async def test_members_and_owners_become_ids() -> None:
    world = fleet_world(1)
    dana = world.users["dana@contoso.com"]
    wanted = WantedGroup(name="new", create=True, members=("dana@contoso.com", OTHERS.upper()), owners=(dana,))
    plan = await planned(world, WantedTarget(admin_groups=(wanted,)))
    (group,) = plan.clusters[0].target.admin_groups
    assert group.members == (dana, OTHERS)
    assert group.owners == (dana,)


@pytest.mark.parametrize(
    ("wanted", "field", "said"),
    [
        (WantedGroup(name="nobody"), "admin_groups[0].name", "no group is called 'nobody'"),
        (WantedGroup(name="twice"), "admin_groups[0].name", f"2 groups are called 'twice': {TENANT}, {OTHERS}"),
        (WantedGroup(), "admin_groups[0]", "no group is named here"),
        (
            WantedGroup(name="new", create=True, members=("eve@contoso.com",)),
            "admin_groups[0].members",
            "no user has the name eve@contoso.com",
        ),
        (
            WantedGroup(name="new", create=True, owners=("eve@contoso.com",)),
            "admin_groups[0].owners",
            "no user has the name eve@contoso.com",
        ),
    ],
)
async def test_groups_that_are_not_clear_are_refused(wanted: WantedGroup, field: str, said: str) -> None:
    world = fleet_world(1)
    for group_id in (OTHERS, TENANT):
        world.groups[group_id] = Group(id=group_id, name="twice")
    with pytest.raises(Refused) as refused:
        await planned(world, WantedTarget(admin_groups=(wanted,)))
    assert refused.value.field == field
    assert said in refused.value.message
    assert world.writes == []


async def test_a_group_id_that_does_not_exist_refuses_the_cluster() -> None:
    plan = await planned(fleet_world(1), WantedTarget(admin_groups=(WantedGroup(id=OTHERS),)))
    assert "B005" in [finding.rule for finding in plan.clusters[0].blockers]


async def test_a_person_who_may_not_be_looked_up_is_no_object_id() -> None:
    world = fleet_world(1)
    world.faults["directory.user_id"] = [Refused("no right", status=403)]
    wanted = WantedGroup(name="new", create=True, members=(OTHERS,))
    with pytest.raises(Refused, match=r"`admin_groups\[0\]\.members`: no right"):
        await planned(world, WantedTarget(admin_groups=(wanted,)))


async def test_a_directory_that_is_busy_is_asked_again() -> None:
    world = fleet_world(1)
    world.faults["directory.group"] = [TryLater("throttled", after=5)]
    plan = await planned(world)
    assert plan.clusters[0].target.admin_groups[0].display_name == "aks-admins"
