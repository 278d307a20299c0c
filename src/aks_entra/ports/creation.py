"""The calls to Azure Resource Manager that only the creation of a cluster needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.creation.check import Network
    from aks_entra.core.creation.new_cluster import ChildResource, NewCluster
    from aks_entra.ports.operations import Operation


class Creation(Protocol):
    """Azure Resource Manager, as far as a cluster that does not exist yet is concerned."""

    async def document(self, cluster: ClusterId) -> Mapping[str, Any]:
        """Return the cluster as ARM shows it. Refused (code ResourceNotFound) when it does not exist."""

    async def child(self, cluster: ClusterId, child: ChildResource) -> Mapping[str, Any] | None:
        """Return the `properties` of a resource below the cluster. None if it does not exist."""

    async def regions(self, subscription_id: str) -> Mapping[str, tuple[str, ...]] | None:
        """Return the availability zones of each region of a subscription, by its short name. None if unreadable."""

    async def network(self, network_id: str) -> Network | None:
        """Return a virtual network, also one that does not exist. None if unreadable."""

    async def has_resource_group(self, subscription_id: str, name: str) -> bool | None:
        """Return whether a resource group exists. None if unreadable."""

    async def ensure_resource_group(self, subscription_id: str, name: str, location: str) -> bool:
        """Create the resource group unless it exists. Returns whether it was created."""

    async def create_cluster(self, new: NewCluster, *, failed: str | None = None) -> Operation:
        """PUT a cluster that does not exist (If-None-Match: *), or one whose creation failed.

        `failed` is the ETag of the failed one, or empty if ARM shows none. Rejected if the cluster is another one.
        """

    async def create_child(self, cluster: ClusterId, child: ChildResource) -> None:
        """PUT a resource below the cluster."""
