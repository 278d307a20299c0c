"""The activity log of a subscription: who requested which write in the last 90 days.

Every write that passes the front door leaves two entries, and a long-running operation leaves another when it ends.
The real log shows an entry 3 to 20 minutes later. This log shows it at once, unless `late` is set.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from azure_sandbox.front.http import Problem, Request

Document = dict[str, Any]
KEPT = dt.timedelta(days=90)
PAGE = 200
_TERM = re.compile(r"\s*(?P<field>\w+)\s+(?P<operator>eq|ge|le|gt|lt)\s+'?(?P<value>[^']*?)'?\s*", re.IGNORECASE)
_FIELDS = {
    "resourcegroupname": "resourceGroupName",
    "resourceuri": "resourceId",
    "resourceid": "resourceId",
    "resourceprovider": "resourceProviderName",
    "correlationid": "correlationId",
    "caller": "caller",
    "status": "status",
    "operationname": "operationName",
    "operations": "operationName",
    "levels": "level",
    "eventchannels": "channels",
    "category": "category",
}
_PLACES = {"resourcegroupname", "resourceuri", "resourceid", "resourceprovider", "correlationid"}
"""The patterns of "Activity Logs - List" exclude each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event of the activity log.

    `operation` is the action, `resource` the scope, `oid` the caller's object id, and `status` is Started, Accepted,
    Succeeded or Failed.
    """

    at: dt.datetime
    operation: str
    resource: str
    caller: str
    oid: str
    status: str
    code: str
    correlation: str
    method: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def shown(self, subscription: str, tenant: str) -> Document:
        """Return the event in the form that the service shows."""
        parts = self.resource.split("/")
        lower = [it.lower() for it in parts]
        group = parts[lower.index("resourcegroups") + 1] if "resourcegroups" in lower[:-1] else ""
        namespace = self.operation.partition("/")[0]
        localized = {"value": self.status, "localizedValue": self.status}
        return {
            "caller": self.caller,
            "channels": "Operation",
            "claims": {"http://schemas.microsoft.com/identity/claims/objectidentifier": self.oid},
            "authorization": {"action": self.operation, "scope": self.resource},
            "correlationId": self.correlation,
            "eventDataId": self.id,
            "eventName": {"value": "EndRequest", "localizedValue": "End request"},
            "category": {"value": "Administrative", "localizedValue": "Administrative"},
            "eventTimestamp": f"{self.at:%Y-%m-%dT%H:%M:%S.%f}0Z",
            "submissionTimestamp": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "id": f"{self.resource}/events/{self.id}/ticks/{int(self.at.timestamp() * 10_000_000)}",
            "level": "Error" if self.status == "Failed" else "Informational",
            "operationId": self.correlation,
            "operationName": {"value": self.operation, "localizedValue": self.operation},
            "resourceGroupName": group,
            "resourceProviderName": {"value": namespace, "localizedValue": namespace},
            "resourceType": {"value": self.operation.rpartition("/")[0], "localizedValue": ""},
            "resourceId": self.resource,
            "status": localized,
            "subStatus": {"value": self.code, "localizedValue": self.code},
            "httpRequest": {"clientRequestId": self.id, "clientIpAddress": "203.0.113.10", "method": self.method},
            "subscriptionId": subscription,
            "tenantId": tenant,
        }


class ActivityLog:
    """The entries of all subscriptions, oldest first; `late` is the delay until an entry is shown."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.late = dt.timedelta()

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        self._entries.append(entry)

    def find(self, wanted: Callable[[Entry], bool], now: dt.datetime) -> list[Entry]:
        """Return the entries of the last 90 days that `wanted` accepts, newest first."""
        shown = (it for it in self._entries if now - KEPT <= it.at <= now - self.late and wanted(it))
        return sorted(shown, key=lambda it: it.at)[::-1]

    def ending(self, begun: Entry) -> Ending:
        """Return the callable that writes the end of a write whose start is logged."""
        return Ending(log=self, begun=begun)

    def all(self) -> tuple[Entry, ...]:
        """Return every entry, also those older than 90 days."""
        return tuple(self._entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Writes the last entry of a write whose start is logged."""

    log: ActivityLog
    begun: Entry

    def __call__(self, status: int, when: dt.datetime) -> None:
        """Add the entry for the end, from the HTTP status of the answer."""
        outcome = "Failed" if status >= 400 else "Accepted" if status in {201, 202} else "Succeeded"  # noqa: PLR2004  # HTTP
        code, name = _CODES.get(status, str(status)), str(uuid.uuid4())
        self.log.add(replace(self.begun, at=when, status=outcome, code=code, id=name))


def record(
    log: ActivityLog, request: Request, action: str, resource: str, who: tuple[str, str], correlation: str
) -> Ending:
    """Log the start of a write and return the callable that logs its end; `who` is the caller's name and object id."""
    name, oid = who
    begun = Entry(
        at=request.now,
        operation=action,
        resource=resource,
        caller=name,
        oid=oid,
        status="Started",
        code="",
        correlation=correlation,
        method=request.method,
    )
    log.add(begun)
    return Ending(log=log, begun=begun)


_CODES = {200: "OK", 201: "Created", 202: "Accepted", 204: "NoContent", 400: "BadRequest", 403: "Forbidden"}
_CODES |= {404: "NotFound", 409: "Conflict", 412: "PreconditionFailed", 429: "TooManyRequests"}


def parse(filter_: str, refuse: Callable[[str], Problem]) -> tuple[dt.datetime | None, dt.datetime | None, Document]:
    """Return the start, the end and the other fields of a `$filter`.

    Raises what `refuse` makes of an unknown term, and of a second one about the place.
    """
    since = until = None
    rest: Document = {}
    used: set[str] = set()
    for part in re.split(r"\s+and\s+", filter_, flags=re.IGNORECASE) if filter_.strip() else ():
        found = _TERM.fullmatch(part)
        if found is None:
            raise refuse(f"The filter {part!r} is not valid.")
        name, operator, value = found["field"].lower(), found["operator"].lower(), found["value"]
        if name == "eventtimestamp":
            moment = _moment(value, refuse)
            if operator in {"ge", "gt"}:
                since = moment
            elif operator in {"le", "lt"}:
                until = moment
            else:
                raise refuse(f"The filter {part!r} is not valid.")
        elif name in _FIELDS and operator == "eq":
            if name in _PLACES and not _PLACES.isdisjoint(used):
                raise refuse(
                    f"The filter {filter_!r} is not supported: it may name one of {', '.join(sorted(_PLACES))}."
                )
            used.add(name)
            rest[_FIELDS[name]] = value
        else:
            raise refuse(f"The filter {part!r} is not valid.")
    return since, until, rest


def _moment(value: str, refuse: Callable[[str], Problem]) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        raise refuse(f"The timestamp {value!r} is not valid.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def fits(shown: Document, wanted: Document) -> bool:
    """Return whether an event has these values; case does not matter."""
    for name, value in wanted.items():
        held = shown[name]
        held = held["value"] if isinstance(held, dict) else held
        if str(held).lower().rstrip("/") != value.lower().rstrip("/"):
            return False
    return True
