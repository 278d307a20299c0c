"""No grant is longer or wider than asked, over requests, approvals, clocks and deaths of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from aks_entra.access.grant_sweep import sweep
from aks_entra.access.grants import Granter, Patience
from aks_entra.core.access.explanation import Token
from aks_entra.core.access.grants import Approval, Ask, Grant, Level, Via, end_in
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import RoleAssignment
from aks_entra.core.access.resource_access import ResourceAttributes
from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.errors import AksEntraError, Refused
from aks_entra.ports.access import AccessPorts, Answer
from aks_entra.ports.migration import Caller, Ports
from tests.support.access_cases import CLUSTER, NOW, POSTURE, TENANT, USER
from tests.support.examples import times

PEOPLE = tuple(Principal(id=f"{at}" * 8, kind="User", name=f"{at}@contoso.com") for at in (1, 2))
SUBSCRIPTIONS = (CLUSTER.subscription_id,)


class Killed(BaseException):
    """The process is gone: nothing below catches it."""


@dataclass
class Azure:
    """Assignments and bindings in memory; `deaths` counts calls down to the one in which the process dies."""

    now: datetime = NOW
    standing: dict[str, Grant] = field(default_factory=dict)
    deaths: int | None = None
    after: bool = False  # dies after the effect, not before it

    def touch(self, effect: Any) -> None:
        dying = self.deaths == 0
        self.deaths = None if self.deaths is None or dying else self.deaths - 1
        if dying and not self.after:
            raise Killed
        effect()
        if dying:
            raise Killed


@dataclass
class Side:
    """The clock, ARM, the directory and both kinds of RBAC, as far as grants need them."""

    azure: Azure

    def now(self) -> datetime:
        return self.azure.now

    async def sleep(self, seconds: float) -> None:
        self.azure.now += timedelta(seconds=seconds)

    async def cluster(self, _: ClusterId) -> Posture:
        return POSTURE

    async def runner(self) -> Caller:
        return Caller(object_id="operator", tenant_id=TENANT)

    async def principals(self, ids: tuple[str, ...]) -> Mapping[str, Principal]:
        return {one.id: one for one in PEOPLE if one.id in ids}

    async def groups_of(self, _: str) -> frozenset[str]:
        return frozenset()


class Roles(Side):
    async def grants(self, _: Any) -> tuple[Grant, ...]:
        self.azure.touch(lambda: None)
        return tuple(one for one in self.azure.standing.values() if one.via is Via.AZURE)

    async def held(self, _: ClusterId, principal_id: str) -> tuple[RoleAssignment, ...]:
        return tuple(
            RoleAssignment(id=one.id, role=USER, principal_id=one.principal_id, scope=CLUSTER.resource_id)
            for one in self.azure.standing.values()
            if one.principal_id == principal_id and one.role == USER.name
        )

    async def assign(self, ask: Ask, text: str) -> Grant:
        return self._put(ask, f"/assignments/{ask.assignment_name}", text)

    async def remove(self, grant: Grant) -> bool:
        there = grant.id in self.azure.standing
        self.azure.touch(lambda: self.azure.standing.pop(grant.id, None))
        return there

    def _put(self, ask: Ask, name: str, text: str) -> Grant:
        until, damaged = end_in(text)
        made = Grant(
            via=ask.via,
            id=name,
            cluster_key=ask.cluster.key,
            principal_id=ask.principal.id,
            role=ask.role,
            namespace=ask.namespace,
            until=until,
            unreadable=damaged,
        )
        self.azure.touch(lambda: self.azure.standing.update({name: made}))
        return made


class Bindings(Roles):
    async def grants(self, _: Any) -> tuple[Grant, ...]:
        self.azure.touch(lambda: None)
        return tuple(one for one in self.azure.standing.values() if one.via is Via.KUBERNETES)

    async def bind(self, _: Posture, ask: Ask, text: str) -> Grant:
        return self._put(ask, f"bindings/{ask.binding_name}", text)

    async def unbind(self, _: Posture, grant: Grant) -> bool:
        return await self.remove(grant)

    async def would_allow(self, _: Posture, token: Token, wanted: ResourceAttributes) -> Answer:
        mine = [one for one in self.azure.standing.values() if one.principal_id == token.object_id]
        return Answer(allowed=any(one.namespace in {"", wanted.namespace} for one in mine))


def engine(azure: Azure) -> Granter:
    side = Side(azure)
    ports = Ports(**{name: cast("Any", side) for name in Ports.__dataclass_fields__})
    roles, bindings = cast("Any", Roles(azure)), cast("Any", Bindings(azure))
    access = AccessPorts(roles=roles, bindings=bindings, pim=roles, policies=roles)
    return Granter(ports=ports, access=access, patience=Patience(timeout=20, poll_interval=5))


REQUEST = st.builds(
    Ask,
    cluster=st.just(CLUSTER),
    principal=st.sampled_from(PEOPLE),
    level=st.sampled_from(Level),
    via=st.sampled_from(Via),
    end=st.one_of(st.none(), st.integers(-30, 300).map(lambda minutes: NOW + timedelta(minutes=minutes))),
    reason=st.just("CHG-1"),
    namespace=st.sampled_from(("", "shop")),
).filter(lambda ask: ask.via is Via.AZURE or ask.level is not Level.CLUSTER_USER)
DEATH = st.one_of(st.none(), st.tuples(st.integers(0, 6), st.booleans()))
HAPPENS = st.one_of(
    st.tuples(st.just("ask"), REQUEST, st.sampled_from(("approved", "other", "never")), DEATH),
    st.tuples(st.just("wait"), st.integers(1, 120)),
    st.tuples(st.just("sweep"), DEATH),
)


async def live(events: list[Any]) -> None:  # one branch for each thing that may happen
    azure, approved = Azure(), list[Ask]()
    for event in events:
        azure.deaths, azure.after = None, False
        match event:
            case ("ask", ask, said, death):
                _arm(azure, death)
                approval = _approval(ask, said)
                if said == "approved":
                    approved.append(ask)
                try:
                    await engine(azure).give(ask, approval)
                except (Killed, Refused):
                    pass
                except AksEntraError as error:
                    raise AssertionError(error) from error
            case ("wait", minutes):
                azure.now += timedelta(minutes=minutes)
            case ("sweep", death):
                await _sweep(azure, death)
        for one in azure.standing.values():
            assert any(_covers(ask, one) for ask in approved), one
    azure.deaths = None
    azure.now += timedelta(days=1)
    await sweep(engine(azure), SUBSCRIPTIONS, (POSTURE,))
    assert all(one.until is None for one in azure.standing.values())  # whoever died, what had an end has ended


async def _sweep(azure: Azure, death: tuple[int, bool] | None) -> None:
    _arm(azure, death)
    began = azure.now
    try:
        await sweep(engine(azure), SUBSCRIPTIONS, (POSTURE,))
    except Killed:
        return
    assert all(one.until is None or one.until > began for one in azure.standing.values())


def _arm(azure: Azure, death: tuple[int, bool] | None) -> None:
    if death is not None:
        azure.deaths, azure.after = death


def _approval(ask: Ask, said: str) -> Approval | None:
    if said == "never":
        return None
    named = ask if said == "approved" else replace(ask, reason="something else")
    return Approval(digest=named.digest, approver="erin")


def _covers(ask: Ask, grant: Grant) -> bool:
    """Whether a grant is exactly what was asked: whose, how much, where, and until when."""
    return (
        grant.principal_id == ask.principal.id
        and grant.role == ask.role
        and grant.namespace == ask.namespace
        and grant.via is ask.via
        and grant.until == ask.end
        and not grant.unreadable
    )


@times(1.5)
@given(st.lists(HAPPENS, max_size=12))
def test_a_grant_is_never_longer_or_wider_than_what_was_approved(events: list[Any]) -> None:
    asyncio.run(live(events))
