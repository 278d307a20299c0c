"""Reads ARM's lists of clusters page by page, without the SDK's models.

A person waits for a list. The models take half a millisecond for each cluster, which is seconds for a large
subscription, and nothing else runs during that time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from aks_entra.adapters.arm import documents
from aks_entra.adapters.arm.clients import CONTAINER_SERVICE, Clients
from aks_entra.adapters.arm.cluster_document import posture_of
from aks_entra.adapters.arm.documents import ARM
from aks_entra.core.cluster import Posture
from aks_entra.errors import Rejected


async def pages(clients: Clients, subscription_id: str, resource_group: str | None) -> AsyncIterator[list[Posture]]:
    """Return the clusters of a subscription, or of one group in it, at depth "listed", one page of ARM at a time."""
    doing = f"list the clusters of {resource_group or f'subscription {subscription_id}'}"
    scope = f"/subscriptions/{quote(subscription_id)}"
    if resource_group:
        scope += f"/resourceGroups/{quote(resource_group)}"
    kind = "providers/Microsoft.ContainerService/managedClusters"
    url = f"{ARM}{scope}/{kind}?api-version={CONTAINER_SERVICE}"
    clients.shared.listed(scope)
    found = 0
    async for page in documents.pages(clients, url, doing):
        postures = [posture_in(item, doing) for item in page.get("value") or ()]
        found += len(postures)
        clients.shared.listed(scope, found)
        yield postures


def posture_in(item: Any, doing: str) -> Posture:
    """Return the cluster of an item in a list. Rejected (code Malformed) if the item cannot be read."""
    try:
        return posture_of(item)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        named = str((item.get("id") if isinstance(item, Mapping) else "") or "one without an id")[:200]
        raise Rejected(
            f"could not {doing}: a cluster in the list is malformed ({named}): {type(error).__name__} {error}"[:500],
            remedy="look at this cluster in the portal; if it is correct there, report this as a bug in aks-entra",
            code="Malformed",
        ) from error
