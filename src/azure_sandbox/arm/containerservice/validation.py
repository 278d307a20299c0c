"""The checks that AKS makes before it starts an operation, in its own words where they are known."""

from __future__ import annotations

import re
from typing import Any

from azure_sandbox.arm.containerservice.versions import number, patch_of
from azure_sandbox.arm.errors import bad_request, changed, in_other_location, location_required, provider
from azure_sandbox.front.http import Problem

Document = dict[str, Any]
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
VERSION = re.compile(r"\d{1,3}\.\d{1,3}(\.\d{1,4})?")
POOL_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
ENTRA_NEEDED_SINCE = (1, 25)
IMMUTABLE = (
    "dnsPrefix",
    "enableRBAC",
    "fqdnSubdomain",
    "linuxProfile.adminUsername",
    "networkProfile.dnsServiceIP",
    "networkProfile.loadBalancerSku",
    "networkProfile.serviceCidr",
    "nodeResourceGroup",
)
IMMUTABLE_IN_POOLS = ("osType", "type", "vmSize", "osDiskSizeGB")
LEGACY = ("clientAppID", "serverAppID", "serverAppSecret")


def mapping(value: Any, path: str) -> Document:
    """Return a JSON object from a request; None counts as empty. Raises AKS's 400 for any other value."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        text = f"The value of parameter {path} is invalid: it cannot be read as an object."
        raise provider(400, "InvalidParameter", text, target=path)
    return value


def _at(document: Document, path: str) -> Any:
    found: Any = document
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return bool(one == other)


OBJECTS = (
    *("aadProfile", "addonProfiles", "apiServerAccessProfile", "autoUpgradeProfile", "hostedSystemProfile"),
    *("ingressProfile", "networkProfile", "nodeProvisioningProfile", "oidcIssuerProfile", "securityProfile"),
    *("servicePrincipalProfile", "storageProfile", "workloadAutoScalerProfile"),
)
FLAGS = ("disableLocalAccounts", "enableRBAC")
TEXTS = ("dnsPrefix", "fqdnSubdomain", "kubernetesVersion", "nodeResourceGroup")


def check_types(sent: Document) -> None:
    """Raise 400 if a part of a PUT has the wrong type."""
    for key in ("identity", "sku", "tags"):
        mapping(sent.get(key), key)
    assigned = mapping((sent.get("identity") or {}).get("userAssignedIdentities"), "identity.userAssignedIdentities")
    for name, ids in assigned.items():
        mapping(ids, f"identity.userAssignedIdentities.{name}")
    if not all(isinstance(it, str) for it in (sent.get("tags") or {}).values()):
        raise _mistyped("tags", str)
    properties = mapping(sent.get("properties"), "properties")
    for key in OBJECTS:
        mapping(properties.get(key), f"properties.{key}")
    for keys, kind in ((FLAGS, bool), (TEXTS, str)):
        for key in keys:
            if properties.get(key) is not None and not isinstance(properties[key], kind):
                raise _mistyped(f"properties.{key}", kind)
    if (version := properties.get("kubernetesVersion")) and not VERSION.fullmatch(version):
        raise provider(400, "InvalidParameter", f"Version {version} is not supported.", target="kubernetesVersion")
    for name, addon in (properties.get("addonProfiles") or {}).items():
        mapping(addon, f"addonProfiles.{name}")
    mapping((properties.get("ingressProfile") or {}).get("webAppRouting"), "ingressProfile.webAppRouting")
    _check_network_types(properties.get("networkProfile") or {})
    _check_pool_types(properties.get("agentPoolProfiles"))
    _check_entra_types(properties.get("aadProfile") or {})


def check_like(sent: Any, held: Any, path: str = "properties") -> None:
    """Raise 400 if a part of an update has another type than the value that it replaces; null is ignored."""
    if sent is None or held is None:
        return
    if isinstance(held, dict):
        for key, value in mapping(sent, path).items():
            check_like(value, held.get(key), f"{path}.{key}")
        return
    kind = next(it for it in (bool, str, list, int) if isinstance(held, it) or it is int)
    fits = isinstance(sent, int | float) and not isinstance(sent, bool) if kind is int else isinstance(sent, kind)
    if not fits:
        raise _mistyped(path, kind)


def _check_network_types(network: Document) -> None:
    for key in ("loadBalancerSku", "networkPlugin", "networkPluginMode", "outboundType", "podCidr", "serviceCidr"):
        if network.get(key) is not None and not isinstance(network[key], str):
            raise _mistyped(f"networkProfile.{key}", str)
    balancer = mapping(network.get("loadBalancerProfile"), "networkProfile.loadBalancerProfile")
    mapping(network.get("natGatewayProfile"), "networkProfile.natGatewayProfile")
    mapping(balancer.get("managedOutboundIPs"), "networkProfile.loadBalancerProfile.managedOutboundIPs")


def _check_pool_types(pools: Any) -> None:
    if pools is not None and not isinstance(pools, list):
        raise _mistyped("properties.agentPoolProfiles", list)
    names = []
    for pool in pools or ():
        check_pool_fields(mapping(pool, "properties.agentPoolProfiles"))
        if not isinstance(pool, dict) or not isinstance(pool.get("name"), str):
            text = "Required parameter agentPoolProfile.name is missing (null)."
            raise provider(400, "InvalidParameter", text, target="agentPoolProfile.name")
        names.append(pool["name"])
    if len(set(names)) != len(names):
        raise bad_request("Agent pool names must be unique.", target="agentPoolProfiles")


def check_pool_fields(pool: Document) -> None:
    """Raise 400 if a field of a pool has the wrong type."""
    for key in ("count", "minCount", "maxCount", "maxPods", "osDiskSizeGB"):
        value = pool.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise _mistyped(f"agentPoolProfile.{key}", int)
    most = 1000
    if not 0 <= (pool.get("count") or 0) <= most:
        text = f"The value of parameter agentPoolProfile.count is invalid: {pool['count']}."
        raise provider(400, "InvalidParameter", text, target="agentPoolProfile.count")
    for key in ("mode", "vmSize", "orchestratorVersion", "osType", "type"):
        if pool.get(key) is not None and not isinstance(pool[key], str):
            raise _mistyped(f"agentPoolProfile.{key}", str)
    if (version := pool.get("orchestratorVersion")) and not VERSION.fullmatch(version):
        raise provider(400, "InvalidParameter", f"Version {version} is not supported.", target="orchestratorVersion")
    for key in ("nodeLabels", "powerState", "securityProfile", "upgradeSettings"):
        mapping(pool.get(key), f"agentPoolProfile.{key}")
    for key in ("nodeTaints", "nodeInitializationTaints"):
        taints = pool.get(key)
        if taints is not None and not (isinstance(taints, list) and all(isinstance(it, str) for it in taints)):
            raise _mistyped(f"agentPoolProfile.{key}", list)


def _check_entra_types(entra: Document) -> None:
    for key in ("managed", "enableAzureRBAC"):
        if entra.get(key) is not None and not isinstance(entra[key], bool):
            raise _mistyped(f"aadProfile.{key}", bool)
    groups = entra.get("adminGroupObjectIDs")
    if groups is not None and not (isinstance(groups, list) and all(isinstance(it, str) for it in groups)):
        raise _mistyped("aadProfile.adminGroupObjectIDs", list)
    tenant = entra.get("tenantID")
    if tenant is not None and not isinstance(tenant, str):
        raise _mistyped("aadProfile.tenantID", str)


def _mistyped(path: str, kind: type) -> Problem:
    name = {bool: "a boolean", str: "a string", int: "an integer", list: "a list"}[kind]
    return provider(400, "InvalidParameter", f"The value of parameter {path} is invalid: not {name}.", target=path)


def check_new(name: str, sent: Document) -> None:
    """Raise 400 if a PUT lacks what a new cluster needs."""
    properties = sent.get("properties") or {}
    if not NAME.fullmatch(name):
        raise provider(400, "InvalidParameter", f"The value of parameter name is invalid: '{name}'.", target="name")
    if not sent.get("location"):
        raise location_required()
    if not (properties.get("dnsPrefix") or properties.get("fqdnSubdomain")):
        raise provider(400, "InvalidParameter", "Required parameter dnsPrefix is missing (null).", target="dnsPrefix")
    if (properties.get("hostedSystemProfile") or {}).get("enabled"):  # AKS runs the system pool and does not list it
        return
    if not properties.get("agentPoolProfiles"):
        text = "Required parameter agentPoolProfiles is missing (null)."
        raise provider(400, "InvalidParameter", text, target="agentPoolProfiles")
    if not any(it.get("mode", "System") == "System" for it in properties["agentPoolProfiles"]):
        raise bad_request("Must define at least one system pool.")


def check_change(sent: Document, held: Document, name: str, group: str) -> None:
    """Raise 400 or 409 if a PUT changes an immutable property; `held` is the document before."""
    _check_location(sent, held, name, group)
    wanted, before = sent.get("properties") or {}, held["properties"]
    for path in IMMUTABLE:
        asked = _at(wanted, path)
        if asked not in (None, "") and not _same(asked, _at(before, path)):
            raise changed(path)
    client = _at(wanted, "servicePrincipalProfile.clientId")
    if client is not None and not _same(client, _at(before, "servicePrincipalProfile.clientId")):
        raise changed("servicePrincipalProfile.clientId")
    asked = wanted.get("kubernetesVersion")
    if asked and number(patch_of(asked)) < number(before["currentKubernetesVersion"]):
        text = f"Downgrading cluster is not allowed: {before['currentKubernetesVersion']} to {asked}."
        raise provider(400, "BadRequest", text)
    _check_pools(wanted.get("agentPoolProfiles"), before["agentPoolProfiles"])
    if "aadProfile" in wanted:
        _check_entra_change(wanted["aadProfile"], before.get("aadProfile"))


def _check_location(sent: Document, held: Document, name: str, group: str) -> None:
    asked = str(sent.get("location", "")).replace(" ", "").lower()
    if not asked:
        raise location_required()
    if asked != held["location"]:
        raise in_other_location(name, group, held["location"], asked)


def _check_pools(sent: list[Document] | None, held: list[Document]) -> None:
    """Raise 400 if a PUT omits a pool or changes one in a forbidden way. The wording for a missing pool is inferred."""
    if sent is None:
        return
    names = {it.get("name") for it in sent}
    if missing := [it["name"] for it in held if it["name"] not in names]:
        raise bad_request(
            f"Agent pools cannot be removed by an update of the cluster: {', '.join(missing)} not in the request.",
            target="agentPoolProfiles",
        )
    before = {it["name"]: it for it in held}
    for pool in sent:
        check_pool(pool, before.get(pool["name"]))


def _check_taints(sent: Document, held: Document) -> None:
    """Raise 400 for a taint that a system pool cannot have. Recorded in April 2025."""
    if (sent.get("mode") or held.get("mode")) != "System":
        return
    taints = [*(sent.get("nodeTaints") or ()), *(sent.get("nodeInitializationTaints") or ())]
    if any(not it.startswith("CriticalAddonsOnly=") and not it.endswith(":PreferNoSchedule") for it in taints):
        raise provider(
            400,
            "SystemPoolHasRestrictedTaint",
            "Placing custom taints on system pool is not supported(except 'CriticalAddonsOnly' taint or taint effect "
            "is 'PreferNoSchedule'). Please refer to https://aka.ms/aks/system-taints for detail",
            target="agentPoolProfile.nodeTaints",
        )


def check_pool(sent: Document, held: Document | None) -> None:
    """Raise 400 for an invalid new pool (`held` is None), or a forbidden change of an existing one."""
    check_pool_fields(sent)
    _check_taints(sent, held or {})
    if held is None:
        if not POOL_NAME.fullmatch(str(sent.get("name", ""))):
            raise provider(400, "InvalidParameter", "The value of parameter agentPool.name is invalid.")
        return
    for key in IMMUTABLE_IN_POOLS:
        if sent.get(key) not in (None, 0, "") and not _same(sent[key], held.get(key)):
            raise changed(f"properties.{key}")


def _check_entra_change(sent: Document | None, held: Document | None) -> None:
    if held is None:
        return
    if sent is None:
        raise changed("aadProfile")
    if held.get("managed") and not sent.get("managed"):
        raise changed("aadProfile.managed")


def _legacy_leftover(entra: Document) -> Problem | None:
    """Return the refusal of a profile that is managed and legacy at once, or None. Its wording is not recorded."""
    left = [it for it in LEGACY if entra.get(it)]
    if entra.get("managed") and left:
        return bad_request(f"aadProfile.{left[0]} cannot be set when aadProfile.managed is true.", target="aadProfile")
    return None


def check_whole(document: Document, sent: Document) -> None:
    """Raise 400 if the completed document, or the sent `aadProfile`, combines properties that exclude each other."""
    properties = document["properties"]
    entra: Document | None = properties.get("aadProfile")
    if problem := _legacy_leftover((sent.get("properties") or {}).get("aadProfile") or {}):
        raise problem
    if entra is not None and not properties["enableRBAC"]:
        raise bad_request(
            "Azure Active Directory integration is only supported on clusters with Kubernetes RBAC enabled."
        )
    routing = (properties.get("ingressProfile") or {}).get("webAppRouting") or {}
    gateway = (routing.get("gatewayAPIImplementations") or {}).get("appRoutingIstio") or {}
    if gateway.get("mode") == "Enabled" and (properties.get("serviceMeshProfile") or {}).get("mode") == "Istio":
        raise bad_request(  # recorded in March 2026
            "Cannot enable both the Istio add-on and the AppRouting Istio Gateway API implementation simultaneously."
        )
    version = number(properties["currentKubernetesVersion"])
    if properties.get("disableLocalAccounts") and entra is None and version >= ENTRA_NEEDED_SINCE:
        raise bad_request(
            "Since kubernetes version 1.25, disableLocalAccounts can only be set on Azure AD integration enabled "
            "cluster. Please integrate your cluster with AAD."
        )
