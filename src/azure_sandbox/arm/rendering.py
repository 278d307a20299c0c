"""Answers made of a cluster: the resource, and its pools on their own."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.document import pool_answer
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster
from azure_sandbox.arm.versions import has_etags, has_kind

Document = dict[str, Any]


def _state_of(cluster: ManagedCluster, pool: Document) -> str:
    return cluster.pool_states.get(pool["name"], cluster.state)


def _etag_of(cluster: ManagedCluster, pool: Document, version: str) -> str:
    return cluster.pool_etags.get(pool["name"], cluster.etag) if has_etags(version) else ""


def render(cluster: ManagedCluster, version: str) -> Document:
    """The resource as an api-version shows it."""
    document, properties = cluster.document, cluster.properties
    pools = [pool_answer(it, _state_of(cluster, it), _etag_of(cluster, it, version)) for it in cluster.pools]
    shown: Document = {"provisioningState": cluster.state, **properties, "agentPoolProfiles": pools}
    answer: Document = {
        "id": cluster.id,
        "location": cluster.location,
        "name": cluster.name,
        "type": "Microsoft.ContainerService/ManagedClusters",
        **{key: value for key, value in document.items() if key not in {"location", "properties"}},
        "properties": shown,
    }
    if has_kind(version):
        answer["kind"] = "Base"
        shown["resourceUID"] = cluster.uid
    if has_etags(version):
        answer["eTag"] = cluster.etag
    return answer


def render_pool(cluster: ManagedCluster, pool: Document, version: str) -> Document:
    """A pool as a resource."""
    shown = pool_answer(pool, _state_of(cluster, pool), _etag_of(cluster, pool, version))
    return {
        "id": f"{cluster.id}/agentPools/{shown.pop('name')}",
        "name": pool["name"],
        "type": f"{CLUSTER_TYPE}/agentPools",
        "properties": shown,
    }
