"""Discovery of an API server: plain lists, and the aggregated format for clients that ask for it."""

from __future__ import annotations

from typing import Any

from azure_sandbox.cluster.resources import REVIEWS, Resource, of, versions
from azure_sandbox.front.http import Reply

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def wants_aggregated(accept: str) -> bool:
    """Return whether a client reads the aggregated format v2. Clients that only know v2beta1 get plain lists."""
    return AGGREGATED in accept.replace(" ", "")


def _plain(it: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": it.plural,
        "singularName": it.singular,
        "namespaced": it.namespaced,
        "kind": it.kind,
        "verbs": list(it.verbs),
    }
    if it.short:
        entry["shortNames"] = list(it.short)
    if it.categories:
        entry["categories"] = list(it.categories)
    return entry


def _review(kind: str) -> dict[str, Any]:
    local = kind.startswith("Local")
    return {
        "name": f"{kind.lower()}s",
        "singularName": kind.lower(),
        "namespaced": local,
        "kind": kind,
        "verbs": ["create"],
    }


def resource_list(group: str, version: str) -> dict[str, Any] | None:
    """Return `/api/v1` or `/apis/{group}/{version}`. Returns None for an unknown group or version."""
    entries = [_plain(it) for it in of(group, version)]
    entries += [_review(kind) for kind in REVIEWS.get(group, {}).get(version, ())]
    if not entries:
        return None
    name = f"{group}/{version}" if group else version
    own = {"apiVersion": "v1"} if group else {}  # the list of /api/v1 has no apiVersion
    return {"kind": "APIResourceList", **own, "groupVersion": name, "resources": entries}


def _group(name: str, known: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in known]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group(name: str) -> dict[str, Any] | None:
    """Return `/apis/{group}`. Returns None for an unknown group."""
    known = versions().get(name)
    return None if known is None else {"kind": "APIGroup", "apiVersion": "v1", **_group(name, known)}


def _aggregated_resource(entry: dict[str, Any], group_name: str, version: str) -> dict[str, Any]:
    return {
        "resource": entry["name"],
        "responseKind": {"group": group_name, "version": version, "kind": entry["kind"]},
        "scope": "Namespaced" if entry["namespaced"] else "Cluster",
        "singularResource": entry["singularName"],
        "verbs": entry["verbs"],
        **{key: entry[key] for key in ("shortNames", "categories") if key in entry},
    }


def _aggregated(groups: dict[str, list[str]]) -> Reply:
    items = []
    for name, known in groups.items():
        listed = []
        for version in known:
            plain = (resource_list(name, version) or {})["resources"]
            resources = [_aggregated_resource(entry, name, version) for entry in plain]
            listed.append({"version": version, "resources": resources, "freshness": "Current"})
        items.append({"metadata": {"name": name} if name else {}, "versions": listed})
    body = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}
    return Reply(200, body, {"content-type": AGGREGATED})


def legacy_root(host: str, accept: str) -> Reply:
    """Answer `/api`."""
    if wants_aggregated(accept):
        return _aggregated({"": ["v1"]})
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": f"{host}:443"}]
    body = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
    return Reply(200, body, {"content-type": "application/json"})


def named_root(accept: str) -> Reply:
    """Answer `/apis`."""
    if wants_aggregated(accept):
        return _aggregated(versions())
    groups = [_group(name, known) for name, known in versions().items()]
    body = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    return Reply(200, body, {"content-type": "application/json"})


def described(path: str) -> dict[str, Any] | None:
    """Return the description of a group or version by its path. Returns None for other paths."""
    match path.strip("/").split("/"):
        case ["api", version]:
            return resource_list("", version)
        case ["apis", name]:
            return group(name)
        case ["apis", name, version]:
            return resource_list(name, version)
        case _:
            return None
