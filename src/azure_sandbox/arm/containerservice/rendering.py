"""Render a cluster, and its agent pools, as the resources that ARM answers."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.containerservice import defaults
from azure_sandbox.arm.containerservice.document import ADDONS_WITH_IDENTITY, MACHINES, pool_answer
from azure_sandbox.arm.containerservice.versions import RESOURCE_UIDS_SINCE, has_etags, has_kind, omits_defaults
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster

Document = dict[str, Any]
CREATED, UPDATED = "created", "updated"


def _state_of(cluster: ManagedCluster, pool: Document) -> str:
    return cluster.pool_states.get(pool["name"], cluster.state)


def _etag_of(cluster: ManagedCluster, pool: Document, version: str) -> str:
    return cluster.pool_etags.get(pool["name"], cluster.etag) if has_etags(version) else ""


def _shown_pool(cluster: ManagedCluster, pool: Document, version: str, asked: str = "") -> Document:
    """Return a pool; the answer to a PUT repeats `nodeLabels` and `tags` even if they are empty."""
    release = defaults.release_of(cluster.properties["currentKubernetesVersion"])
    etag = "" if asked == CREATED else _etag_of(cluster, pool, version)
    answer = pool_answer(pool, _state_of(cluster, pool), etag)
    answer = defaults.shown(answer, defaults.SHOWN_OF_POOLS, version, release)
    if defaults.is_preview(version):
        answer.setdefault("workloadRuntime", "OCIContainer")
    if answer["type"] == MACHINES:  # recorded in September 2025
        measure = {"size": _spelt(str(answer.pop("vmSize"))), "count": answer.pop("count")}
        if answer["provisioningState"] != "Creating":
            answer["virtualMachineNodesStatus"] = [measure]
    if asked and release >= defaults.GROWN:
        answer.setdefault("nodeLabels", {})
    if not asked and not answer.get("tags"):
        answer.pop("tags", None)
    if omits_defaults(version) and not answer.get("enableAutoScaling"):
        answer.pop("enableAutoScaling", None)
    return answer


def _spelt(size: str) -> str:
    """Return a VM size as the service spells it: `Standard_D4s_v5` for `standard_d4s_v5`."""
    family, _, rest = size.partition("_")
    return f"{family.capitalize()}_{rest[:1].upper()}{rest[1:]}" if size.islower() else size


def _private_link(cluster: ManagedCluster) -> Document:
    """Return the private link resource of a private cluster, as public documents show it."""
    return {
        "id": f"{cluster.id}/privateLinkResources/management",
        "name": "management",
        "type": f"{CLUSTER_TYPE}/privateLinkResources",
        "groupId": "management",
        "requiredMembers": ["management"],
    }


def without_identities(answer: Document) -> None:
    """Remove the identities of add-ons from the answer to a PUT that sends add-ons. Recorded in August 2025."""
    for name, addon in (answer["properties"].get("addonProfiles") or {}).items():
        if addon and name.lower() in ADDONS_WITH_IDENTITY:
            addon.pop("identity", None)


def render(cluster: ManagedCluster, version: str, asked: str = "") -> Document:
    """Return the cluster as the resource that an api-version shows; `asked` is CREATED or UPDATED in a PUT's answer."""
    document, properties = cluster.document, cluster.properties
    release = defaults.release_of(properties["currentKubernetesVersion"])
    pools = [_shown_pool(cluster, it, version, asked) for it in cluster.pools]
    visible = defaults.shown(properties, defaults.SHOWN, version, release)
    defaults.hide_values(visible, version, release)
    shown: Document = {"provisioningState": cluster.state, **visible, "agentPoolProfiles": pools}
    if not version.endswith("-preview"):  # no stable api-version has it
        shown.pop("nodeDisruptionProfile", None)
    if not pools:
        del shown["agentPoolProfiles"]
    if (properties.get("apiServerAccessProfile") or {}).get("enablePrivateCluster") and asked != CREATED:
        shown["privateLinkResources"] = [_private_link(cluster)]
    answer: Document = {
        "id": cluster.id,
        "location": cluster.location,
        "name": cluster.name,
        "type": "Microsoft.ContainerService/ManagedClusters",
        **{key: value for key, value in document.items() if key not in {"location", "properties"}},
        "properties": shown,
    }
    if has_kind(version):
        answer["kind"] = document["sku"]["name"]
    if has_kind(version) or (version >= RESOURCE_UIDS_SINCE and release >= defaults.GROWN):
        shown["resourceUID"] = cluster.uid
    if has_etags(version) and asked != CREATED:
        answer["eTag"] = cluster.etag
    return answer


def render_pool(cluster: ManagedCluster, pool: Document, version: str) -> Document:
    """Return an agent pool as the resource that an api-version shows."""
    shown = _shown_pool(cluster, pool, version)
    return {
        "id": f"{cluster.id}/agentPools/{shown.pop('name')}",
        "name": pool["name"],
        "type": f"{CLUSTER_TYPE}/agentPools",
        "properties": shown,
    }
