"""Look at the doors of one cluster. A read that fails makes its own door "not looked at", and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aks_entra.core.cluster import Posture
from aks_entra.core.doors.facts import DoorFacts, Unread
from aks_entra.core.doors.registry import doors_of
from aks_entra.core.evidence.observations import DoorsSeen
from aks_entra.errors import AksEntraError, unexpected
from aks_entra.ports.doors import Doors
from aks_entra.ports.migration import Clock, Ports
from aks_entra.probes import checks
from aks_entra.retry import persist

_T = TypeVar("_T")
_PATIENCE: Final = 20.0  # seconds for which a read about doors waits for a service that throttles
_FORBIDDEN: Final = 403
_CLUSTERS: Final = "Microsoft.ContainerService/managedClusters"


async def look(ports: Ports, posture: Posture) -> tuple[DoorsSeen, ...]:
    """Return every door of a cluster whose posture was just read. Without a port for it, return nothing."""
    if ports.doors is None:
        return ()
    facts = await _facts(ports.doors, ports.clock, posture)
    return (DoorsSeen(at=checks.stamp(ports.clock), doors=doors_of(facts)),)


async def _facts(doors: Doors, clock: Clock, posture: Posture) -> DoorFacts:
    """Read the facts side by side, each with one right of its own."""
    cluster = posture.cluster
    jwt_authenticators, managed_namespaces = await asyncio.gather(
        _read(clock, f"{_CLUSTERS}/jwtAuthenticators/read", lambda: doors.jwt_authenticators(cluster)),
        _read(clock, f"{_CLUSTERS}/managedNamespaces/read", lambda: doors.managed_namespaces(cluster)),
    )
    return DoorFacts(posture=posture, jwt_authenticators=jwt_authenticators, managed_namespaces=managed_namespaces)


async def _read(clock: Clock, right: str, call: Callable[[], Awaitable[_T]]) -> _T | Unread:
    """Read one fact. `right` is what Azure asks for, and is the remedy if the service forbids the read."""
    try:
        return await persist(clock, _PATIENCE, call)
    except AksEntraError as error:
        remedy = f"grant {right}" if error.status == _FORBIDDEN else error.remedy
        return Unread(why=error.message, remedy=remedy or "look again later: `aks-entra doors`")
    except Exception as error:  # noqa: BLE001 - a look at a door must not end a migration
        return Unread(why=unexpected(error), remedy="report it as a bug in aks-entra")
