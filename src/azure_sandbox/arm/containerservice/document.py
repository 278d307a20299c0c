"""Complete the document of a managed cluster, as the service completes what a client sends.

Recorded exchanges check the result. Unknown properties are kept as they are.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from azure_sandbox.arm.containerservice import defaults
from azure_sandbox.arm.containerservice.versions import DEFAULT, patch_of

Document = dict[str, Any]
_NAMES = uuid.UUID("0b7f4f0e-5a0f-4c7e-9a0c-6a1d0a7a3c55")
WRITE_ONLY = (("servicePrincipalProfile", "secret"), ("windowsProfile", "adminPassword"))
COMPUTED = (
    *("provisioningState", "currentKubernetesVersion", "fqdn", "privateFQDN", "azurePortalFQDN", "maxAgentPools"),
    "privateLinkResources",
)
_SPOT_ONLY = ("scaleSetPriority", "scaleSetEvictionPolicy", "spotMaxPrice")
MACHINES = "VirtualMachines"
PRIVATE = {"privateDNSZone": "system", "enablePrivateClusterPublicFQDN": True}
ADDONS_WITH_IDENTITY = ("azurekeyvaultsecretsprovider", "azurepolicy")
_POOL = {
    "count": 1,
    "vmSize": "Standard_D4s_v5",
    "osDiskSizeGB": 128,
    "osDiskType": "Managed",
    "kubeletDiskType": "OS",
    "maxPods": 110,
    "type": "VirtualMachineScaleSets",
    "powerState": {"code": "Running"},
    "mode": "System",
    "osType": "Linux",
    "osSKU": "Ubuntu",
    "enableFIPS": False,
}
_STORAGE = {
    "diskCSIDriver": {"enabled": True, "version": "v1"},
    "fileCSIDriver": {"enabled": True},
    "snapshotController": {"enabled": True},
}
_NETWORK = {
    "loadBalancerSku": "standard",
    "podCidr": "10.244.0.0/16",
    "serviceCidr": "10.0.0.0/16",
    "dnsServiceIP": "10.0.0.10",
    "outboundType": "loadBalancer",
}


def derived(*parts: str) -> str:
    """Return a GUID, the same for the same names."""
    return str(uuid.uuid5(_NAMES, "/".join(parts).lower()))


def short(*parts: str) -> str:
    """Return eight hexadecimal digits, the same for the same names."""
    return hashlib.sha256("/".join(parts).lower().encode()).hexdigest()[:8]


def merge(held: Any, change: Any) -> Any:
    """Return a value after a JSON merge patch (RFC 7396)."""
    if not isinstance(change, Mapping):
        return deepcopy(change)
    merged = dict(held) if isinstance(held, dict) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def merged_aad(sent: Document | None, held: Document | None, tenant: str) -> Document | None:
    """Return the `aadProfile` that the service answers: with `adminUsers` and the tenant, without secrets. Recorded."""
    if sent is None:
        return held
    if not sent.get("managed"):
        return {
            "adminGroupObjectIDs": sent.get("adminGroupObjectIDs"),
            "adminUsers": None,
            **{key: sent[key] for key in ("clientAppID", "serverAppID") if key in sent},
            "tenantID": sent.get("tenantID") or tenant,
        }
    answer: Document = {"managed": True, "adminGroupObjectIDs": sent.get("adminGroupObjectIDs"), "adminUsers": None}
    if sent.get("enableAzureRBAC") is not None:
        answer["enableAzureRBAC"] = sent["enableAzureRBAC"]
    answer["tenantID"] = sent.get("tenantID") or (held or {}).get("tenantID") or tenant
    known = {"managed", "adminGroupObjectIDs", "adminUsers", "enableAzureRBAC", "tenantID"}
    legacy = {"clientAppID", "serverAppID", "serverAppSecret"}
    return answer | {key: value for key, value in sent.items() if key not in known | legacy}


def complete_pool(sent: Document, held: Document | None, version: str) -> Document:
    """Return an agent pool as the service answers it; `held` is the pool before, `version` the default version."""
    pool: Document = {**deepcopy(_POOL), **(held or {}), **{key: it for key, it in sent.items() if it is not None}}
    for key in ("osDiskSizeGB", "vmSize"):
        pool[key] = pool[key] or (held or _POOL)[key]
    pool["orchestratorVersion"] = patch_of(pool.get("orchestratorVersion") or version)
    pool["currentOrchestratorVersion"] = pool["orchestratorVersion"]
    pool.setdefault("nodeImageVersion", "AKSUbuntu-2204gen2containerd-202510.01.0")
    if pool.get("scaleSetPriority", "Regular") != "Spot":
        for key in _SPOT_ONLY:
            pool.pop(key, None)
    for key in ("nodeTaints", "nodeInitializationTaints"):
        pool[key] = [it for it in pool.get(key) or () if it]
    for key in ("nodeTaints", "nodeLabels", "nodeInitializationTaints"):
        if not pool.get(key):
            pool.pop(key, None)
    _measure_machines(pool)
    defaults.fill_pool(pool, defaults.release_of(version))
    for key in ("provisioningState", "eTag"):
        pool.pop(key, None)
    return pool


def _measure_machines(pool: Document) -> None:
    """Set the count and the size of a pool of single machines (type VirtualMachines), which its own profile states."""
    scales = ((pool.get("virtualMachinesProfile") or {}).get("scale") or {}).get("manual") or ()
    if pool["type"] == MACHINES and scales:
        pool["count"] = sum(int(it.get("count") or 0) for it in scales)
        pool["vmSize"] = str(scales[0].get("size") or pool["vmSize"])


def keep_addons(properties: Document, held: Document) -> None:
    """Complete the add-ons of an update with what the service keeps of them: identities and the lists of DNS zones."""
    before = held.get("addonProfiles") or {}
    for name, addon in (properties.get("addonProfiles") or {}).items():
        if addon is not None:
            addon.setdefault("config", None)
        if addon and addon.get("enabled") and (identity := (before.get(name) or {}).get("identity")):
            addon.setdefault("identity", identity)
    routing = (properties.get("ingressProfile") or {}).get("webAppRouting") or {}
    if routing.get("enabled"):
        kept = (held.get("ingressProfile") or {}).get("webAppRouting") or {}
        routing.setdefault("dnsZoneResourceIds", kept.get("dnsZoneResourceIds"))
        if identity := kept.get("identity"):
            routing.setdefault("identity", identity)


def _network(sent: Document, release: defaults.Release) -> Document:
    given = {key: it for key, it in sent.items() if it is not None}
    network: Document = {**_NETWORK, **({} if "networkPlugin" in given else defaults.network_of(release)), **given}
    if network.get("networkPluginMode") is None and network["networkPlugin"] == "azure" and "podCidr" not in sent:
        network.pop("podCidr", None)
    if network["outboundType"] == "loadBalancer":
        balancer = dict(network.get("loadBalancerProfile") or {"managedOutboundIPs": {"count": 1}})
        outbound = dict(balancer.get("managedOutboundIPs") or {})
        if outbound.get("countIPv6") == 0:
            del outbound["countIPv6"]
        if outbound:
            balancer["managedOutboundIPs"] = outbound
        balancer.setdefault("backendPoolType", "nodeIPConfiguration")
        network["loadBalancerProfile"] = balancer
    if "podCidr" in network:
        network.setdefault("podCidrs", [network["podCidr"]])
    network.setdefault("serviceCidrs", [network["serviceCidr"]])
    network.setdefault("ipFamilies", ["IPv4"])
    defaults.fill_network(network, release)
    return network


def _kept_network(properties: Document, held: Document) -> Document:
    """Return the network of an update: what it does not name is as before, and so are the outbound addresses."""
    before = held.get("networkProfile") or {}
    network = {**before, **(properties.get("networkProfile") or {})}
    for name in ("loadBalancerProfile", "natGatewayProfile"):
        if addresses := (before.get(name) or {}).get("effectiveOutboundIPs"):
            network[name] = {"effectiveOutboundIPs": addresses, **(network.get(name) or {})}
    return network


def pods_of(network: Document) -> int:
    """Return the default of `maxPods`, which is smaller if each pod takes an address of the subnet."""
    if network.get("networkPlugin") != "azure":
        return int(str(_POOL["maxPods"]))
    return defaults.OVERLAY_PODS if network.get("networkPluginMode") == "overlay" else 30


def _is_set(name: str, value: Any) -> bool:
    """Tell whether a PUT sets a property: null does not, nor does `nodeResourceGroup: ""`, which Terraform sends."""
    return value is not None and (name, value) != ("nodeResourceGroup", "")


def complete(
    sent: Document,
    held: Document | None,
    *,
    subscription: str,
    group: str,
    name: str,
    tenant: str,
    default_version: str = DEFAULT,
) -> Document:
    """Return the whole resource after a PUT.

    Sent properties win, other properties keep their value in `held`, and read-only properties are computed.
    """
    before: Document = held or {"properties": {}}
    location = str(sent["location"]).replace(" ", "").lower()
    wanted: Document = sent.get("properties") or {}
    fresh = {key: deepcopy(it) for key, it in wanted.items() if _is_set(key, it) and key not in COMPUTED}
    properties: Document = {**deepcopy(before["properties"]), **fresh}
    version = patch_of(properties.get("kubernetesVersion") or default_version)
    release = defaults.release_of(version)
    if not held:
        _fill_new(properties, subscription, group, name, location)
        if (sent.get("sku") or {}).get("name") == "Automatic":
            defaults.fill_automatic(properties, tenant)
        elif defaults.asks_for_windows(wanted, release):
            properties.setdefault("windowsProfile", {"adminUsername": "azureuser", "enableCSIProxy": True})
        properties["networkProfile"] = _network(properties.get("networkProfile") or {}, release)
    properties["kubernetesVersion"] = version if not wanted.get("kubernetesVersion") else wanted["kubernetesVersion"]
    properties["currentKubernetesVersion"] = version
    pools = {it["name"]: it for it in before["properties"].get("agentPoolProfiles", [])}
    most = {"maxPods": pods_of(properties.get("networkProfile") or {})}
    sent_pools = [it if it["name"] in pools else most | it for it in properties.get("agentPoolProfiles") or []]
    properties["agentPoolProfiles"] = [complete_pool(it, pools.get(it["name"]), version) for it in sent_pools]
    properties["networkProfile"] = _network(_kept_network(properties, before["properties"]), release)
    properties["storageProfile"] = {**_STORAGE, **(properties.get("storageProfile") or {})}
    keep_addons(properties, before["properties"])
    defaults.keep_hidden(properties, before["properties"])
    issuer = f"https://{location}.oic.prod-aks.azure.com/{tenant}/{derived(subscription, group, name, 'issuer')}/"
    defaults.fill_cluster(properties, release, issuer)
    held_entra = before["properties"].get("aadProfile")
    entra = merged_aad(properties.get("aadProfile") if not held else wanted.get("aadProfile"), held_entra, tenant)
    if entra is not None:
        properties["aadProfile"] = entra
    if not properties.get("addonProfiles"):
        properties.pop("addonProfiles", None)
    for profile, secret in WRITE_ONLY:
        if isinstance(properties.get(profile), dict):
            properties[profile].pop(secret, None)
    return _resource(sent, before, properties, location, (subscription, group, name), tenant)


def _resource(
    sent: Document,
    before: Document,
    properties: Document,
    location: str,
    place: tuple[str, str, str],
    tenant: str,
) -> Document:
    envelope = {"id", "name", "type", "location", "properties", "identity", "sku", "tags", "systemData", "kind", "eTag"}
    extra = {
        key: deepcopy(it)
        for source in (before, sent)
        for key, it in source.items()
        if key not in envelope and it is not None
    }
    document: Document = {"location": location, "properties": properties, **extra}
    own = properties["servicePrincipalProfile"].get("clientId") == "msi"
    identity = sent.get("identity") or before.get("identity") or ({"type": "SystemAssigned"} if own else None)
    if identity:
        document["identity"] = {key: it for key, it in identity.items() if it is not None}
        if assigned := document["identity"].get("userAssignedIdentities"):
            document["identity"]["userAssignedIdentities"] = {
                it: user_identity(it) | (assigned[it] or {}) for it in assigned
            }
        if identity.get("type") == "SystemAssigned":
            document["identity"] |= {"principalId": derived(*place, "identity"), "tenantId": tenant}
    document["sku"] = defaults.SKU | (before.get("sku") or {}) | (sent.get("sku") or {})
    if sent.get("tags"):
        document["tags"] = dict(sent["tags"])
    return document


def user_identity(resource: str) -> Document:
    """Return the ids of a user-assigned identity, which are the same each time for a resource id."""
    return {"clientId": derived(resource, "client"), "principalId": derived(resource, "principal")}


def _fill_new(properties: Document, subscription: str, group: str, name: str, location: str) -> None:
    prefix = properties.get("dnsPrefix") or properties.get("fqdnSubdomain") or name
    suffix = short(subscription, group, name)
    region = f"hcp.{location}.azmk8s.io"
    properties["powerState"] = {"code": "Running"}
    properties["fqdn"] = f"{prefix}-{suffix}.{region}"
    properties["azurePortalFQDN"] = f"{prefix}-{suffix}.portal.{region}"
    access = properties.get("apiServerAccessProfile") or {}
    if access.get("enablePrivateCluster"):
        zone = f"{derived(subscription, group, name, 'zone')}.privatelink.{location}.azmk8s.io"
        properties["privateFQDN"] = f"{prefix}-{suffix}.{zone}"
        properties["apiServerAccessProfile"] = PRIVATE | access
    properties.setdefault("nodeResourceGroup", f"MC_{group}_{name}_{location}")
    properties.setdefault("enableRBAC", True)
    properties.setdefault("supportPlan", "KubernetesOfficial")
    properties.setdefault("servicePrincipalProfile", {"clientId": "msi"})
    properties.setdefault("oidcIssuerProfile", {"enabled": False})
    properties.setdefault("securityProfile", {})
    properties.setdefault("workloadAutoScalerProfile", {})
    properties["maxAgentPools"] = 100


def _identity(subscription: str, nodes: str, name: str, of: tuple[str, str] | None = None) -> Document:
    """Return a managed identity in the group of the nodes; `of` is what its ids are derived from."""
    owner, part = of or (name, "addon")
    scope = f"/subscriptions/{subscription}/resourcegroups/{nodes}/providers"
    return {
        "resourceId": f"{scope}/Microsoft.ManagedIdentity/userAssignedIdentities/{name}",
        "clientId": derived(subscription, nodes, owner, f"{part} client"),
        "objectId": derived(subscription, nodes, owner, f"{part} object"),
    }


def _has_identity(addon: str, held: Document) -> bool:
    """Tell whether an add-on has an identity of its own: the agent of logs has one unless it uses the cluster's."""
    shared = str((held.get("config") or {}).get("useAADAuth", "")).lower() == "true"
    return addon in ADDONS_WITH_IDENTITY or (addon == "omsagent" and not shared)


def add_created_parts(document: Document, *, subscription: str, name: str) -> None:
    """Add what a cluster gets when an operation succeeds: the kubelet's identity and the outbound address."""
    properties = document["properties"]
    nodes = properties["nodeResourceGroup"]
    if "identity" in document:
        kubelet = _identity(subscription, nodes, f"{name}-agentpool", of=(name, "kubelet"))
        properties.setdefault("identityProfile", {"kubeletidentity": kubelet})
    network = properties["networkProfile"]
    if str(network["loadBalancerSku"]).lower() == "standard":
        network["loadBalancerSku"] = "Standard"
    for addon, held in (properties.get("addonProfiles") or {}).items():
        if held and held.get("enabled") and _has_identity(addon.lower(), held):
            held.setdefault("identity", _identity(subscription, nodes, f"{addon.lower()}-{name}"))
    routing = (properties.get("ingressProfile") or {}).get("webAppRouting") or {}
    if routing.get("enabled"):
        routing["identity"] = routing.get("identity") or _identity(subscription, nodes, f"webapprouting-{name}")
    outbound = network.get("natGatewayProfile") or network.get("loadBalancerProfile")
    if outbound is not None:
        address = f"/subscriptions/{subscription}/resourceGroups/{nodes}/providers/Microsoft.Network/publicIPAddresses"
        address = f"{address}/{derived(subscription, nodes, 'outbound')}"
        outbound.setdefault("effectiveOutboundIPs", [{"id": address}])


def pool_answer(pool: Document, state: str, etag: str) -> Document:
    """Return a pool as an answer shows it, with its state, and with `eTag` unless that is empty."""
    answer: Document = {}
    for key, value in pool.items():
        if key == "powerState":
            answer["provisioningState"] = state
        answer[key] = value
    return answer | ({"eTag": etag} if etag else {})
