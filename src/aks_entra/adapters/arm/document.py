"""A managed cluster's ARM document, read: wire names in, a posture out. It must not know how documents are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from aks_entra.core.cluster import ClusterId, Identity, Pool, Posture
from aks_entra.core.steps import Guarded

Document: TypeAlias = Mapping[str, Any]

LEGACY_KEYS = ("clientAppID", "serverAppID", "serverAppSecret")
"""The applications of the integration that came before AKS-managed Microsoft Entra ID."""


def posture_of(document: Document) -> Posture:
    """One cluster at depth "listed", from ARM's GET, list item or answer to a PUT."""
    properties: Document = document.get("properties") or {}
    profile: Document | None = properties.get("aadProfile")
    access: Document = properties.get("apiServerAccessProfile") or {}
    tags: Document = document.get("tags") or {}
    return Posture(
        cluster=ClusterId.parse(document["id"]),
        location=str(document.get("location") or ""),
        version=str(properties.get("currentKubernetesVersion") or properties.get("kubernetesVersion") or ""),
        tier=str((document.get("sku") or {}).get("tier") or "Free"),
        identity=identity_of(profile),
        tenant_id=(profile or {}).get("tenantID"),
        admin_group_ids=tuple((profile or {}).get("adminGroupObjectIDs") or ()),
        azure_rbac=bool((profile or {}).get("enableAzureRBAC")),
        local_accounts=not properties.get("disableLocalAccounts"),
        kubernetes_rbac=properties.get("enableRBAC") is not False,
        provisioning_state=str(properties.get("provisioningState") or "Succeeded"),
        power_state=_power(properties),
        pools=tuple(
            _pool(pool, properties.get("networkProfile") or {}) for pool in properties.get("agentPoolProfiles") or ()
        ),
        fqdn=properties.get("fqdn") or properties.get("privateFQDN"),
        private=bool(access.get("enablePrivateCluster")),
        authorized_ip_ranges=tuple(access.get("authorizedIPRanges") or ()),
        node_resource_group=str(properties.get("nodeResourceGroup") or ""),
        tags=tuple(sorted((str(name), str(value)) for name, value in tags.items())),
        etag=document.get("eTag") or document.get("etag"),
        uid=str(properties.get("resourceUID") or ""),
    )


def identity_of(profile: Document | None) -> Identity:
    """Which integration an `aadProfile` describes; `managed` alone tells the two apart."""
    if profile is None:
        return Identity.NONE
    return Identity.MANAGED if profile.get("managed") else Identity.LEGACY


def legacy_ids(document: Document) -> tuple[str, ...]:
    """Applications of the legacy integration that a document still names."""
    profile: Document = (document.get("properties") or {}).get("aadProfile") or {}
    return tuple(key for key in LEGACY_KEYS if profile.get(key))


def moved(expected: Guarded, now: Posture) -> tuple[str, ...]:
    """What ARM shows otherwise than was approved, in words. Its CA is not ARM's to show; a tenant of None is any."""
    found = Guarded.of(now)
    tenant_id = found.tenant_id if expected.tenant_id else None
    return replace(expected, ca=None).differences(replace(found, tenant_id=tenant_id), ca_before=None)


def _pool(pool: Document, network: Document) -> Pool:
    scaled = bool(pool.get("enableAutoScaling"))
    return Pool(
        name=str(pool.get("name") or ""),
        mode=str(pool.get("mode") or "User"),
        count=int(pool.get("count") or 0),
        min_count=pool.get("minCount") if scaled else None,
        max_count=pool.get("maxCount") if scaled else None,
        provisioning_state=str(pool.get("provisioningState") or "Succeeded"),
        power_state=_power(pool),
        version=pool.get("currentOrchestratorVersion") or pool.get("orchestratorVersion"),
        os_type=str(pool.get("osType") or "Linux"),
        vm_size=str(pool.get("vmSize") or ""),
        subnet_id=pool.get("vnetSubnetID"),
        addresses_per_node=1 + _pods_beside_nodes(pool, network),
    )


def _pods_beside_nodes(pool: Document, network: Document) -> int:
    """How many pods of a node take addresses of its own subnet: none in an overlay, or with a subnet for pods."""
    flat = network.get("networkPlugin") == "azure" and network.get("networkPluginMode") != "overlay"
    return int(pool.get("maxPods") or 30) if flat and not pool.get("podSubnetID") else 0


def _power(document: Document) -> str:
    return str((document.get("powerState") or {}).get("code") or "Running")
