"""The writes of the policy assignment that keeps local accounts off. Each raises the four errors of `aks_entra.errors`.

`ControlPlane.policies` reads it. What bears its name without our metadata is somebody else's: it is Refused (code
NotOurs) and stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId


class DenyPolicies(Protocol):
    """Our policy assignment on one cluster, and the cluster's exemption from it."""

    async def assign(self, cluster: ClusterId, plan_digest: str) -> str:
        """PUT the assignment with the effect Deny. Return the correlation id."""

    async def remove(self, cluster: ClusterId) -> bool:
        """DELETE the assignment. Return whether it existed."""

    async def exempt(self, cluster: ClusterId, until: str, reason: str) -> None:
        """PUT the exemption until a moment (ISO 8601), or move its end."""

    async def end_exemption(self, cluster: ClusterId) -> bool:
        """DELETE the exemption. Return whether it existed."""
