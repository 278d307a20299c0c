"""Reads what ARM shows around a cluster: versions, maintenance windows, quotas, subnets and public addresses.

Our dependencies have no SDK for most of it, so it is read by GET with the documented api-version. A read returns None
(unknown) if a right is missing, or if the service does not offer the read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from aks_entra.adapters.arm import documents
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.documents import ARM, Document
from aks_entra.adapters.arm.shared_reads import ChangedBy
from aks_entra.adapters.http.failures import azure, collected
from aks_entra.adapters.http.readable import readable
from aks_entra.core.cluster import ClusterId
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.preflight import Quota, Subnet

RESERVED: Final = 5
"""The number of addresses that Azure reserves in every subnet."""

MOST: Final = 2000
"""The number of items of one list after which no further page is read."""

UNREADABLE: Final = frozenset({401, 403, 404, 501})
"""The statuses with which ARM says that this caller, or nobody, can read something."""

_NETWORK: Final = "2024-05-01"
_COMPUTE: Final = "2024-07-01"


async def supported_versions(clients: Clients, subscription_id: str, location: str) -> tuple[str, ...] | None:
    """Return the minor versions that Azure offers in a region, including long-term support. None if unreadable."""

    async def offers() -> list[str]:
        with azure(f"read the versions that {location} offers"):
            found = await clients.clusters(subscription_id).managed_clusters.list_kubernetes_versions(location)
        return [str(one.version) for one in found.values_property or () if one.version]

    offered = await readable(offers(), UNREADABLE)
    if offered is None:
        return None
    return tuple(sorted(offered, key=lambda version: [int(part) for part in version.split(".")]))


async def maintenance_windows(clients: Clients, cluster: ClusterId) -> tuple[MaintenanceWindow, ...] | None:
    """Return the cluster's maintenance configurations. None if unreadable."""
    configurations = clients.clusters(cluster.subscription_id).maintenance_configurations
    listed = configurations.list_by_managed_cluster(cluster.resource_group, cluster.name)
    found = await readable(collected(listed, f"read the maintenance windows of {cluster}"), UNREADABLE)
    return None if found is None else tuple(window_of(one.as_dict()) for one in found)


def window_of(document: Mapping[str, Any]) -> MaintenanceWindow:
    """Return a maintenance window from ARM's maintenance configuration."""
    properties = document.get("properties") or {}
    window = properties.get("maintenanceWindow") or {}
    schedule: Mapping[str, Any] = window.get("schedule") or {}
    kind = next((name for name in schedule if schedule[name]), "")
    words: Mapping[str, Any] = schedule.get(kind) or {}
    hours = tuple(
        (str(day.get("day") or ""), int(hour))
        for day in properties.get("timeInWeek") or ()
        for hour in day.get("hourSlots") or ()
    )
    barred = [*(properties.get("notAllowedTime") or ()), *(window.get("notAllowedDates") or ())]
    interval = next((words[name] for name in ("intervalDays", "intervalWeeks", "intervalMonths") if words.get(name)), 1)
    return MaintenanceWindow(
        name=str(document.get("name") or ""),
        hours=hours,
        schedule=kind,
        interval=int(interval),
        day_of_week=str(words.get("dayOfWeek") or ""),
        day_of_month=int(words.get("dayOfMonth") or 0),
        week_index=str(words.get("weekIndex") or ""),
        duration_hours=int(window.get("durationHours") or 0),
        utc_offset=str(window.get("utcOffset") or "+00:00"),
        start_date=str(window.get("startDate") or "")[:10],
        start_time=str(window.get("startTime") or "00:00"),
        not_allowed=tuple((str(one["start"]), str(one["end"])) for one in barred),
    )


async def subnet(clients: Clients, subnet_id: str) -> Subnet:
    """Return how many addresses a subnet has left. `free` is None if unreadable."""
    document = await read(clients, subnet_id, _NETWORK)
    if document is None:
        return Subnet(id=subnet_id, free=None)
    properties = document.get("properties") or {}
    prefixes = properties.get("addressPrefixes") or [properties.get("addressPrefix")]
    try:
        networks = [ipaddress.ip_network(str(prefix)) for prefix in prefixes]
    except ValueError:
        return Subnet(id=subnet_id, free=None)
    room = sum(network.num_addresses for network in networks if network.version == 4)  # noqa: PLR2004 - IPv4 runs out
    return Subnet(id=subnet_id, free=max(room - RESERVED - len(properties.get("ipConfigurations") or ()), 0))


async def quotas(clients: Clients, subscription_id: str, location: str) -> tuple[Quota, ...] | None:
    """Return the vCPUs that a subscription has left in a region, in total and by family. None if unreadable."""
    path = f"/subscriptions/{subscription_id}/providers/Microsoft.Compute/locations/{location}/usages"
    usages = await pages(clients, f"{path}?api-version={_COMPUTE}")
    if usages is None:
        return None
    return tuple(
        Quota(name=str((one.get("name") or {}).get("value")), left=int(one["limit"]) - int(one["currentValue"]))
        for one in usages
        if "limit" in one and "currentValue" in one
    )


async def published_addresses(clients: Clients, cluster: ClusterId, node_resource_group: str) -> tuple[str, ...] | None:
    """Return public addresses in the node resource group, and the front ends of load balancers. None if unreadable."""
    group = f"/subscriptions/{cluster.subscription_id}/resourceGroups/{node_resource_group}"
    found: list[str] = []
    for kind in ("publicIPAddresses", "loadBalancers"):
        items = await pages(clients, f"{group}/providers/Microsoft.Network/{kind}?api-version={_NETWORK}")
        if items is None:
            return None
        for item in items:
            properties = item.get("properties") or {}
            found.append(str(properties.get("ipAddress") or ""))
            fronts = properties.get("frontendIPConfigurations") or ()
            found += [str((front.get("properties") or {}).get("privateIPAddress") or "") for front in fronts]
    return tuple(sorted(set(found) - {""}))


async def read(clients: Clients, path: str, version: str) -> Document | None:
    """GET one document of ARM. Returns None if it may not be read, does not exist, or ARM does not offer it."""
    url = f"{ARM}{path}?api-version={version}"
    return await readable(documents.get(clients, url, _doing(url)), UNREADABLE)


async def pages(clients: Clients, path: str) -> list[Document] | None:
    """GET the items of a list, page by page, and stop after `MOST` items. None if unreadable."""
    url, found = f"{ARM}{path}", list[Document]()

    async def items() -> list[Document]:
        async for page in documents.pages(clients, url, _doing(url)):
            found.extend(item for item in page.get("value") or () if isinstance(item, Mapping))
            if len(found) >= MOST:
                break
        return found

    return await readable(items(), UNREADABLE)


async def whole(clients: Clients, changed_by: ChangedBy, path: str) -> list[Document] | None:
    """Return the items of a list, read once for all that ask.

    None if it is unreadable or malformed, or has `MOST` items or more: what is not whole proves nothing.
    """
    url = f"{ARM}{path}"

    async def items() -> list[Document] | None:
        found = list[Document]()
        async for page in documents.pages(clients, url, _doing(url)):
            value = page.get("value")
            if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
                return None
            found += value
            if len(found) >= MOST:
                return None
        return found

    return await clients.shared.once(changed_by, path, lambda: readable(items(), UNREADABLE))


def _doing(url: str) -> str:
    return f"read {urlsplit(url).path.rpartition('/')[2]}"
