"""ARM's documents of clusters, from one list for all clusters of a plan where that is possible.

A plan has listed its clusters, so it lists them again for what only the whole documents show. A session that writes, or
that is about single clusters, reads each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from aks_entra.adapters.arm import guarded_put, surroundings
from aks_entra.adapters.arm.clients import CONTAINER_SERVICE, Clients
from aks_entra.adapters.arm.documents import Document
from aks_entra.adapters.arm.shared_reads import ChangedBy
from aks_entra.core.cluster import ClusterId

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import ManagedCluster

_KIND: Final = "providers/Microsoft.ContainerService/managedClusters"


async def document(clients: Clients, cluster: ClusterId) -> Document:
    """Return the document of a cluster as ARM shows it. Raises the errors of a GET."""
    return await listed(clients, cluster, CONTAINER_SERVICE) or (await _read(clients, cluster)).as_dict()


async def sendable(clients: Clients, cluster: ClusterId) -> dict[str, Any]:
    """Return the document of a cluster without the properties that ARM marks read-only. Raises the errors of a GET."""
    found = await listed(clients, cluster, CONTAINER_SERVICE)
    model = await _read(clients, cluster) if found is None else _model(found)
    return model.as_dict(exclude_readonly=True)


async def listed(clients: Clients, cluster: ClusterId, version: str) -> Document | None:
    """Return the document of a cluster in the list of the clusters that this session is about, in an api-version.

    None if this session listed no clusters there or wrote to some, and if the list cannot be read or lacks the cluster.
    """
    scope = None if clients.shared.wrote_clusters else clients.shared.widest(cluster.subscription, cluster.group)
    if scope is None:
        return None
    path = f"{scope}/{_KIND}?api-version={version}"
    found = await clients.shared.once(ChangedBy.CLUSTERS, f"documents {path}", lambda: _by_key(clients, path))
    return None if found is None else found.get(cluster.key)


async def _by_key(clients: Clients, path: str) -> Mapping[str, Document] | None:
    found = await surroundings.pages(clients, path)
    return None if found is None else {str(one.get("id") or "").lower(): one for one in found}


def _model(found: Document) -> ManagedCluster:
    from azure.mgmt.containerservice.models import ManagedCluster

    return ManagedCluster(found)


async def _read(clients: Clients, cluster: ClusterId) -> ManagedCluster:
    """Return the cluster as the SDK's model, read once for the facts that need it."""
    return await clients.shared.once(
        ChangedBy.CLUSTERS, f"document {cluster.key}", lambda: guarded_put.read(clients, cluster)
    )
