"""What stands around a cluster in ARM: versions, policies, maintenance windows, networks, who wrote it. Reads only.

Most of it has no SDK among our dependencies: it is read by GET, each with the api-version that is documented for it.
A right that is missing, or a service that does not answer so, makes None: unknown.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from aks_entra.adapters.arm import listing
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.failures import azure, translated
from aks_entra.core.cluster import ClusterId
from aks_entra.core.debt import Record, Sighting
from aks_entra.core.preflight import Quota, Subnet, Writer
from aks_entra.core.windows import Window
from aks_entra.errors import Refused

ARM: Final = f"https://{listing.ARM_HOST}"
LOGGED: Final = timedelta(days=89)
"""How far back the activity log is asked: it keeps 90 days, and refuses to be asked for more."""

RESERVED: Final = 5
"""Addresses of every subnet that Azure keeps for itself."""

_NETWORK: Final = "2024-05-01"
_COMPUTE: Final = "2024-07-01"
_ACTIVITY: Final = "2015-04-01"
_HANDED_OUT: Final = "microsoft.containerservice/managedclusters/listclusteradmincredential/action"
_UNREADABLE: Final = frozenset({401, 403, 404, 501})
_MOST_EVENTS: Final = 2000
_ERROR: Final = 400


async def supported_versions(clients: Clients, subscription_id: str, location: str) -> tuple[str, ...] | None:
    """The minor versions that Azure offers in a region, long-term support among them; None: unreadable."""
    try:
        with azure(f"read the versions that {location} offers"):
            found = await clients.clusters(subscription_id).managed_clusters.list_kubernetes_versions(location)
    except Refused as refused:
        if refused.status in _UNREADABLE:
            return None
        raise
    offered = [str(one.version) for one in found.values_property or () if one.version]
    return tuple(sorted(offered, key=lambda version: [int(part) for part in version.split(".")]))


async def maintenance_windows(clients: Clients, cluster: ClusterId) -> tuple[Window, ...] | None:
    """The cluster's maintenance configurations; None: unreadable."""
    configurations = clients.clusters(cluster.subscription_id).maintenance_configurations
    try:
        with azure(f"read the maintenance windows of {cluster}"):
            listed = configurations.list_by_managed_cluster(cluster.resource_group, cluster.name)
            return tuple([window_of(one.as_dict()) async for one in listed])
    except Refused as refused:
        if refused.status in _UNREADABLE:
            return None
        raise


def window_of(document: Mapping[str, Any]) -> Window:
    """A maintenance configuration as ARM shows it, in the core's words."""
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
    return Window(
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
    """How many addresses a subnet has left; `free` None: unreadable."""
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
    """The vCPUs that a subscription has left in a region, in all and by family; None: unreadable."""
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
    """Public addresses in the node resource group, and the front ends of its load balancers; None: unreadable."""
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


async def writers(clients: Clients, cluster: ClusterId, now: datetime) -> tuple[Writer, ...] | None:
    """Who wrote the cluster, by the activity log: each caller once, with its newest write; None: unreadable."""
    events = await _activity(clients, cluster, now)
    if events is None:
        return None
    newest: dict[str, Writer] = {}
    for event in events:
        caller, at = str(event.get("caller") or ""), str(event.get("eventTimestamp") or "")
        if _value(event, "operationName") != "microsoft.containerservice/managedclusters/write" or not caller:
            continue
        if caller not in newest or newest[caller].at < at:
            newest[caller] = Writer(name=_name(event, caller), at=at, application="@" not in caller)
    return tuple(sorted(newest.values(), key=lambda writer: writer.at, reverse=True))


async def handed_out(clients: Clients, cluster: ClusterId, now: datetime) -> tuple[Record, ...] | None:
    """When Azure handed out an admin credential: accounts were open then; None: unreadable.

    The activity log has each request for one as `listClusterAdminCredential/action`; a refused one as Failed.
    """
    events = await _activity(clients, cluster, now)
    if events is None:
        return None
    return tuple(
        Record(
            cluster=cluster.key,
            sighting=Sighting.ACCOUNTS_ON,
            at=str(event.get("eventTimestamp") or ""),
            source=f"activity log: handed out to {_name(event, str(event.get('caller') or 'somebody'))}",
        )
        for event in events
        if _value(event, "operationName") == _HANDED_OUT and _value(event, "status") == "succeeded"
    )


async def _activity(clients: Clients, cluster: ClusterId, now: datetime) -> list[Mapping[str, Any]] | None:
    since = (now - LOGGED).strftime("%Y-%m-%dT%H:%M:%SZ")
    wanted = quote(f"eventTimestamp ge '{since}' and resourceUri eq '{cluster.resource_id}'")
    path = f"/subscriptions/{cluster.subscription_id}/providers/Microsoft.Insights/eventtypes/management/values"
    return await pages(clients, f"{path}?api-version={_ACTIVITY}&$filter={wanted}")


def _value(event: Mapping[str, Any], name: str) -> str:
    return str((event.get(name) or {}).get("value") or "").casefold()


def _name(event: Mapping[str, Any], caller: str) -> str:
    """A person's name, or an application's id: the log calls an application by its object id."""
    application = (event.get("claims") or {}).get("appid")
    return f"application {application}" if application and "@" not in caller else caller


async def read(clients: Clients, path: str, version: str) -> Mapping[str, Any] | None:
    """One document of ARM; None when it may not be read, is not there, or is not served."""
    return await _get(clients, f"{path}?api-version={version}")


async def pages(clients: Clients, path: str) -> list[Mapping[str, Any]] | None:
    """All items of one of ARM's lists; None: unreadable."""
    found: list[Mapping[str, Any]] = []
    async for page in _pages(clients, path):
        if page is None:
            return None
        found += [item for item in page.get("value") or () if isinstance(item, Mapping)]
        if len(found) >= _MOST_EVENTS:
            break
    return found


async def _pages(clients: Clients, path: str) -> AsyncIterator[Mapping[str, Any] | None]:
    link: str | None = path
    while link:
        page = await _get(clients, link)
        yield page
        link = str(page.get("nextLink") or "") or None if page is not None else None


async def _get(clients: Clients, path: str) -> Mapping[str, Any] | None:
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - lazy, as all of azure is

    url = path if path.startswith("https://") else f"{ARM}{path}"
    target = urlsplit(url).path
    subscription_id = target.split("/")[2]
    what = target.rpartition("/")[2]
    response = await listing.ask(clients, subscription_id, url, f"read {what}")
    if response.status_code in _UNREADABLE:
        return None
    if response.status_code >= _ERROR:
        raise translated(HttpResponseError(response=response), f"read {what}")
    body: Any = json.loads(response.text() or "{}")
    return body if isinstance(body, dict) else {}
