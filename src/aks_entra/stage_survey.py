"""Looks at a stage's members again, just before it begins: did they move, are their windows open. Never writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aks_entra import proofs
from aks_entra.core.cluster import ClusterId
from aks_entra.core.plan import ClusterPlan, Moved, remaining
from aks_entra.core.steps import Guarded
from aks_entra.core.windows import Window
from aks_entra.errors import AksEntraError
from aks_entra.patience import persist
from aks_entra.ports import Ports

_A = TypeVar("_A")
_T = TypeVar("_T")
_PATIENCE: Final = 300.0  # seconds: how long throttling is waited out for one read
_SIDE_BY_SIDE: Final = 20


async def maintenance_windows(ports: Ports, clusters: tuple[ClusterId, ...]) -> tuple[tuple[Window, ...] | None, ...]:
    """The maintenance configurations of each cluster; None where they could not be read."""

    async def of(cluster: ClusterId) -> tuple[Window, ...] | None:
        try:
            return await persist(ports.clock, _PATIENCE, lambda: ports.arm.maintenance_windows(cluster))
        except AksEntraError:
            return None

    return await _each(clusters, of)


async def moved(ports: Ports, plans: tuple[ClusterPlan, ...]) -> dict[ClusterId, tuple[str, ...]]:
    """Which clusters are in no state that their approved steps lead through, and what is otherwise there.

    What cannot be read, or is being worked on, counts as unmoved: it is read once more before its first write.
    """

    async def of(plan: ClusterPlan) -> tuple[str, ...]:
        cluster = plan.cluster
        try:
            posture = await persist(ports.clock, _PATIENCE, lambda: ports.arm.cluster(cluster))
            if not posture.at_rest or posture.stopped:
                return ()
            ca = await persist(ports.clock, _PATIENCE, lambda: ports.arm.certificate_authority(cluster))
            groups = await proofs.existing_groups(ports, plan)
        except AksEntraError:
            return ()
        left = remaining(plan, Guarded.of(posture.with_ca(ca)), groups)
        return left.differences if isinstance(left, Moved) else ()

    found = await _each(plans, of)
    return {plan.cluster: differences for plan, differences in zip(plans, found, strict=True) if differences}


async def _each(all_: tuple[_A, ...], look: Callable[[_A], Awaitable[_T]]) -> tuple[_T, ...]:
    """The same look at each of them, some side by side; answers in their order."""
    places = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def one(subject: _A) -> _T:
        async with places:
            return await look(subject)

    return tuple(await asyncio.gather(*(one(subject) for subject in all_)))
