"""From what Azure prints of a fleet to a world in which a change of that fleet can be rehearsed.

It reads what `az aks list -o json` and `az aks show -o json` print, raw ARM resources and lists of them, and Microsoft
Graph's groups. Nothing secret is in them, and nothing leaves this machine.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from azure_sandbox.arm.known import OF_CLUSTERS, OF_POOLS
from azure_sandbox.world import WorldError

Document = dict[str, Any]
ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)/providers/"
    r"microsoft\.containerservice/managedclusters/(?P<name>[^/]+)",
    re.IGNORECASE,
)
ENVELOPE = frozenset(
    {"id", "name", "type", "location", "tags", "sku", "identity", "kind", "systemData", "extendedLocation", "eTag"}
)
DROPPED = frozenset({"resourceGroup", "etag", "e_tag"})  # what the tool adds
SPELT = (  # ARM's spelling, where the tool prints another
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
PERSON = "Rehearsal Person"
STANDING = ("Succeeded", "Failed", "Canceled")


def import_files(files: Iterable[Path]) -> Document:
    """A world document out of JSON files; raises WorldError for a file that holds no cluster and no group."""
    clusters: list[Document] = []
    groups: dict[str, Document] = {}
    for file in files:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise WorldError(f"{file}: {error.strerror}") from error
        except ValueError as error:
            raise WorldError(f"{file}: this is no JSON: {error}") from error
        items = list(_items(found))
        for it in items:
            if _is_cluster(it):
                clusters.append(it)
            elif _is_group(it):
                groups[str(it["id"]).lower()] = it
        if not items or not any(_is_cluster(it) or _is_group(it) for it in items):
            raise WorldError(f"{file}: no managed cluster and no group is in it; write it with: az aks list -o json")
    if not clusters:
        raise WorldError("none of the files holds a managed cluster; write one with: az aks list -o json")
    return _world(clusters, groups)


def _items(found: Any) -> Iterator[Document]:
    if isinstance(found, dict) and isinstance(found.get("value"), list):
        found = found["value"]
    for it in found if isinstance(found, list) else [found]:
        if isinstance(it, dict):
            yield it


def _is_cluster(it: Document) -> bool:
    return ID.fullmatch(str(it.get("id", ""))) is not None


def _is_group(it: Document) -> bool:
    return "securityEnabled" in it and "id" in it


def raw(shown: Document) -> Document:
    """ARM's own resource out of one that a tool has flattened and respelt."""
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


def _respelt(value: Any) -> Any:
    if isinstance(value, dict):
        return {_SPELLING.get(key.lower(), key): _respelt(it) for key, it in value.items() if it is not None}
    if isinstance(value, list):
        return [_respelt(it) for it in value]
    return value


def _world(clusters: list[Document], groups: dict[str, Document]) -> Document:
    fleet = [(ID.fullmatch(it["id"]), raw(it)) for it in clusters]
    tenants = Counter(it for _, document in fleet if (it := _tenant(document)))
    home = tenants.most_common(1)[0][0] if tenants else None
    subscriptions: dict[str, dict[str, list[Document]]] = {}
    for match, document in fleet:
        assert match is not None  # noqa: S101  # only clusters are in here
        _at_rest(document)
        of_group = subscriptions.setdefault(match["subscription"].lower(), {}).setdefault(match["group"], [])
        of_group.append({"name": match["name"], "document": document})
    named = {**dict.fromkeys(_admin_groups(document for _, document in fleet)), **groups}
    world: Document = {"version": 1}
    if home:
        world["tenant"] = {"id": home}
    world["users"] = [{"name": PERSON, "upn": "person@contoso.onmicrosoft.com", "password": "rehearse"}]
    world["groups"] = [_group(key, it) for key, it in sorted(named.items())]
    world["subscriptions"] = [
        {
            "name": f"subscription-{key[:8]}",
            "id": key,
            "resourceGroups": [
                {"name": name, "location": members[0]["document"]["location"], "clusters": members}
                for name, members in sorted(its.items())
            ],
        }
        for key, its in sorted(subscriptions.items())
    ]
    return world


def _group(key: str, shown: Document | None) -> Document:
    """A group with somebody in it: who is in the real one, a list of clusters does not say."""
    name = str((shown or {}).get("displayName") or f"group-{key[:8]}")
    return {"name": name, "id": key, "members": [PERSON, "operator"]}


def _tenant(document: Document) -> str:
    entra = document["properties"].get("aadProfile") or {}
    identity = document.get("identity") or {}
    return str(identity.get("tenantId") or entra.get("tenantID") or "").lower()


def _admin_groups(documents: Iterable[Document]) -> list[str]:
    found: dict[str, None] = {}
    for document in documents:
        for it in (document["properties"].get("aadProfile") or {}).get("adminGroupObjectIDs") or ():
            found[str(it).lower()] = None
    return list(found)


def _at_rest(document: Document) -> None:
    """What was on its way when it was printed has arrived: its operation is not here to end."""
    properties = document["properties"]
    if properties.get("provisioningState") not in STANDING:
        properties["provisioningState"] = "Succeeded"
    for pool in properties.get("agentPoolProfiles") or ():
        pool.pop("eTag", None)
