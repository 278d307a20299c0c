"""The doctor looks at each group that a setting names for signed approvals."""

from __future__ import annotations

from aks_entra.core.doctor import SigningGroup
from aks_entra.doctor.collect import signing_groups
from aks_entra.errors import Refused
from tests.support.memory_model import TENANT, Group
from tests.support.memory_ports import World

CLIENT, SIGNERS, GONE = (f"00000000-0000-4000-8000-00000000000{end}" for end in "abc")
FAR = "00000000-0000-4000-8000-00000000000d"


async def seen(world: World, setting: str) -> tuple[SigningGroup, ...]:
    return await signing_groups(world.process().ports, {"SETTING": setting, "UNSET": ""}, TENANT)


async def test_a_group_is_counted_and_one_that_does_not_exist_is_named() -> None:
    world = World()
    world.groups[SIGNERS] = Group(id=SIGNERS, name="signers", members={"dana", "olive"})
    people, gone = await seen(world, f"{TENANT}/{CLIENT}/{SIGNERS}, {TENANT}/{CLIENT}/{GONE}")
    assert (people.group, people.problem, people.people) == (f"signers ({SIGNERS})", "", 2)
    assert (gone.setting, gone.problem) == ("SETTING", f"group {GONE} does not exist")


async def test_what_nobody_can_read_is_unknown_and_a_malformed_setting_is_a_problem() -> None:
    world = World()
    (far,) = await seen(world, f"{FAR}/{CLIENT}/{SIGNERS}")
    assert (far.people, far.unread) == (None, "this machine is not signed in to its tenant")
    assert world.calls == []
    world.faults["directory.group"] = [Refused("no right", status=403)]
    (refused,) = await seen(world, f"{TENANT}/{CLIENT}/{SIGNERS}")
    assert (refused.people, refused.problem, refused.unread) == (None, "", "no right")
    (malformed,) = await seen(world, "dana")
    assert malformed.problem.startswith("its value is not TENANT/CLIENT/GROUP")
