"""Reads Azure's activity log of one cluster: who wrote the cluster, and who received admin credentials.

The log shows a request 3 to 20 minutes after it was made (source: Azure Monitor's page "Azure activity log"), keeps it
for 90 days, and returns the newest events first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from aks_entra.adapters.arm import documents
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.documents import ARM, Document
from aks_entra.adapters.arm.shared_reads import ChangedBy
from aks_entra.adapters.arm.surroundings import MOST, UNREADABLE, pages
from aks_entra.adapters.http.readable import readable
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import exact_stamp
from aks_entra.core.evidence.observations import ActivityLogRead, HandedOut
from aks_entra.core.preflight import Writer

LOGGED: Final = timedelta(days=89)
"""How far back a query reaches. Azure keeps 90 days, and refuses a query for more."""

DELAY: Final = 1200.0
"""Seconds after which the activity log contains every request."""

MOST_PAGES: Final = 20
"""Pages of a subscription's log. A plan reads 20 clusters side by side: more pages cost more than asking for each."""

_VERSION: Final = "2015-04-01"
_VALUES: Final = "providers/Microsoft.Insights/eventtypes/management/values"
_WRITE: Final = "microsoft.containerservice/managedclusters/write"
_PROFILE: Final = "/accessProfiles/clusterAdmin"
_HANDED_OUT: Final = frozenset(
    {
        "microsoft.containerservice/managedclusters/listclusteradmincredential/action",
        "microsoft.containerservice/managedclusters/accessprofiles/listcredential/action",
    }
)
_ENDS: Final = frozenset({"succeeded", "accepted"})
_REFUSED: Final = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """The events of one resource, and the moment (ISO 8601) from which on they are complete."""

    events: list[Mapping[str, Any]]
    since: str


async def writers(clients: Clients, cluster: ClusterId, now: datetime) -> tuple[Writer, ...] | None:
    """Return who wrote the cluster: each caller once, with its newest write, newest first. None if unreadable."""
    events = await _of_many(clients, cluster, now)
    if events is None:
        log = await _read(clients, cluster, cluster.resource_id, now)
        if log is None:
            return None
        events = log.events
    newest: dict[str, Writer] = {}
    for event in events:
        caller, at = str(event.get("caller") or ""), str(event.get("eventTimestamp") or "")
        if _value(event, "operationName") != _WRITE or not caller:
            continue
        if caller not in newest or newest[caller].at < at:
            newest[caller] = Writer(name=_name(event, caller), at=at, application="@" not in caller)
    return tuple(sorted(newest.values(), key=lambda writer: writer.at, reverse=True))


async def handed_out(clients: Clients, cluster: ClusterId, now: datetime, delay: float = DELAY) -> ActivityLogRead:
    """Return who received admin credentials, and the time that the log covers.

    The log names a request `listClusterAdminCredential/action`, or `accessProfiles/listCredential/action` for the older
    access profile. It has one event for the start of a request and one for its end. A refused request ends as Failed
    and is left out. A request that began more than `delay` seconds ago and has no end is included.
    """
    log = await _read(clients, cluster, cluster.resource_id, now)
    profile = await _read(clients, cluster, f"{cluster.resource_id}{_PROFILE}", now) if log else None
    if log is None or profile is None:
        return ActivityLogRead(at=exact_stamp(now), problem="this identity may not read it")
    until = now - timedelta(seconds=delay)
    asked = [event for event in (*log.events, *profile.events) if _value(event, "operationName") in _HANDED_OUT]
    ends = {str(one.get("correlationId") or "") for one in asked if _value(one, "status") in {*_ENDS, _REFUSED}}
    receipts = [_handed_out_to(one, ended=True) for one in asked if _value(one, "status") in _ENDS]
    receipts += [
        _handed_out_to(one, ended=False)
        for one in asked
        if _value(one, "status") not in {*_ENDS, _REFUSED} and str(one.get("correlationId") or "") not in ends
    ]
    known = dict.fromkeys(one for one in receipts if one.ended or _before(one.at, until))
    since = max(log.since, profile.since)
    return ActivityLogRead(at=exact_stamp(now), since=since, until=exact_stamp(until), handed_out=tuple(known))


def _handed_out_to(event: Mapping[str, Any], *, ended: bool) -> HandedOut:
    to = _name(event, str(event.get("caller") or "somebody"))
    return HandedOut(at=str(event.get("eventTimestamp") or ""), to=to, ended=ended)


def _before(at: str, moment: datetime) -> bool:
    try:
        return datetime.fromisoformat(at) < moment
    except (TypeError, ValueError):
        return True


async def _of_many(clients: Clients, cluster: ClusterId, now: datetime) -> list[Document] | None:
    """Return the events of a cluster from one read of the subscription's log, if this session is about much of it.

    None if this session is about few clusters, if that read is refused or is not whole, or if an event does not say
    which resource it is about.
    """
    name = f"log {cluster.subscription}"
    if not clients.shared.about_many(cluster.subscription) or name in clients.shared.too_long:
        return None
    found = await clients.shared.once(
        ChangedBy.EVERY_WRITE, name, lambda: readable(_by_resource(clients, cluster, now, name), UNREADABLE)
    )
    return None if found is None else found.get(cluster.key, [])


async def _by_resource(
    clients: Clients, cluster: ClusterId, now: datetime, name: str
) -> dict[str, list[Document]] | None:
    """Return the events of AKS in a subscription in the last 89 days, by resource. None as in `_of_many`."""
    wanted = quote(f"eventTimestamp ge '{_begin(now)}' and resourceProvider eq 'Microsoft.ContainerService'")
    url = f"{ARM}{cluster.subscription}/{_VALUES}?api-version={_VERSION}&$filter={wanted}"
    found, read = dict[str, list[Document]](), 0
    async for page in documents.pages(clients, url, f"read the activity log of {cluster.subscription}"):
        events, read = page.get("value"), read + 1
        if not isinstance(events, list):
            return None
        for event in events:
            resource = event.get("resourceId") if isinstance(event, Mapping) else None
            if not isinstance(resource, str):
                return None
            found.setdefault(resource.rstrip("/").lower(), []).append(event)
        if read >= MOST_PAGES and page.get("nextLink"):
            clients.shared.too_long.add(name)
            return None
    return found


def _begin(now: datetime) -> str:
    return (now - LOGGED).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _read(clients: Clients, cluster: ClusterId, resource: str, now: datetime) -> _Log | None:
    """Return the events of a resource in the last 89 days, or None if unreadable.

    If there are more events than we read, the log covers only the time since the oldest event that was read.
    """
    since = _begin(now)
    wanted = quote(f"eventTimestamp ge '{since}' and resourceUri eq '{resource}'")
    found = await pages(clients, f"{cluster.subscription}/{_VALUES}?api-version={_VERSION}&$filter={wanted}")
    if found is None:
        return None
    if len(found) < MOST:
        return _Log(events=found, since=since)
    return _Log(events=found, since=min(str(event.get("eventTimestamp") or exact_stamp(now)) for event in found))


def _value(event: Mapping[str, Any], name: str) -> str:
    return str((event.get(name) or {}).get("value") or "").casefold()


def _name(event: Mapping[str, Any], caller: str) -> str:
    """Return a person's name, or an application's client id, because the log names an application by its object id."""
    application = (event.get("claims") or {}).get("appid")
    return f"application {application}" if application and "@" not in caller else caller
