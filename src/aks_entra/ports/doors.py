"""The reads about the doors of a cluster. Each raises only the four errors of `aks_entra.errors`, and none writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.doors.facts import JwtAuthenticator


class Doors(Protocol):
    """What Azure shows about the ways into a cluster. An answer that is not whole is an error, never an empty list."""

    async def jwt_authenticators(self, cluster: ClusterId) -> tuple[JwtAuthenticator, ...]:
        """Return the issuers of tokens that the API server accepts as well as Microsoft Entra ID's."""

    async def managed_namespaces(self, cluster: ClusterId) -> tuple[str, ...]:
        """Return the names of the managed namespaces."""
