"""The doors of the world in memory: what each read returns, or the error that it raises."""

from __future__ import annotations

from dataclasses import dataclass

from aks_entra.core.cluster import ClusterId
from aks_entra.core.doors.facts import JwtAuthenticator


@dataclass(kw_only=True)
class WorldDoors:
    """A port whose answers a test sets. An exception among them is raised."""

    authenticators: tuple[JwtAuthenticator, ...] | Exception = ()
    namespaces: tuple[str, ...] | Exception = ()
    asked: int = 0  # how often somebody looked

    async def jwt_authenticators(self, _: ClusterId) -> tuple[JwtAuthenticator, ...]:
        self.asked += 1
        if isinstance(self.authenticators, Exception):
            raise self.authenticators
        return self.authenticators

    async def managed_namespaces(self, _: ClusterId) -> tuple[str, ...]:
        if isinstance(self.namespaces, Exception):
            raise self.namespaces
        return self.namespaces
