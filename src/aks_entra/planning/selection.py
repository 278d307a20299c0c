"""Lists the clusters that a fleet file's selectors, or the options of a command, name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from aks_entra.core.cluster import Posture
from aks_entra.core.planning.fleet import Selector
from aks_entra.errors import AksEntraError, Refused
from aks_entra.planning.reader import Reading
from aks_entra.ports.migration import ControlPlane

OnProblem: TypeAlias = Callable[[AksEntraError], None]
"""Called with the error of a selector whose clusters cannot be listed."""

_NOT_FOUND: Final = 404
_SEE: Final = (
    "see what there is: `aks-entra inventory`; without Microsoft.ContainerService/managedClusters/read Azure lists none"
)


async def select(
    arm: ControlPlane, reading: Reading, selectors: tuple[Selector, ...], on_problem: OnProblem | None = None
) -> tuple[Posture, ...]:
    """Return the clusters that the selectors match, each once, sorted by id. Lists each subscription once.

    If every selector of a subscription names a resource group, only those groups are listed, so rights on the resource
    groups are enough. Raises the first problem. With `on_problem` the problems are passed to it instead, as long as at
    least one selector could be listed.
    """
    ids = await asyncio.gather(*(_subscription(arm, reading, at, one) for at, one in enumerate(selectors)))
    found = await asyncio.gather(*(_chosen(arm, reading, at, selectors, ids) for at in range(len(selectors))))
    problems = [one for one in (*ids, *found) if isinstance(one, AksEntraError)]
    if problems and (on_problem is None or not any(isinstance(one, tuple) for one in found)):
        raise problems[0]
    for problem in {str(one): one for one in problems}.values():
        if on_problem is not None:
            on_problem(problem)
    chosen = {one.cluster.key: one for there in found if isinstance(there, tuple) for one in there}
    return tuple(chosen[key] for key in sorted(chosen))


async def _subscription(arm: ControlPlane, reading: Reading, at: int, selector: Selector) -> str | AksEntraError:
    """Return the id of a selector's subscription, or the error that says why it is not known."""
    name = selector.subscription
    try:
        return await reading.once("subscription", name, lambda: arm.subscription_id(name))
    except AksEntraError as error:
        return _at_field(error, at)


async def _chosen(
    arm: ControlPlane, reading: Reading, at: int, selectors: tuple[Selector, ...], ids: list[str | AksEntraError]
) -> tuple[Posture, ...] | AksEntraError | None:
    """Return the clusters that one selector matches, or the error that says why they cannot be listed.

    Returns None if the selector's subscription is not known: `_subscription` has returned that error already.
    """
    selector, subscription_id = selectors[at], ids[at]
    if isinstance(subscription_id, AksEntraError):
        return None
    try:
        listed = await _list(arm, reading, at, selectors, ids, subscription_id)
    except AksEntraError as error:
        return _at_field(error, at)
    matching = tuple(posture for posture in listed if selector.matches(posture))
    if not matching and (selector.resource_group or selector.name or selector.tags):
        return _no_match(at, selector, listed)
    return matching


async def _list(
    arm: ControlPlane,
    reading: Reading,
    at: int,
    selectors: tuple[Selector, ...],
    ids: list[str | AksEntraError],
    subscription_id: str,
) -> tuple[Posture, ...]:
    """List the resource group of one selector, or its subscription if another selector needs all of it."""
    siblings = [one for one, other in zip(selectors, ids, strict=True) if other == subscription_id]
    group = selectors[at].resource_group if all(one.resource_group for one in siblings) else None

    async def pages() -> tuple[Posture, ...]:
        return tuple([posture async for posture in arm.list_clusters(subscription_id, group)])

    try:
        return await reading.once("clusters", f"{subscription_id}/{group or ''}", pages)
    except Refused as error:
        if group is not None and error.status == _NOT_FOUND:
            raise _no_match(at, selectors[at], ()) from error
        raise


def _at_field(error: AksEntraError, at: int) -> AksEntraError:
    """Set the error's field to the selector's subscription, unless the error names a field already."""
    error.field = error.field or f"clusters[{at}].subscription"
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
                f"no cluster matches {value!r} in subscription {selector.subscription}",
                field=f"clusters[{at}].{field}",
                remedy=_SEE,
            )
    tags = ", ".join(f"{name}={value}" for name, value in selector.tags)
    return Refused(
        f"no cluster in subscription {selector.subscription} has {tags}", field=f"clusters[{at}].tags", remedy=_SEE
    )
