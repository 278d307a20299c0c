"""End every grant that is over, in any number of subscriptions. A failure is a row, and the other grants still end.

Azure shows which grants exist and when they end. If a mark is damaged, our own record says when.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Final, TypeVar
from uuid import UUID

from aks_entra.access.grants import Ended, Granter, until
from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.access.grants import Grant, due
from aks_entra.core.cluster import Posture
from aks_entra.retry import REACH

_T = TypeVar("_T")
_R = TypeVar("_R")
AT_A_TIME: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A place that could not be read, and why. It is unknown whether a grant exists there."""

    where: str
    error: str

    def __str__(self) -> str:
        return f"{self.where}: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Our grants, what only looks like one (`foreign`), and what could not be read."""

    grants: tuple[Grant, ...] = ()
    foreign: tuple[Grant, ...] = ()
    unseen: tuple[Unseen, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """The result of a sweep. A grant whose `Ended` has an `error` was not ended, or its end was not proven."""

    ended: tuple[Ended, ...] = ()
    foreign: tuple[Grant, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    subscriptions: tuple[str, ...] = ()  # the ids of the subscriptions that were read

    @property
    def failed(self) -> tuple[Ended, ...]:
        """The grants that could not be ended."""
        return tuple(one for one in self.ended if one.error)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Everything that a person has to check, in words."""
        return (
            *(f"{one.grant.id}: {one.error}" for one in self.failed),
            *(f"{one} could not be read" for one in self.unseen),
            *(f"{one.id} has our mark with a damaged end: it was not ended" for one in self.foreign if one.unreadable),
        )


async def clusters_of(granter: Granter, subscriptions: Iterable[str]) -> tuple[tuple[Posture, ...], tuple[Unseen, ...]]:
    """Return the clusters of these subscriptions (ids), and the subscriptions that could not be listed."""

    async def listed(subscription: str) -> tuple[Posture, ...]:
        return tuple([one async for one in granter.ports.arm.list_clusters(subscription)])

    return await _each(tuple(subscriptions), _patient(granter, listed), lambda one: f"subscription {one}")


async def look(granter: Granter, subscriptions: tuple[str, ...], clusters: tuple[Posture, ...]) -> Seen:
    """Return every grant: role assignments of the subscriptions, bindings of the clusters.

    An API server that does not answer is given up soon: all grants wait for the slowest answer, and another sweep
    follows.
    """
    roles, bound = _patient(granter, granter.access.roles.grants), _patient(granter, granter.bound, most=REACH)
    by_azure, dark = await _each(subscriptions, roles, lambda one: f"subscription {one}")
    inside, shut = await _each(clusters, bound, lambda one: f"cluster {one.cluster}")
    found = (*by_azure, *inside)
    return Seen(
        grants=tuple(one for one in found if not one.foreign),
        foreign=tuple(one for one in found if one.foreign),
        unseen=(*dark, *shut),
    )


async def sweep(
    granter: Granter,
    subscriptions: tuple[str, ...],
    clusters: tuple[Posture, ...] | None = None,
    ends: Mapping[str, datetime | None] | None = None,
) -> Swept:
    """End every grant of ours that is over. `subscriptions` are names or ids. `clusters` None: all of their clusters.

    `ends`: the ends in our own records, by the name of the grant. They count if a mark is damaged.
    """
    now = granter.ports.clock.now()
    ids, unlisted = await _each(subscriptions, lambda one: _id(granter, one), lambda one: f"subscription {one}")
    if clusters is None:
        clusters, dark = await clusters_of(granter, ids)
        unlisted += dark
    seen = await look(granter, ids, clusters)
    known = [one.recorded(ends or {}) for one in (*seen.grants, *seen.foreign)]

    async def end(grant: Grant) -> tuple[Ended, ...]:
        return (await granter.end(grant),)

    over = due(known, now)
    ended, _ = await _each(over, end, lambda one: one.id, instead=_not_ended)
    return Swept(
        ended=ended,
        foreign=tuple(one for one in known if one.foreign),
        unseen=tuple(dict.fromkeys((*unlisted, *seen.unseen))),
        subscriptions=ids,
    )


async def _id(granter: Granter, subscription: str) -> tuple[str, ...]:
    """Return the id of a subscription. An id is not looked up, so that the right to read clusters is enough."""
    try:
        return (str(UUID(subscription)),)
    except ValueError:
        return (await granter.ports.arm.subscription_id(subscription),)


def _patient(
    granter: Granter, read: Callable[[_T], Awaitable[_R]], *, most: float = inf
) -> Callable[[_T], Awaitable[_R]]:
    """Make a read wait out throttling, up to the timeout for grants and at most for `most` seconds."""
    patience = replace(granter.patience, timeout=min(granter.patience.timeout, most))
    return lambda thing: until(granter.ports.clock, patience, lambda: read(thing), "this could not be read")


def _not_ended(grant: Grant, error: Exception) -> Ended:
    return Ended(grant=grant, removed=False, late=0.0, proof="", error=str(error) or type(error).__name__)


async def _each(
    things: tuple[_T, ...],
    work: Callable[[_T], Awaitable[tuple[_R, ...]]],
    name: Callable[[_T], str],
    instead: Callable[[_T, Exception], _R] | None = None,
) -> tuple[tuple[_R, ...], tuple[Unseen, ...]]:
    """Do the work on each thing concurrently. A failure of any kind becomes an `Unseen`, or a result by `instead`."""

    async def one(thing: _T) -> tuple[_R, ...] | Unseen:
        try:
            return await work(thing)
        except Exception as error:  # noqa: BLE001 - one failure must not stop the others
            if instead is not None:
                return (instead(thing, error),)
            return Unseen(where=name(thing), error=str(error) or type(error).__name__)

    answers = await bounded_gather(one, things, at_once=AT_A_TIME)
    found = tuple(it for answer in answers if isinstance(answer, tuple) for it in answer)
    return found, tuple(answer for answer in answers if isinstance(answer, Unseen))
