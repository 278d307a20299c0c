"""Restore ARM's own resource from one that a tool has flattened and respelled."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from azure_sandbox.arm.containerservice.known_properties import OF_CLUSTERS, OF_POOLS

Document = dict[str, Any]
ENVELOPE = frozenset(
    {"id", "name", "type", "location", "tags", "sku", "identity", "kind", "systemData", "extendedLocation", "eTag"}
)
DROPPED = frozenset({"resourceGroup", "etag", "e_tag"})  # keys that the tool adds
SPELT = (  # ARM's spelling of keys that the tool spells differently
    "adminGroupObjectIDs",
    "azurePortalFQDN",
    "clientAppID",
    "dnsServiceIP",
    "effectiveOutboundIPs",
    "enableAzureRBAC",
    "enableFIPS",
    "enableNodePublicIP",
    "enablePrivateClusterPublicFQDN",
    "enableRBAC",
    "gpuInstanceProfile",
    "managedOutboundIPs",
    "nodePublicIPPrefixID",
    "osDiskSizeGB",
    "osSKU",
    "outboundIPPrefixes",
    "outboundIPs",
    "podSubnetID",
    "privateFQDN",
    "privateDNSZone",
    "resourceUID",
    "serverAppID",
    "serverAppSecret",
    "vnetSubnetID",
)
_SPELLING = {it.lower(): it for it in (*OF_CLUSTERS, *OF_POOLS, *SPELT) if it not in {"etag", "type"}}
STANDING = ("Succeeded", "Failed", "Canceled")


def raw(shown: Document) -> Document:
    """Return the resource with its `properties`, in ARM's spelling."""
    if isinstance(shown.get("properties"), dict):
        kept = {key: deepcopy(value) for key, value in shown.items() if key not in DROPPED}
    else:
        inner = {key: value for key, value in shown.items() if key not in ENVELOPE | DROPPED}
        kept = {key: deepcopy(value) for key, value in shown.items() if key in ENVELOPE}
        kept["properties"] = inner
    kept["properties"] = _respelt(kept["properties"])
    entra = kept["properties"].get("aadProfile")
    if isinstance(entra, dict) and "tenantId" in entra:
        entra["tenantID"] = entra.pop("tenantId")
    return kept


def flat(shown: Document) -> Document:
    """Return a resource as a tool prints it, with its properties next to its name."""
    inner = shown.get("properties")
    return {**shown, **inner} if isinstance(inner, dict) else shown


def bare(value: Any) -> Any:
    """Return a value without null parts."""
    if isinstance(value, dict):
        return {key: bare(it) for key, it in value.items() if it is not None}
    if isinstance(value, list):
        return [bare(it) for it in value]
    return value


def at_rest(document: Document) -> None:
    """Complete transitional states: the sandbox cannot continue an operation that was running at the export."""
    properties = document["properties"]
    if properties.get("provisioningState") not in STANDING:
        properties["provisioningState"] = "Succeeded"
    for pool in properties.get("agentPoolProfiles") or ():
        pool.pop("eTag", None)


def _respelt(value: Any) -> Any:
    if isinstance(value, dict):
        return {_SPELLING.get(key.lower(), key): _respelt(it) for key, it in value.items() if it is not None}
    if isinstance(value, list):
        return [_respelt(it) for it in value]
    return value
