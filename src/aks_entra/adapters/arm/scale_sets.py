"""Reads the scale sets of a cluster's nodes, and finds what AKS did not put on them.

AKS's own are: identities that the cluster's document names, the extension `vmssCSE` and those of the publisher
Microsoft.AKS, tags of the cluster and its pools, and tags with the names below. Programs that read scale sets look for
those names (Cluster API's provider for Azure, the cluster autoscaler). A rotation recreates the scale sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aks_entra.adapters.arm import guarded_put
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.surroundings import pages
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
    document = (await guarded_put.read(clients, cluster)).as_dict()
    properties: Document = document.get("properties") or {}
    nodes = f"/subscriptions/{cluster.subscription_id}/resourceGroups/{properties.get('nodeResourceGroup') or ''}"
    path = f"{nodes}/providers/Microsoft.Compute/virtualMachineScaleSets?api-version={_COMPUTE}"
    found = await pages(clients, path)
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
