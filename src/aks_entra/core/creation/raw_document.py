"""A raw ARM document as the request for a new cluster: what must be closed is closed, and that is said.

A document is what `az aks show` prints, a resource of an exported template, or a whole template with one cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aks_entra.core.creation.new_cluster import Body

TYPE: Final = "Microsoft.ContainerService/managedClusters"
SECRETS: Final = (
    ("servicePrincipalProfile", "secret"),
    ("windowsProfile", "adminPassword"),
    ("aadProfile", "serverAppSecret"),
)
_ENVELOPE: Final = ("location", "sku", "kind", "identity", "tags", "extendedLocation")
_READ_ONLY: Final = (
    *("provisioningState", "powerState", "currentKubernetesVersion", "maxAgentPools", "resourceUID", "status"),
    *("fqdn", "privateFQDN", "azurePortalFQDN", "privateLinkResources", "aadProfile", "disableLocalAccounts"),
    "enableRBAC",
)
_READ_ONLY_OF_POOLS: Final = (
    *("provisioningState", "powerState", "currentOrchestratorVersion", "nodeImageVersion", "eTag", "etag", "status"),
)
_OBJECTS: Final = (
    *("aadProfile", "apiServerAccessProfile", "identityProfile", "networkProfile", "oidcIssuerProfile"),
    *("servicePrincipalProfile", "windowsProfile"),
)
_PASSWORD: Final = re.compile(r"://[^/@\s]*:[^/@\s]+@")  # of a proxy, for example
_GIVE: Final = "give the output of `az aks show -o json`, or a template"
_LEGACY: Final = ("clientAppID", "serverAppID")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDocument:
    """What a document asks for: the body for a new cluster, its admin groups, and what was closed or left out.

    `subscription_id`, `resource_group` and `name` are empty if the document does not contain them.
    """

    body: Body
    admin_group_ids: tuple[str, ...]
    notes: tuple[str, ...]
    subscription_id: str = ""
    resource_group: str = ""
    name: str = ""


class Unusable(ValueError):
    """A document that cannot be used. `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def read(document: object) -> RawDocument:
    """Return the request that a document makes. Raises `Unusable` for a document that does not describe one cluster."""
    resource, left = _resource(document)
    properties = resource.get("properties")
    if not isinstance(properties, Mapping):
        raise Unusable("it has no `properties`", _GIVE)
    _check_shapes(properties)
    if password := next(_passwords(resource), ""):
        raise Unusable(
            f"`{password}` contains a password in a URL, which this program would have to store", "remove it"
        )
    if expression := next(_expressions(resource), ""):
        raise Unusable(f"`{expression}` is an expression of a template", "replace it by its value")
    for profile, key in SECRETS:
        if (properties.get(profile) or {}).get(key):
            raise Unusable(
                f"`properties.{profile}.{key}` contains a secret, which this program would have to store",
                "remove it, and use a managed identity",
            )
    location = resource.get("location")
    if not location or not isinstance(location, str):
        raise Unusable("it has no `location`", "add `location`, such as westeurope")
    body = {key: resource[key] for key in _ENVELOPE if resource.get(key)}
    body["properties"] = _without(properties, _READ_ONLY)
    body["properties"]["agentPoolProfiles"] = [_pool(one) for one in properties.get("agentPoolProfiles") or ()]
    if not isinstance(body.get("identity"), Mapping):
        body["identity"] = {"type": "SystemAssigned"}
    body["identity"] = _asked_identity(body["identity"])
    _drop_what_azure_made(body["properties"])
    entra = properties.get("aadProfile") or {}
    parts = str(resource.get("id") or "").split("/")
    where = dict(zip(("subscription_id", "resource_group"), (parts[2:3] + parts[4:5]), strict=False))
    return RawDocument(
        body=body,
        admin_group_ids=tuple(str(one) for one in entra.get("adminGroupObjectIDs") or ()),
        notes=(*_closed(properties), *left),
        name=str(resource.get("name") or "").rpartition("/")[2],
        **where,
    )


def _resource(document: object) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the cluster of a document, and what else a template contains."""
    if not isinstance(document, Mapping):
        raise Unusable("it is not an object", _GIVE)
    if "resources" not in document:
        kind = str(document.get("type") or TYPE)
        if kind.casefold() != TYPE.casefold():
            raise Unusable(f"it describes a {kind}", f"give a resource of the type {TYPE}")
        return document, ()
    listed = document["resources"]
    resources = [*listed.values()] if isinstance(listed, Mapping) else list(listed or ())
    kinds = [str(one.get("type") or "") if isinstance(one, Mapping) else "" for one in resources]
    found = [one for one, kind in zip(resources, kinds, strict=True) if kind.casefold() == TYPE.casefold()]
    if len(found) != 1:
        raise Unusable(f"the template contains {len(found)} clusters", "keep exactly one in it")
    others = sorted({kind for kind in kinds if kind.casefold() != TYPE.casefold()})
    return found[0], tuple(f"{kind} of the template is not created" for kind in others)


def _check_shapes(properties: Mapping[str, Any]) -> None:
    for key in _OBJECTS:
        if properties.get(key) is not None and not isinstance(properties[key], Mapping):
            raise Unusable(f"`properties.{key}` is not an object", _GIVE)
    pools = properties.get("agentPoolProfiles")
    if pools is not None and not (isinstance(pools, list) and all(isinstance(one, Mapping) for one in pools)):
        raise Unusable("`properties.agentPoolProfiles` is not a list of pools", _GIVE)


def _expressions(resource: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of the expressions in a resource. Those of the deployment itself do not matter."""
    kept = {key: value for key, value in resource.items() if key not in {"dependsOn", "apiVersion"}}
    return (path for path, text in _texts(kept, "") if text.startswith("[") and text.endswith("]"))


def _passwords(resource: Mapping[str, Any]) -> Iterator[str]:
    return (path for path, text in _texts(resource, "") if _PASSWORD.search(text))


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def _without(document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in names and value is not None}


def _pool(pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pool without what Azure reports. A pool that names no zones keeps none."""
    return {"availabilityZones": [], **_without(pool, _READ_ONLY_OF_POOLS)}


def _asked_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    kept = _without(identity, ("principalId", "tenantId", "delegatedResources"))
    if assigned := kept.get("userAssignedIdentities"):
        kept["userAssignedIdentities"] = {str(one): {} for one in assigned}
    return kept


def _drop_what_azure_made(properties: dict[str, Any]) -> None:
    """Remove what belongs to the cluster that the document was read from: its addresses, issuer and identities."""
    for profile, names in (
        ("networkProfile", ("serviceCidrs", "podCidrs", "podLinkLocalAccess")),
        ("oidcIssuerProfile", ("issuerURL",)),
    ):
        if isinstance(properties.get(profile), Mapping):
            properties[profile] = _without(properties[profile], names)
    network = properties.get("networkProfile")
    for profile in ("loadBalancerProfile", "natGatewayProfile"):
        if isinstance(network, dict) and isinstance(network.get(profile), Mapping):
            network[profile] = _without(network[profile], ("effectiveOutboundIPs",))
    if (properties.get("servicePrincipalProfile") or {}).get("clientId") == "msi":
        del properties["servicePrincipalProfile"]
    nodes = str(properties.get("nodeResourceGroup") or "")
    if nodes.casefold().startswith("mc_"):
        del properties["nodeResourceGroup"]
    kubelet = str(((properties.get("identityProfile") or {}).get("kubeletidentity") or {}).get("resourceId") or "")
    if not kubelet or (nodes and f"/resourcegroups/{nodes}/".casefold() in kubelet.casefold()):
        properties.pop("identityProfile", None)
    else:
        properties["identityProfile"] = {"kubeletidentity": {"resourceId": kubelet}}


def _closed(properties: Mapping[str, Any]) -> Iterator[str]:
    """Say what a document asks for that is closed instead."""
    entra = properties.get("aadProfile") or {}
    if properties.get("disableLocalAccounts") is not True:
        yield "local accounts are turned off: the document leaves them on"
    if not entra:
        yield "Microsoft Entra ID is turned on: the document has no `aadProfile`"
    elif any(entra.get(key) for key in _LEGACY) or not entra.get("managed"):
        yield "AKS-managed Microsoft Entra ID replaces the legacy integration of the document"
    if entra and entra.get("enableAzureRBAC") is not True:
        yield "Azure RBAC is turned on: the document leaves it off"
    if properties.get("enableRBAC") is False:
        yield "Kubernetes RBAC is turned on: the document turns it off"
