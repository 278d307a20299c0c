"""The documents of clusters that a world file describes: what would create them, and what a raw document says."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from azure_sandbox.arm.containerservice.document import derived, short
from azure_sandbox.arm.containerservice.spec import ClusterSpec, PoolSpec
from azure_sandbox.arm.state import ResourceGroup

Document = dict[str, Any]


def sent_for(spec: ClusterSpec, group: ResourceGroup, tenant: str) -> Document:
    """Return the PUT body that would create the cluster of a spec."""
    if spec.document is not None:
        sent: Document = deepcopy(dict(spec.document))
        sent.setdefault("location", spec.location or group.location)
        sent.setdefault("properties", {}).setdefault("dnsPrefix", spec.name)
        return sent
    pools = spec.pools or (PoolSpec(name="nodepool1", count=spec.nodes),)
    properties: Document = {
        "dnsPrefix": f"{spec.name}-dns",
        "kubernetesVersion": spec.version,
        "enableRBAC": spec.kubernetes_rbac,
        "disableLocalAccounts": not spec.local_accounts,
        "agentPoolProfiles": [_pool(it, spec.subnet) for it in pools],
    }
    entra = spec.entra_tenant or tenant
    match spec.identity:
        case "legacy":
            apps = {name: derived(group.subscription, spec.name, name) for name in ("clientAppID", "serverAppID")}
            properties["aadProfile"] = {**apps, "tenantID": entra}
        case "managed":
            properties["aadProfile"] = {
                "managed": True,
                "enableAzureRBAC": spec.azure_rbac,
                "adminGroupObjectIDs": list(spec.admin_groups),
                "tenantID": entra,
            }
        case "none":
            pass
    if spec.private:
        properties["apiServerAccessProfile"] = {"enablePrivateCluster": True, "enablePrivateClusterPublicFQDN": True}
    if spec.authorized_ip_ranges:
        access = properties.setdefault("apiServerAccessProfile", {"enablePrivateCluster": False})
        access["authorizedIPRanges"] = list(spec.authorized_ip_ranges)
    return {
        "location": spec.location or group.location,
        "tags": dict(spec.tags),
        "sku": {"name": "Base", "tier": spec.tier},
        "properties": properties,
    }


def _pool(it: PoolSpec, subnet: str) -> Document:
    pool: Document = {"name": it.name, "count": it.count, "mode": it.mode, "vmSize": it.vm_size}
    if it.low is not None or it.high is not None:
        pool |= {"enableAutoScaling": True, "minCount": it.low or it.count, "maxCount": it.high or it.count}
    if subnet:
        pool["vnetSubnetID"] = subnet
    if it.labels:
        pool["nodeLabels"] = dict(it.labels)
    return pool


def restore_read_only(document: Document, spec: ClusterSpec) -> str:
    """Restore the read-only properties that a raw document gives, and return its provisioning state."""
    properties = document["properties"]
    if spec.document is None:
        properties["powerState"] = {"code": spec.power_state}
        for pool in properties["agentPoolProfiles"]:
            pool["powerState"] = {"code": spec.power_state}
        return "Succeeded"
    raw: Document = dict(spec.document).get("properties") or {}
    for key in ("currentKubernetesVersion", "fqdn", "privateFQDN", "azurePortalFQDN", "powerState"):
        if key in raw:
            properties[key] = deepcopy(raw[key])
    if "fqdn" not in properties:
        properties["fqdn"] = f"{spec.name}-{short(spec.name)}.hcp.{document['location']}.azmk8s.io"
    return str(raw.get("provisioningState", "Succeeded"))
