"""Reads the node disruption policy and the upgrade gates of a cluster, which only a preview of ARM shows."""

from __future__ import annotations

from typing import Final

from aks_entra.adapters.arm import cluster_documents
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.documents import Document
from aks_entra.adapters.arm.surroundings import read
from aks_entra.core.cluster import ClusterId
from aks_entra.core.preflight import NodeDisruption

_PREVIEW: Final = "2026-08-02-preview"  # of clusters; a preview ends about a year later


async def node_disruption(clients: Clients, cluster: ClusterId) -> NodeDisruption | None:
    """Return the node disruption policy and the upgrade gates. None if unreadable or malformed.

    The documents name the policy's property, and `enabled` of a gate, but not the gate's own property. So every
    property of `upgradeSettings` with `gate` in its name counts as one.
    """
    document = await cluster_documents.listed(clients, cluster, _PREVIEW) or await read(
        clients, cluster.resource_id, _PREVIEW
    )
    try:
        properties = document["properties"] if document is not None else None
        if properties is None:
            return None
        policy = (properties.get("nodeDisruptionProfile") or {}).get("nodeDisruptionPolicy") or "Allow"
        scopes = [("the cluster", properties)]
        scopes += [(f"pool {pool['name']}", pool) for pool in properties.get("agentPoolProfiles") or ()]
        gated = tuple(name for name, scope in scopes if _gated(scope.get("upgradeSettings") or {}))
    except (AttributeError, KeyError, TypeError):
        return None
    return NodeDisruption(policy=str(policy), gated=gated)


def _gated(settings: Document) -> bool:
    return any("gate" in name.casefold() and (value or {}).get("enabled") for name, value in settings.items())
