"""Look at the doors of one cluster. A read that fails makes its own door "not looked at", and nothing else."""

from __future__ import annotations

import asyncio
from typing import Final

from aks_entra.core.cluster import Posture
from aks_entra.core.doors.facts import DoorFacts
from aks_entra.core.doors.registry import doors_of
from aks_entra.core.evidence.observations import DoorsSeen
from aks_entra.ports.doors import Doors
from aks_entra.ports.migration import Clock, Ports
from aks_entra.probes import checks
from aks_entra.probes.rights import add_rights
from aks_entra.probes.unread import read

_CLUSTERS: Final = "Microsoft.ContainerService/managedClusters"


async def look(ports: Ports, posture: Posture, *, unreachable: str = "") -> tuple[DoorsSeen, ...]:
    """Return every door of a cluster whose posture was just read. Without a port for it, return nothing.

    `unreachable`: why the API server did not answer a moment ago. Then it is not asked again.
    """
    if ports.doors is None:
        return ()
    facts = await add_rights(await _facts(ports.doors, ports.clock, posture), ports, posture, unreachable=unreachable)
    return (DoorsSeen(at=checks.stamp(ports.clock), doors=doors_of(facts)),)


async def _facts(doors: Doors, clock: Clock, posture: Posture) -> DoorFacts:
    """Read the facts side by side, each with one right of its own."""
    cluster = posture.cluster
    jwt_authenticators, managed_namespaces = await asyncio.gather(
        read(clock, f"{_CLUSTERS}/jwtAuthenticators/read", lambda: doors.jwt_authenticators(cluster)),
        read(clock, f"{_CLUSTERS}/managedNamespaces/read", lambda: doors.managed_namespaces(cluster)),
    )
    return DoorFacts(posture=posture, jwt_authenticators=jwt_authenticators, managed_namespaces=managed_namespaces)
