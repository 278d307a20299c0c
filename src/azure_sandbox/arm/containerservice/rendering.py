"""Render a cluster, and its agent pools, as the resources that ARM answers."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.containerservice.document import pool_answer
from azure_sandbox.arm.containerservice.versions import has_etags, has_kind
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster

Document = dict[str, Any]


def _state_of(cluster: ManagedCluster, pool: Document) -> str:
    return cluster.pool_states.get(pool["name"], cluster.state)


def _etag_of(cluster: ManagedCluster, pool: Document, version: str) -> str:
    return cluster.pool_etags.get(pool["name"], cluster.etag) if has_etags(version) else ""


def render(cluster: ManagedCluster, version: str) -> Document:
    """Return the cluster as the resource that an api-version shows."""
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
    """Return an agent pool as the resource that an api-version shows."""
    shown = pool_answer(pool, _state_of(cluster, pool), _etag_of(cluster, pool, version))
    return {
        "id": f"{cluster.id}/agentPools/{shown.pop('name')}",
        "name": pool["name"],
        "type": f"{CLUSTER_TYPE}/agentPools",
        "properties": shown,
    }
