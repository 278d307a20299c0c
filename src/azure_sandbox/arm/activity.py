"""The activity log of a subscription: who asked for what to be written, for 90 days.

Every write that passes the front door leaves entries; a long-running one gets another when it ends. The real log shows
an entry minutes later; this one at once.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from azure_sandbox.http import Problem, Request

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event. `status`: Started, Accepted, Succeeded or Failed."""

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
        """The event as the service prints it."""
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
    """The entries of all subscriptions, oldest first."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Write an entry."""
        self._entries.append(entry)

    def find(self, wanted: Callable[[Entry], bool], now: dt.datetime) -> list[Entry]:
        """The entries of the last 90 days that meet a wish, newest first."""
        return sorted((it for it in self._entries if it.at >= now - KEPT and wanted(it)), key=lambda it: it.at)[::-1]

    def ending(self, begun: Entry) -> Ending:
        """How the end of a write is noted whose beginning was."""
        return Ending(log=self, begun=begun)

    def all(self) -> tuple[Entry, ...]:
        """Every entry, however old."""
        return tuple(self._entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the end of a write that has begun is noted."""

    log: ActivityLog
    begun: Entry

    def __call__(self, status: int, when: dt.datetime) -> None:
        """Note an end, by the answer's status."""
        outcome = "Failed" if status >= 400 else "Accepted" if status in {201, 202} else "Succeeded"  # noqa: PLR2004  # HTTP
        code, name = _CODES.get(status, str(status)), str(uuid.uuid4())
        self.log.add(replace(self.begun, at=when, status=outcome, code=code, id=name))


def record(
    log: ActivityLog, request: Request, action: str, resource: str, who: tuple[str, str], correlation: str
) -> Ending:
    """Note that a write has begun; returns how to note its end."""
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
    """A `$filter`: since when, until when, and the other fields; what it does not know is refused."""
    since = until = None
    rest: Document = {}
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
    """Whether an event has these values, whatever their case."""
    for name, value in wanted.items():
        held = shown[name]
        held = held["value"] if isinstance(held, dict) else held
        if str(held).lower().rstrip("/") != value.lower().rstrip("/"):
            return False
    return True
