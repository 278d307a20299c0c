"""Looks at a stage's members again, just before it begins: are their windows open. Never writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aks_entra.core.cluster import ClusterId
from aks_entra.core.windows import Window
from aks_entra.errors import AksEntraError
from aks_entra.patience import persist
from aks_entra.ports import Ports

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


async def _each(clusters: tuple[ClusterId, ...], look: Callable[[ClusterId], Awaitable[_T]]) -> tuple[_T, ...]:
    """The same look at every cluster, some side by side; answers in their order."""
    places = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def one(cluster: ClusterId) -> _T:
        async with places:
            return await look(cluster)

    return tuple(await asyncio.gather(*(one(cluster) for cluster in clusters)))
