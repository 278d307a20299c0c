"""Lists the clusters that a fleet file's selectors, or the options of a command, name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import Posture, is_guid, same_id
from aks_entra.core.planning.fleet import Selector
from aks_entra.errors import AksEntraError, Refused
from aks_entra.planning.reader import Reading
from aks_entra.ports.migration import ControlPlane

OnProblem: TypeAlias = Callable[[AksEntraError], None]
"""Called with the error of a selector or subscription whose clusters cannot be listed."""
OnNote: TypeAlias = Callable[[str], None]
"""Called with how the clusters of many subscriptions were found."""

_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_AT_ONCE: Final = 20  # subscriptions that are listed at the same time
_SEE: Final = (
    "see what there is: `aks-entra inventory`; without Microsoft.ContainerService/managedClusters/read Azure lists none"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which clusters are wanted, and how they are read.

    `fresh`: from ARM itself, because something may be written. Otherwise Azure Resource Graph is enough for a selector
    of many subscriptions. With `on_problem` a selector that cannot be listed does not stop the others.
    """

    selectors: tuple[Selector, ...]
    excluded: tuple[Selector, ...] = ()
    fresh: bool = True
    on_problem: OnProblem | None = None
    on_note: OnNote | None = None


async def select(arm: ControlPlane, reading: Reading, wanted: Selection) -> tuple[Posture, ...]:
    """Return the clusters that the selectors match, each once, sorted by id. Lists each subscription once.

    If every selector of a subscription names a resource group, only those groups are listed, so rights on the resource
    groups are enough. Raises the first problem. With `on_problem` the problems are passed to it instead, as long as at
    least one selector could be listed.

    Raises:
        Refused: A selector names something that does not exist, also one that excludes clusters by name.
    """
    return await _Listing(arm, reading, wanted).chosen()


class _Listing:
    """One listing of the clusters that are wanted."""

    def __init__(self, arm: ControlPlane, reading: Reading, wanted: Selection) -> None:
        self._arm = arm
        self._reading = reading
        self._wanted = wanted
        self._excluded: tuple[Selector, ...] = ()  # each with the id of its subscription
        self._partial = False  # whether clusters are missing that could not be listed

    async def chosen(self) -> tuple[Posture, ...]:
        """Return what `select` returns."""
        wanted, on_problem = self._wanted, self._wanted.on_problem
        self._excluded = tuple(await asyncio.gather(*(self._resolved(at) for at in range(len(wanted.excluded)))))
        ids = await asyncio.gather(*(self._subscription(at) for at in range(len(wanted.selectors))))
        found = await asyncio.gather(*(self._chosen(at, ids) for at in range(len(ids))))
        problems = [one for one in (*ids, *found) if isinstance(one, AksEntraError)]
        if problems and (on_problem is None or not any(isinstance(one, tuple) for one in found)):
            raise problems[0]
        for problem in {str(one): one for one in problems}.values():
            self._tell(problem)
        chosen = {one.cluster.key: one for there in found if isinstance(there, tuple) for one in there}
        kept = dict(chosen)
        for at, selector in enumerate(self._excluded):
            out = [key for key, posture in chosen.items() if _selects(selector, posture)]
            if not out and not self._partial:
                await self._excludes_nothing(at, selector)
            for key in out:
                kept.pop(key, None)
        return tuple(kept[key] for key in sorted(kept))

    async def _excludes_nothing(self, at: int, selector: Selector) -> None:
        """Say that an exclusion excludes nothing. Raises if it is a mistake that would let clusters in.

        Tags and subscriptions may select clusters that do not exist yet, so a subscription has to exist. One that this
        identity may not read has no clusters for it.
        """
        if selector.name or selector.resource_group:
            raise _nothing_to_exclude(at, selector)
        if selector.subscription:
            try:
                await self._arm.subscription_id(selector.subscription)
            except AksEntraError as error:
                if error.status != _FORBIDDEN:
                    error.field = error.field or f"exclude[{at}].subscription"
                    raise
        tags = ", ".join(f"{name}={value}" for name, value in selector.tags)
        has = f"has {tags}" if tags else "is there"
        place = f" in subscription {selector.subscription}" if selector.subscription else ""
        self._note(f"exclude[{at}] leaves out nothing: no cluster of the fleet{place} {has}")

    async def _resolved(self, at: int) -> Selector:
        """Return a selector that excludes clusters, with the id of its subscription. Raises if that is not known."""
        selector = self._wanted.excluded[at]
        if not selector.subscription:
            return selector
        try:
            return replace(selector, subscription=await self._id_of(selector.subscription))
        except AksEntraError as error:
            error.field = error.field or f"exclude[{at}].subscription"
            raise

    async def _id_of(self, name: str) -> str:
        if is_guid(name):
            return name.lower()  # the list of its clusters shows whether it exists
        return await self._reading.once("subscription", name, lambda: self._arm.subscription_id(name))

    async def _subscription(self, at: int) -> str | AksEntraError:
        """Return the id of a selector's subscription, or the error that says why it is not known.

        It is empty for a selector of many subscriptions.
        """
        selector = self._wanted.selectors[at]
        try:
            return "" if selector.wide else await self._id_of(selector.subscription)
        except AksEntraError as error:
            return _at_field(error, at, selector)

    async def _chosen(self, at: int, ids: list[str | AksEntraError]) -> tuple[Posture, ...] | AksEntraError | None:
        """Return the clusters that one selector matches, or the error that says why they cannot be listed.

        Returns None if the selector's subscription is not known: `_subscription` has returned that error already.
        """
        selector, subscription_id = self._wanted.selectors[at], ids[at]
        if isinstance(subscription_id, AksEntraError):
            return None
        try:
            listed = await (self._wide(selector) if selector.wide else self._list(at, ids, subscription_id))
        except AksEntraError as error:
            return _at_field(error, at, selector)
        matching = tuple(posture for posture in listed if selector.matches(posture))
        if not matching and (selector.resource_group or selector.name or selector.tags):
            return _no_match(at, selector, listed)
        return matching

    async def _list(self, at: int, ids: list[str | AksEntraError], subscription_id: str) -> tuple[Posture, ...]:
        """List the resource group of one selector, or its subscription if another selector needs all of it."""
        selectors = self._wanted.selectors
        siblings = [one for one, other in zip(selectors, ids, strict=True) if other == subscription_id]
        group = selectors[at].resource_group if all(one.resource_group for one in siblings) else None
        try:
            return await self._listed(subscription_id, group)
        except Refused as error:
            if group is not None and error.status == _NOT_FOUND:
                raise _no_match(at, selectors[at], ()) from error
            raise

    async def _listed(self, subscription_id: str, group: str | None = None) -> tuple[Posture, ...]:
        async def pages() -> tuple[Posture, ...]:
            return tuple([posture async for posture in self._arm.list_clusters(subscription_id, group)])

        return await self._reading.once("clusters", f"{subscription_id}/{group or ''}", pages)

    async def _wide(self, selector: Selector) -> tuple[Posture, ...]:
        """List the clusters of many subscriptions: those that Resource Graph names, or each that can be seen."""
        group = selector.management_group

        async def pages() -> tuple[Posture, ...]:
            return tuple([posture async for posture in self._arm.clusters_in_resource_graph(group)])

        try:
            known = await self._reading.once("resource graph", group or "", pages)
        except AksEntraError as error:
            return await self._one_by_one(selector, error)
        if not known and group is not None:
            await self._arm.subscription_ids(group)  # Resource Graph shows nothing where nothing may be read
        if not self._wanted.fresh:
            self._note(
                f"the clusters of {selector.place} are shown as Azure Resource Graph knows them: minutes old, and only "
                "those that this identity may read"
            )
            return known
        whole = {one.subscription for one in self._excluded if _whole_subscription(one)}
        return await self._all({posture.cluster.subscription_id.lower() for posture in known} - whole) + tuple(
            posture for posture in known if posture.cluster.subscription_id.lower() in whole
        )

    async def _one_by_one(self, selector: Selector, error: AksEntraError) -> tuple[Posture, ...]:
        """List every subscription that can be seen, because Resource Graph cannot be asked."""
        group = selector.management_group
        try:
            ids = await self._reading.once("subscriptions", group or "", lambda: self._arm.subscription_ids(group))
        except AksEntraError:
            raise error from None  # what was asked first says more
        self._note(f"{error.message}; so the subscriptions of {selector.place} are listed one by one: {len(ids)}")
        return await self._all(set(ids))

    async def _all(self, subscriptions: set[str]) -> tuple[Posture, ...]:
        """List subscriptions. With `on_problem`, one that cannot be listed does not stop the others."""

        async def one(subscription_id: str) -> tuple[Posture, ...] | AksEntraError:
            try:
                return await self._listed(subscription_id)
            except AksEntraError as error:
                return error

        ids = tuple(sorted(subscriptions))
        found = await bounded_gather(one, ids, at_once=_AT_ONCE)
        problems = [it for it in found if isinstance(it, AksEntraError)]
        if problems and self._wanted.on_problem is None and isinstance(problems[0], Refused):
            out = f"leave it out: `exclude: [{{subscription: {ids[found.index(problems[0])]}}}]`"
            problems[0].remedy = f"{problems[0].remedy}; or {out}" if problems[0].remedy else out
        if problems and (self._wanted.on_problem is None or len(problems) == len(found)):
            raise problems[0]
        for problem in problems:
            self._tell(problem)
        return tuple(posture for it in found if isinstance(it, tuple) for posture in it)

    def _tell(self, problem: AksEntraError) -> None:
        self._partial = True
        if self._wanted.on_problem is not None:
            self._wanted.on_problem(problem)

    def _note(self, text: str) -> None:
        if self._wanted.on_note is not None:
            self._wanted.on_note(text)


def _selects(selector: Selector, posture: Posture) -> bool:
    """Whether a selector that excludes clusters selects this one. Without a subscription it counts everywhere."""
    there = not selector.subscription or same_id(selector.subscription, posture.cluster.subscription_id)
    return there and selector.matches(posture)


def _whole_subscription(selector: Selector) -> bool:
    """Whether a selector that excludes clusters excludes all of a subscription."""
    return bool(selector.subscription) and not (selector.resource_group or selector.name or selector.tags)


def _at_field(error: AksEntraError, at: int, selector: Selector) -> AksEntraError:
    """Set the error's field to the place that the selector names, unless the error names a field already."""
    place = "management_group" if selector.management_group else "tenant" if selector.tenant else "subscription"
    error.field = error.field or f"clusters[{at}].{place}"
    return error


def _no_match(at: int, selector: Selector, listed: tuple[Posture, ...]) -> Refused:
    """Return the refusal that names the part of the selector that matches nothing."""
    steps = (
        ("resource_group", replace(selector, name=None, tags=()), selector.resource_group),
        ("name", replace(selector, tags=()), selector.name),
    )
    for field, looser, value in steps:
        if value is not None and not any(looser.matches(posture) for posture in listed):
            return Refused(
                f"no cluster matches {value!r} in {selector.place}", field=f"clusters[{at}].{field}", remedy=_SEE
            )
    tags = ", ".join(f"{name}={value}" for name, value in selector.tags)
    return Refused(f"no cluster in {selector.place} has {tags}", field=f"clusters[{at}].tags", remedy=_SEE)


def _nothing_to_exclude(at: int, selector: Selector) -> Refused:
    """Return the refusal of an exclusion by name that excludes nothing: a misspelt one would let its cluster in."""
    named = "/".join(one for one in (selector.resource_group, selector.name) if one)
    return Refused(
        f"no cluster of the fleet matches {named!r}, so nothing is excluded by it",
        field=f"exclude[{at}].{'name' if selector.name else 'resource_group'}",
        remedy="correct the name, or remove the entry if the cluster is gone",
    )
