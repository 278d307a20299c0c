"""Reads the scale sets of a cluster's nodes, and finds what AKS did not put on them.

AKS's own are: identities that the cluster's document names, the extension `vmssCSE` and those of the publisher
Microsoft.AKS, tags of the cluster and its pools, and tags with the names below. Programs that read scale sets look for
those names (Cluster API's provider for Azure, the cluster autoscaler). A rotation recreates the scale sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aks_entra.adapters.arm import cluster_documents
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.shared_reads import ChangedBy
from aks_entra.adapters.arm.surroundings import pages, whole
from aks_entra.core.cluster import ClusterId
from aks_entra.core.preflight import ScaleSetAddition

_COMPUTE: Final = "2024-07-01"
_IDENTITIES: Final = "/userassignedidentities/"
_TAGS: Final = frozenset({"poolname", "orchestrator", "creationsource", "resourcenamesuffix", "aksengineversion"})
_TAG_PREFIXES: Final = ("aks-", "kubernetes.azure.com")
_EXTENSION: Final = "vmsscse"
_PUBLISHER: Final = "microsoft.aks"

Document = Mapping[str, Any]


async def additions(clients: Clients, cluster: ClusterId) -> tuple[ScaleSetAddition, ...] | None:
    """Return what somebody else put on the cluster's scale sets. None if unreadable or malformed."""
    document = await cluster_documents.document(clients, cluster)
    properties: Document = document.get("properties") or {}
    nodes = f"{cluster.subscription}/resourceGroups/{properties.get('nodeResourceGroup') or ''}"
    found = await _scale_sets(clients, cluster, nodes)
    if found is None:
        return None
    identities = frozenset(_identities(document))
    try:
        tags = [document.get("tags"), *(pool.get("tags") for pool in properties.get("agentPoolProfiles") or ())]
        own = frozenset(name.casefold() for one in tags for name in one or {})
        return tuple(
            ScaleSetAddition(scale_set=str(one["name"]), what=what)
            for one in found
            for what in _added(one, identities, own)
        )
    except (AttributeError, KeyError, TypeError):
        return None


async def _scale_sets(clients: Clients, cluster: ClusterId, nodes: str) -> list[Document] | None:
    """Return the scale sets in the node resource group (its id). None if unreadable.

    A session about many clusters of a subscription lists it once. ARM may leave out what the caller may not see there,
    so a group that seems to have no scale set is asked itself.
    """
    kind = f"providers/Microsoft.Compute/virtualMachineScaleSets?api-version={_COMPUTE}"
    if clients.shared.about_many(cluster.subscription):
        everywhere = await whole(clients, ChangedBy.CLUSTERS, f"{cluster.subscription}/{kind}")
        prefix = f"{nodes}/".lower()
        if found := [one for one in everywhere or () if str(one.get("id") or "").lower().startswith(prefix)]:
            return found
    return await pages(clients, f"{nodes}/{kind}")


def _added(scale_set: Document, identities: frozenset[str], tags: frozenset[str]) -> Iterator[str]:
    for identity in (scale_set.get("identity") or {}).get("userAssignedIdentities") or ():
        if str(identity).casefold() not in identities:
            yield f"identity {str(identity).rpartition('/')[2]}"
    profile = (scale_set.get("properties") or {}).get("virtualMachineProfile") or {}
    for extension in (profile.get("extensionProfile") or {}).get("extensions") or ():
        publisher = str((extension.get("properties") or {}).get("publisher") or "").casefold()
        if extension["name"].casefold() != _EXTENSION and not publisher.startswith(_PUBLISHER):
            yield f"extension {extension['name']}"
    for name in scale_set.get("tags") or ():
        if name.casefold() not in _TAGS | tags and not name.casefold().startswith(_TAG_PREFIXES):
            yield f"tag {name}"


def _identities(value: object) -> Iterator[str]:
    """Return all ids of user-assigned identities in a document, wherever they are, in lower case."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _identities(key)
            yield from _identities(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _identities(inner)
    elif isinstance(value, str) and _IDENTITIES in value.casefold():
        yield value.casefold()
