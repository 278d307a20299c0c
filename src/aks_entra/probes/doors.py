"""Look at the doors of one cluster. A read that fails makes its own door "not looked at", and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.doors.facts import DoorFacts, Unread
from aks_entra.core.doors.registry import doors_of
from aks_entra.core.evidence.observations import DoorsSeen
from aks_entra.ports.doors import Doors
from aks_entra.ports.migration import Clock, Ports
from aks_entra.probes import checks
from aks_entra.probes.rights import add_rights
from aks_entra.probes.unread import read

_T = TypeVar("_T")

_CLUSTERS: Final = "Microsoft.ContainerService/managedClusters"


async def look(
    ports: Ports, posture: Posture, *, unreachable: str = "", asked: Collection[str] | None = None
) -> tuple[DoorsSeen, ...]:
    """Return every door of a cluster whose posture was just read. Without a port for it, return nothing.

    `unreachable`: why the API server did not answer a moment ago. Then it is not asked again. `asked`: the doors (ids)
    for which AKS is asked about its child resources, because it allows one such request a second for all clusters of a
    subscription. None: all.
    """
    if ports.doors is None:
        return ()
    read_facts = await _facts(ports.doors, ports.clock, posture, asked)
    facts = await add_rights(read_facts, ports, posture, unreachable=unreachable)
    return (DoorsSeen(at=checks.stamp(ports.clock), doors=doors_of(facts)),)


async def _facts(doors: Doors, clock: Clock, posture: Posture, asked: Collection[str] | None) -> DoorFacts:
    """Read the facts side by side, each with one right of its own."""
    cluster = posture.cluster

    async def child(door: str, name: str, call: Callable[[ClusterId], Awaitable[_T]]) -> _T | Unread:
        if asked is not None and door not in asked:
            return Unread(
                why="a migration asks Azure about it only if `target.doors` names it",
                remedy=f"look at it: `aks-entra doors {cluster}`",
            )
        return await read(clock, f"{_CLUSTERS}/{name}/read", lambda: call(cluster))

    jwt_authenticators, managed_namespaces = await asyncio.gather(
        child("jwt-authenticators", "jwtAuthenticators", doors.jwt_authenticators),
        child("managed-namespaces", "managedNamespaces", doors.managed_namespaces),
    )
    return DoorFacts(posture=posture, jwt_authenticators=jwt_authenticators, managed_namespaces=managed_namespaces)
