"""What `provision --dry-run` shows: the cluster that would be created, what could stand against it, and the notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.console import RenderableType

from aks_entra.core.creation import requirements
from aks_entra.core.creation.new_cluster import Body, NewCluster
from aks_entra.core.creation.preview import Course, Preview
from aks_entra.report.terminal import borderless_table, safe_line

_WORDS = {
    Course.CREATE: "it does not exist, and will be created",
    Course.WAIT: "its creation runs: it will be waited for",
    Course.REPEAT: "its creation failed: it will be repeated",
    Course.COMPLETE: "it exists as requested; what is missing below it will be created",
    Course.NOTHING: "it exists as requested: nothing will be changed",
    Course.REFUSE: "nothing will be created",
}


def render(found: Preview, notes: tuple[str, ...], place: Callable[[str], str]) -> Iterator[RenderableType]:
    """Return the lines. `notes` says what was closed or left out of a raw document.

    `place` returns where a path in the body was written, as `FILE:LINE: key: `.
    """
    new = found.new
    table = borderless_table(str(new.cluster))
    table.add_column("")
    for name, value in _rows(new):
        table.add_row(safe_line(name, "dim"), safe_line(value))
    yield table
    for note in notes:
        yield safe_line(f"note: {note}")
    for one in found.unknown:
        yield safe_line(f"? {place(one.field)}{one.message}", "yellow")
        yield safe_line(f"  → {one.remedy}", "dim")
    for one in found.blockers:
        yield safe_line(f"! {place(one.field)}{one.message}", "red")
        yield safe_line(f"  → {one.remedy}", "dim")
    for difference in found.differences:
        yield safe_line(f"! the existing cluster differs: {difference}", "red")
    for child in found.missing if found.exists else ():
        yield safe_line(f"+ {child}")
    yield safe_line(_WORDS[found.course], "bold")


def document_of(found: Preview, notes: tuple[str, ...], place: Callable[[str], str]) -> dict[str, Any]:
    """Return the same for programs: the body of the PUT, those of what follows, and the problems."""
    return {
        "cluster": found.new.cluster.resource_id,
        "course": found.course.name.lower(),
        "state": found.state,
        "differences": list(found.differences),
        "problems": [
            {
                "field": one.field,
                "message": f"{place(one.field)}{one.message}",
                "remedy": one.remedy,
                "unknown": one.unknown,
            }
            for one in found.problems
        ],
        "notes": list(notes),
        "body": found.new.document(),
        "children": [
            {"kind": one.kind, "name": one.name, "properties": dict(one.properties), "missing": one in found.missing}
            for one in found.new.children
        ],
    }


def _rows(new: NewCluster) -> Iterator[tuple[str, str]]:
    properties: Body = new.body["properties"]
    sku = new.body.get("sku") or {}
    yield "region", new.location
    yield "tier", f"{sku.get('name', 'Base')} {sku.get('tier', '')}".strip()
    yield "Kubernetes", f"{properties.get('kubernetesVersion') or 'the default version of Azure'}"
    yield "sign-in", "Microsoft Entra ID with Azure RBAC; local accounts are off"
    identity = new.body.get("identity") or {}
    named = [one.rpartition("/")[2] for one in identity.get("userAssignedIdentities") or {}]
    yield "identity", ", ".join(named) or "system-assigned"
    yield "API server", _api_server(properties.get("apiServerAccessProfile") or {})
    yield "network", _network(properties.get("networkProfile") or {})
    for pool in new.pools:
        yield f"pool {pool.get('name')}", _pool(pool)
    upgrades = properties.get("autoUpgradeProfile") or {}
    if upgrades:
        yield "upgrades", f"{upgrades.get('upgradeChannel')}; nodes: {upgrades.get('nodeOSUpgradeChannel')}"
    for child in new.children:
        yield str(child), _child(child.properties)


def _api_server(access: Body) -> str:
    if access.get("enablePrivateCluster"):
        return f"private, DNS zone {access.get('privateDNSZone') or 'system'}"
    ranges = access.get("authorizedIPRanges") or ()
    return f"public, for {', '.join(ranges)}" if ranges else "public, for every address"


def _network(network: Body) -> str:
    if not network:
        return "as the service chooses"
    mode = "overlay" if network.get("networkPluginMode") == "overlay" else "flat"
    parts = [mode, f"data plane {network.get('networkDataplane') or 'azure'}"]
    parts += [
        f"{name} {network[key]}" for name, key in (("services", "serviceCidr"), ("pods", "podCidr")) if network.get(key)
    ]
    return ", ".join(parts)


def _pool(pool: Body) -> str:
    count = (
        f"{pool.get('minCount')} to {pool.get('maxCount')}" if pool.get("enableAutoScaling") else f"{pool.get('count')}"
    )
    zones = ", ".join(requirements.zones(pool))
    subnet = str(pool.get("vnetSubnetID") or "").rpartition("/")[2]
    parts = [
        f"{pool.get('mode')}: {count} nodes of {pool.get('vmSize') or 'a size that Azure chooses'}",
        f"zones {zones}" if zones else "no zones",
        f"subnet {subnet}" if subnet else "",
    ]
    return ", ".join(part for part in parts if part)


def _child(properties: Body) -> str:
    if window := properties.get("maintenanceWindow"):
        kind, values = next(iter(window["schedule"].items()))
        day = values.get("dayOfWeek") or values.get("dayOfMonth") or ""
        return f"{kind} {day} {window['startTime']} for {window['durationHours']} h ({window['utcOffset']})".replace(
            "  ", " "
        )
    logs = ", ".join(str(one.get("category")) for one in properties.get("logs") or ())
    return f"{logs} to {str(properties.get('workspaceId')).rpartition('/')[2]}"
