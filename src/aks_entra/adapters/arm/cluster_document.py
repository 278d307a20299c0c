"""Turns the ARM document of a managed cluster into a posture. It must not know how documents are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from aks_entra.core.cluster import ClusterId, Identity, LinkedRight, Pool, Posture
from aks_entra.core.steps import Guarded

Document: TypeAlias = Mapping[str, Any]

LEGACY_KEYS = ("clientAppID", "serverAppID", "serverAppSecret")
"""The properties that name the applications of the legacy integration, before AKS-managed Microsoft Entra ID."""

ASSIGN_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
JOIN_SUBNET = "Microsoft.Network/virtualNetworks/subnets/join/action"

_POWER = ("Running", "Stopped")
_NETWORK = ("Enabled", "Disabled", "SecuredByPerimeter")
_FLAG = (True, False)


def posture_of(document: Document) -> Posture:
    """Return a cluster at depth "listed" from the response to a GET or a PUT, or from an item of a list."""
    properties: Document = document.get("properties") or {}
    shown = properties.get("aadProfile")
    profile: Document = shown if isinstance(shown, Mapping) else {}
    access: Document = properties.get("apiServerAccessProfile") or {}
    tags: Document = document.get("tags") or {}
    return Posture(
        cluster=ClusterId.parse(document["id"]),
        location=str(document.get("location") or ""),
        version=str(properties.get("currentKubernetesVersion") or properties.get("kubernetesVersion") or ""),
        tier=str((document.get("sku") or {}).get("tier") or "Free"),
        identity=identity_of(shown),
        tenant_id=profile.get("tenantID"),
        admin_group_ids=tuple(profile.get("adminGroupObjectIDs") or ()),
        azure_rbac=bool(profile.get("enableAzureRBAC")),
        local_accounts=properties.get("disableLocalAccounts") is not True,
        kubernetes_rbac=properties.get("enableRBAC") is not False,
        provisioning_state=str(properties.get("provisioningState") or "Succeeded"),
        power_state=_power(properties),
        pools=tuple(
            _pool(pool, properties.get("networkProfile") or {}) for pool in properties.get("agentPoolProfiles") or ()
        ),
        fqdn=properties.get("fqdn") or properties.get("privateFQDN"),
        private=bool(access.get("enablePrivateCluster")),
        authorized_ip_ranges=tuple(access.get("authorizedIPRanges") or ()),
        run_command_disabled=access.get("disableRunCommand") is True,
        node_resource_group=str(properties.get("nodeResourceGroup") or ""),
        tags=tuple(sorted((str(name), str(value)) for name, value in tags.items())),
        etag=document.get("eTag") or document.get("etag"),
        uid=str(properties.get("resourceUID") or ""),
        linked=_linked(document.get("identity"), properties),
        not_understood=_not_understood(properties),
    )


def identity_of(profile: object) -> Identity:
    """Return the integration that an `aadProfile` describes. It is legacy only if it names the legacy applications."""
    if profile is None:
        return Identity.NONE
    if not isinstance(profile, Mapping):
        return Identity.UNKNOWN
    if profile.get("managed") is True:
        return Identity.MANAGED
    legacy = not profile.get("managed") and any(profile.get(key) for key in ("clientAppID", "serverAppID"))
    return Identity.LEGACY if legacy else Identity.UNKNOWN


def _not_understood(properties: Document) -> tuple[str, ...]:
    """Return the values that this version does not know, of properties that a plan depends on."""
    access: Document = properties.get("apiServerAccessProfile") or {}
    public = properties.get("publicNetworkAccess")
    found = (
        ("powerState.code", (properties.get("powerState") or {}).get("code"), _POWER),
        ("publicNetworkAccess", public, _NETWORK),
        ("disableLocalAccounts", properties.get("disableLocalAccounts"), _FLAG),
        ("enableRBAC", properties.get("enableRBAC"), _FLAG),
        ("apiServerAccessProfile.enablePrivateCluster", access.get("enablePrivateCluster"), _FLAG),
    )
    return tuple(f"{name}: {value!r}" for name, value, known in found if value is not None and value not in known)


def _linked(identity: object, properties: Document) -> tuple[LinkedRight, ...]:
    """Return what a PUT of the cluster needs on its user-assigned identities and on the subnets that it names."""
    assigned = identity.get("userAssignedIdentities") if isinstance(identity, Mapping) else None
    found = [(ASSIGN_IDENTITY, str(one)) for one in assigned or ()]
    named = [(properties.get("apiServerAccessProfile") or {}).get("subnetId")]
    for pool in properties.get("agentPoolProfiles") or ():
        named += [pool.get("vnetSubnetID"), pool.get("podSubnetID")]
    found += [(JOIN_SUBNET, str(one)) for one in named if one]
    once = {(action, scope.casefold()): LinkedRight(action=action, scope=scope) for action, scope in reversed(found)}
    return tuple(reversed(once.values()))


def legacy_ids(document: Document) -> tuple[str, ...]:
    """Return the properties of the legacy integration that a document still contains."""
    profile: Document = (document.get("properties") or {}).get("aadProfile") or {}
    return tuple(key for key in LEGACY_KEYS if profile.get(key))


def moved(expected: Guarded, now: Posture) -> tuple[str, ...]:
    """Describe the differences between the approved state and what ARM shows, without the CA.

    Any tenant matches if `expected` names none.
    """
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
        ssh_access=_ssh_access(pool.get("securityProfile")),
        addresses_per_node=1 + _pods_beside_nodes(pool, network),
    )


def _ssh_access(security: object) -> str:
    return str(security.get("sshAccess") or "") if isinstance(security, Mapping) else ""


def _pods_beside_nodes(pool: Document, network: Document) -> int:
    """Return how many pods of a node take addresses of its subnet: 0 in an overlay or with a separate pod subnet."""
    flat = network.get("networkPlugin") == "azure" and network.get("networkPluginMode") != "overlay"
    return int(pool.get("maxPods") or 30) if flat and not pool.get("podSubnetID") else 0


def _power(document: Document) -> str:
    return str((document.get("powerState") or {}).get("code") or "Running")
