"""One thing that cannot be read, or ended, stops no other grant from being ended; and it is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from aks_entra.access.grant_sweep import Unseen, clusters_of, look, sweep
from aks_entra.access.grants import Granter, Patience
from aks_entra.core.access.explanation import Token
from aks_entra.core.access.grants import Grant, Via
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.resource_access import ResourceAttributes
from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.access import AccessPorts, Answer
from aks_entra.ports.migration import Caller, Ports
from aks_entra.retry import REACH
from tests.support.access_cases import CLUSTER, NOW, POSTURE, TENANT, grant

HERE = CLUSTER.subscription_id
THERE = "99999999-9999-4999-8999-999999999999"
OVER = NOW - timedelta(hours=1)
OTHER = replace(POSTURE, cluster=replace(CLUSTER, name="shop-02"))
DENIED = Refused("you may not read this", status=403)


@dataclass
class World:
    """Azure and Kubernetes, in which single things fail: by the name of what is read or ended."""

    grants: dict[str, Grant] = field(default_factory=dict)
    wrong: dict[str, list[Exception]] = field(default_factory=dict)
    time: datetime = NOW

    def touch(self, name: str) -> None:
        if self.wrong.get(name):
            raise self.wrong[name].pop(0) if isinstance(self.wrong[name][0], TryLater) else self.wrong[name][0]

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    async def subscription_id(self, name: str) -> str:
        self.touch(name)
        return HERE

    async def list_clusters(self, subscription: str) -> AsyncIterator[Posture]:
        self.touch(f"clusters of {subscription}")
        for one in (POSTURE, OTHER):
            if subscription == HERE:
                yield one

    async def cluster(self, place: ClusterId) -> Posture:
        self.touch(place.name)
        return replace(POSTURE, cluster=place)

    async def runner(self) -> Caller:
        return Caller(object_id="operator", tenant_id=TENANT)

    async def principals(self, _: tuple[str, ...]) -> dict[str, Principal]:
        return {}


class Roles:
    via = Via.AZURE

    def __init__(self, world: World) -> None:
        self.world = world

    async def grants(self, where: Any) -> tuple[Grant, ...]:
        name = where if isinstance(where, str) else where.cluster.name
        self.world.touch(f"grants of {name}")
        key = "" if isinstance(where, str) else where.cluster.key
        return tuple(
            one
            for one in self.world.grants.values()
            if one.via is self.via and (key == one.cluster_key or (not key and where in one.cluster_key))
        )

    async def remove(self, one: Grant) -> bool:
        self.world.touch(f"remove {one.id}")
        return self.world.grants.pop(one.id, None) is not None


class Bindings(Roles):
    via = Via.KUBERNETES

    async def unbind(self, _: Posture, one: Grant) -> bool:
        return await self.remove(one)

    async def would_allow(self, _: Posture, token: Token, __: ResourceAttributes) -> Answer:
        self.world.touch("would allow")
        return Answer(allowed=any(one.principal_id == token.object_id for one in self.world.grants.values()))


def engine(world: World, timeout: float = 20) -> Granter:
    side = cast("Any", world)
    roles, bindings = cast("Any", Roles(world)), cast("Any", Bindings(world))
    access = AccessPorts(roles=roles, bindings=bindings, pim=roles, policies=roles)
    ports = Ports(**dict.fromkeys(Ports.__dataclass_fields__, side))
    return Granter(ports=ports, access=access, patience=Patience(timeout=timeout, poll_interval=5))


def world(*grants: Grant, **wrong: Exception | list[Exception]) -> World:
    faults = {name.replace("_", " "): one if isinstance(one, list) else [one] for name, one in wrong.items()}
    return World(grants={one.id: one for one in grants}, wrong=faults)


def bound(name: str, **change: Any) -> Grant:
    whole = {"via": Via.KUBERNETES, "id": f"rolebindings/shop/{name}", "until": OVER, "principal_id": name, **change}
    return grant(**whole)


SHUT = bound("shut", cluster_key=OTHER.cluster.key)


async def test_a_cluster_that_cannot_be_read_is_named_and_every_other_grant_is_ended() -> None:
    there = world(bound("one"), SHUT, grant(id="role", until=OVER))
    there.wrong["grants of shop-02"] = [DENIED]
    swept = await sweep(engine(there), (HERE,))
    assert {one.grant.id for one in swept.ended} == {"rolebindings/shop/one", "role"}
    assert swept.failed == ()
    assert swept.unseen == (Unseen(where=f"cluster {OTHER.cluster}", error=str(DENIED)),)
    assert swept.troubles == (f"cluster {OTHER.cluster}: {DENIED} could not be read",)
    assert list(there.grants) == [SHUT.id]


@pytest.mark.parametrize("what", ["grants of", "clusters of"])
async def test_a_subscription_that_cannot_be_read_does_not_end_the_sweep(what: str) -> None:
    there = world(bound("one"))
    there.wrong[f"{what} {THERE}"] = [RuntimeError()]
    swept = await sweep(engine(there), (THERE, HERE))
    assert [one.removed for one in swept.ended] == [True]
    assert [str(one) for one in swept.unseen] == [f"subscription {THERE}: RuntimeError"]
    assert swept.subscriptions == (THERE, HERE)


async def test_a_subscription_is_named_or_given_by_its_id_and_an_unknown_name_is_a_row() -> None:
    there = world(bound("one"))
    there.wrong["prod-us"] = [Refused("no subscription is named 'prod-us'")]
    swept = await sweep(engine(there), ("prod-us", "prod-eu"))
    assert swept.subscriptions == (HERE,)
    assert [one.where for one in swept.unseen] == ["subscription prod-us"]
    assert len(swept.ended) == 1


async def test_what_is_throttled_is_waited_for_and_named_when_it_stays_so() -> None:
    there = world(bound("one"))
    there.wrong[f"grants of {HERE}"] = [TryLater("throttled", after=5), TryLater("throttled", after=5)]
    swept = await sweep(engine(there), (HERE,))
    assert (len(swept.ended), swept.unseen) == (1, ())
    there = world(bound("one"))
    there.wrong[f"grants of {HERE}"] = [TryLater("throttled", after=5) for _ in range(9)]
    swept = await sweep(engine(there), (HERE,))
    assert (len(swept.ended), len(swept.unseen)) == (1, 1)


async def test_an_api_server_that_does_not_answer_delays_the_end_of_the_others_by_seconds() -> None:
    """A private cluster that this worker does not reach never answers. All grants wait for the slowest answer."""
    there = world(bound("one"), SHUT)
    there.wrong["grants of shop-02"] = [TryLater("nobody answers", after=5) for _ in range(200)]
    swept = await sweep(engine(there, timeout=600), (HERE,))
    assert [one.grant.id for one in swept.ended] == ["rolebindings/shop/one"]
    assert there.time - NOW <= timedelta(seconds=REACH)
    assert "nobody answers" in swept.unseen[0].error


async def test_a_grant_that_cannot_be_ended_is_a_row_and_the_others_end() -> None:
    there = world(bound("one"), bound("two"))
    there.wrong["remove rolebindings/shop/one"] = [DENIED]
    swept = await sweep(engine(there), (HERE,), (POSTURE,))
    assert [one.error for one in swept.failed] == [str(DENIED)]
    assert swept.troubles == (f"rolebindings/shop/one: {DENIED}",)
    assert list(there.grants) == ["rolebindings/shop/one"]
    there.wrong["remove rolebindings/shop/one"] = [RuntimeError()]
    assert [one.error for one in (await sweep(engine(there), (HERE,), (POSTURE,))).failed] == ["RuntimeError"]


async def test_a_role_assignment_goes_also_where_its_cluster_cannot_be_read_and_that_is_said() -> None:
    there = world(grant(id="role", until=OVER))
    there.wrong[CLUSTER.name] = [DENIED]
    (ended,) = (await sweep(engine(there), (HERE,), ())).ended
    assert there.grants == {}
    assert (ended.removed, ended.proof) == (True, "")
    assert ended.error.startswith("the grant was removed, but this could not be proven: ")
    again = await engine(there).end(grant(id="role", until=OVER))
    assert again.error.startswith("the grant was gone already, but this could not be proven: ")


@pytest.mark.parametrize("later", [NOW + timedelta(hours=4), None])
async def test_a_run_does_not_end_what_another_approval_extended_meanwhile(later: datetime | None) -> None:
    there = world(grant(id="role", until=later))
    ended = await engine(there).end(grant(id="role", until=OVER))
    assert (ended.removed, ended.error) == (False, "")
    assert ended.extended == ("2026-11-24T14:00:00Z" if later else "never")
    assert list(there.grants) == ["role"]


async def test_a_copy_of_our_mark_is_shown_and_never_taken_away() -> None:
    copy = grant(id="copy", until=OVER, foreign=True)
    damaged = bound("damaged", until=None, unreadable=True, foreign=True)
    there = world(copy, damaged)
    swept = await sweep(engine(there), (HERE,), (POSTURE,))
    assert (swept.ended, set(swept.foreign)) == ((), {copy, damaged})
    assert swept.troubles == (f"{damaged.id} has our mark with a damaged end: it was not ended",)
    assert set(there.grants) == {copy.id, damaged.id}
    assert (await look(engine(there), (HERE,), (POSTURE,))).grants == ()
    assert await engine(there).active((HERE,), (POSTURE,)) == ()
    for one in (copy, replace(copy, foreign=False)):  # as it was listed, and as a stored note may claim
        with pytest.raises(Refused, match="is not a grant of ours"):
            await engine(there).end(one)


async def test_a_damaged_mark_is_ended_by_what_our_own_record_says() -> None:
    there = world(bound("damaged", until=None, unreadable=True, foreign=True))
    later = await sweep(engine(there), (HERE,), (POSTURE,), {"damaged": NOW + timedelta(hours=1)})
    assert (later.ended, later.foreign, later.troubles) == ((), (), ())
    now = await sweep(engine(there), (HERE,), (POSTURE,), {"damaged": OVER})
    assert [one.removed for one in now.ended] == [True]
    assert there.grants == {}


async def test_a_stopped_cluster_lets_nobody_in_and_is_not_asked() -> None:
    there = world(bound("one"))
    there.wrong["grants of shop-01"] = [DENIED]
    stopped = replace(POSTURE, power_state="Stopped")
    assert await look(engine(there), (), (stopped,)) == await look(engine(world()), (), ())
    found, unseen = await clusters_of(engine(there), (HERE,))
    assert (len(found), unseen) == (2, ())


async def test_a_sweep_that_is_told_to_end_ends() -> None:
    there = world(bound("one"))
    there.wrong["grants of shop-01"] = [cast("Any", asyncio.CancelledError())]
    with pytest.raises(asyncio.CancelledError):
        await sweep(engine(there), (HERE,), (POSTURE,))
