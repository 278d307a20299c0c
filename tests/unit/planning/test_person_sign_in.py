"""A person of an admin group who has signed in to AKS is named, and an unreadable log is unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from aks_entra.core.access.conditional_access import SeenSignIn
from aks_entra.core.planning.fleet import Fleet
from aks_entra.core.preflight import ConditionalAccessPolicy
from aks_entra.core.target import LocalAccounts, RotationPolicy
from aks_entra.errors import Refused
from aks_entra.planning.planner import plan_fleet
from tests.support.memory_fleets import GROUPED, WHOLE, fleet_world
from tests.support.memory_model import ADMINS, PROVER
from tests.support.memory_ports import World

DANA, ERIN = "dana@contoso.com", "erin@contoso.com"


class Log:
    """Conditional Access and the sign-in log; `asked` counts the reads."""

    def __init__(self, *seen: SeenSignIn, readable: bool = True) -> None:
        self._seen = seen
        self._readable = readable
        self.asked = 0

    async def in_the_way(self, principal_id: str, *, person: bool) -> tuple[ConditionalAccessPolicy, ...]:
        assert (principal_id, person) == (PROVER, False)
        return ()

    async def sign_ins(self, policy_id: str, since: datetime, user_id: str = "") -> tuple[SeenSignIn, ...]:
        self.asked += 1
        assert (policy_id, user_id, since.isoformat()[:10]) == ("", "", "2026-10-25")
        if not self._readable:
            raise Refused("no right", status=403)
        return self._seen


def sign_in(user: str, at: str, error: int = 0) -> SeenSignIn:
    return SeenSignIn(at=at, user=user, result="", error=error)


def a_world() -> World:
    world = fleet_world(2)
    world.users[ERIN] = "77777777-7777-7777-7777-777777777777"
    world.groups[ADMINS].members |= {world.users[DANA]}
    return world


async def said(world: World, log: Log, wanted: object = GROUPED) -> list[str]:
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=wanted)  # type: ignore[arg-type]  # a target
    plan = await plan_fleet(replace(world.process().ports, conditional_access=log), fleet, ())
    rules = [(one.rule, f"{one.message} {one.remedy}") for one in plan.clusters[0].findings]
    return [f"{rule} {words}" for rule, words in rules if rule in {"W103", "I103"}]


async def test_the_last_sign_in_of_a_member_is_named_and_the_log_is_read_once_for_the_fleet() -> None:
    log = Log(
        sign_in(ERIN, "2026-11-23T08:00:00Z"),
        sign_in(DANA, "2026-11-22T08:00:00Z", error=50076),
        sign_in(DANA, "2026-11-20T08:00:00Z"),
        sign_in(DANA, "2026-11-19T08:00:00Z"),
        sign_in("gone@contoso.com", "2026-11-18T08:00:00Z"),
    )
    (words,) = await said(a_world(), log)
    assert words.startswith(f"I103 {DANA}, a member of an admin group, signed in to AKS on 2026-11-20")
    assert log.asked == 1


async def test_sign_ins_of_others_prove_nothing() -> None:
    others = (sign_in(ERIN, "2026-11-23T08:00:00Z"), sign_in("gone@contoso.com", "2026-11-18T08:00:00Z"))
    for seen in (others, ()):
        (words,) = await said(a_world(), Log(*seen))
        assert words.startswith("W103")
        assert "AuditLog" not in words
    world = a_world()
    world.says_members = False
    (words,) = await said(world, Log(sign_in(DANA, "2026-11-20T08:00:00Z")))
    assert words.startswith("W103"), "an unknown membership is not a membership"


async def test_a_log_that_cannot_be_read_is_unknown_and_its_right_is_named() -> None:
    (words,) = await said(a_world(), Log(readable=False))
    assert words.endswith("grant AuditLog.Read.All to see who has signed in")


async def test_a_plan_that_closes_nothing_asks_nobody() -> None:
    log = Log()
    kept = replace(GROUPED, local_accounts=LocalAccounts.KEEP, rotation=RotationPolicy.LATER)
    assert await said(a_world(), log, kept) == []
    assert log.asked == 0
