"""The types of the values in a fleet file: their bounds, and what to write instead of a wrong value."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field

from aks_entra.core.cluster import ClusterId
from aks_entra.core.doors.registry import IDS
from aks_entra.core.durations import moment, span
from aks_entra.core.planning.gates import DAYS
from aks_entra.fleet_file.errors import Mistake, Mistakes, shown
from aks_entra.text.safe import unprintable

MAX_CLUSTERS: Final = 5_000
MAX_FIRST_MEMBERS: Final = 19  # Graph takes 20 references in one request, and the prover is the first

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GUID_PATTERN: Final = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_WORK_QUEUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_UPN: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CRON: Final = re.compile(  # what Prefect and cronsim read alike
    r"[\d*,/-]+( +[\d*,/-]+){2} +(?:[\d*,/-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)+"
    r" +(?:[\d*,/-]|mon|tue|wed|thu|fri|sat|sun)+",
    re.IGNORECASE,
)
_LONGEST: Final = timedelta(days=365)
_WHOLE_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EXAMPLE_ID: Final = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"


def _version(value: Any) -> Any:
    if type(value) is not int or value != 1:
        raise Mistake(f"this program reads only version 1, not {shown(value)}", "write `version: 1`")
    return value


def _guid(text: str) -> str:
    if not _GUID.fullmatch(text):
        raise Mistake("is not an id", f"write a GUID, such as {_EXAMPLE_ID}", value=text)
    return text.lower()


def _work_queue(text: str) -> str:
    if not _WORK_QUEUE.fullmatch(text):
        raise Mistake(
            "is not the name of a work queue", "write letters, digits, `-`, `_` or `.`, such as spoke-weu", value=text
        )
    return text


def _principal(text: str) -> str:
    if not _GUID.fullmatch(text) and not _UPN.fullmatch(text):
        raise Mistake(
            "is neither an object id nor a user principal name",
            f"write a GUID, such as {_EXAMPLE_ID}, or a name such as dana@contoso.com",
            value=text,
        )
    return text.lower() if _GUID.fullmatch(text) else text


def _cluster_id(text: str) -> str:
    try:
        cluster = ClusterId.parse(text)
    except ValueError as error:
        raise Mistake(
            "is not the id of a managed cluster",
            "write /subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.ContainerService"
            "/managedClusters/<name>, as `az aks show --query id` prints it",
            value=text,
        ) from error
    _guid(cluster.subscription_id)
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9])?", text):
        raise Mistake(
            "is not a valid name",
            "use letters, digits, spaces, dots, dashes and underscores; begin and end with a letter or digit",
            value=text,
        )
    return text


def _unique_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise Mistake("is not a valid uniqueName", "use letters, digits, dots, dashes and underscores", value=text)
    return text


def _text(text: str) -> str:
    if text != text.strip() or any(ord(character) < ord(" ") for character in text):
        raise Mistake(
            "has spaces around it, or contains a line break", "write it on one line, without spaces around it"
        )
    if found := unprintable(text):
        raise Mistake(f"contains the character {found}", "write it without control characters")
    return text


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):  # the value may be a secret, so the error does not repeat it
        raise Mistake(
            "is not the name of an environment variable",
            "write the variable's name, such as PROVER_SECRET; never write the secret itself into this file",
        )
    return text


def _rule(text: str) -> str:
    if not re.fullmatch(r"[BWUI]\d{3}", text):
        raise Mistake(
            "is not a rule id", "write an id such as W127; docs/reference/preflight.md lists them", value=text
        )
    return text


class DoorTarget(StrEnum):
    """What must be proven of a door. Nothing closes a door by itself."""

    CLOSED = "closed"


def _door_target(value: Any) -> Any:
    if value != DoorTarget.CLOSED:
        raise Mistake(f"{shown(value)} is not a valid value", "write `closed`, or remove the key")
    return value


def _doors(doors: dict[str, DoorTarget]) -> dict[str, DoorTarget]:
    remedy = f"write one of {', '.join(sorted(IDS))}"
    wrong = [Mistake("is not a kind of door", remedy, at=(name,), value=name) for name in doors if name not in IDS]
    if wrong:
        raise Mistakes(wrong)
    return doors


def _unit(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise Mistake("has no unit", "write 45m, 2h, 7d or 1d12h", value=str(value))
    return value


def _span(text: str) -> str:
    try:
        found = span(text)
    except (ValueError, OverflowError):
        raise Mistake("is not a duration", "write 45m, 2h, 7d or 1d12h", value=text) from None
    if found > _LONGEST:
        raise Mistake("is longer than a year", "write 365d or less", value=text)
    return text


def _clock(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise Mistake("is not a time of day", 'write hours and minutes, such as "02:00"', value=text)
    return text


def _day(text: str) -> str:
    if text.casefold()[:3] not in DAYS or text.casefold() not in {*DAYS, *_WHOLE_DAYS}:
        raise Mistake("is not a day of the week", "write mon, tue, wed, thu, fri, sat or sun", value=text)
    return text.casefold()[:3]


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, LookupError, OSError):  # an unknown name, a path, a folder of names
        raise Mistake("is not a time zone", "write an IANA name, such as Europe/Amsterdam or UTC", value=text) from None
    return text


def _cron(text: str) -> str:
    try:
        valid = _CRON.fullmatch(text) and next(CronSim(text, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except CronSimError:
        valid = None
    if not valid:
        raise Mistake(
            "is not a cron schedule",
            'write minute, hour, day of the month, month, day of the week, such as "0 2 * * 6" or "15 4 * * mon-fri"',
            value=text,
        )
    return " ".join(text.split())


def _instant(text: str) -> str:
    try:
        moment(text)
    except (ValueError, OverflowError):
        raise Mistake(
            "is not a time with an offset", "write it as 2026-12-01T22:00Z or 2026-12-01T23:00+01:00", value=text
        ) from None
    return text


Guid = Annotated[str, AfterValidator(_guid), Field(json_schema_extra={"pattern": _GUID_PATTERN})]
Principal = Annotated[str, Field(min_length=1, max_length=320), AfterValidator(_principal)]
Label = Annotated[str, Field(min_length=1, max_length=63), AfterValidator(_word)]
Named = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_text)]  # a name that another system gave
Tags = Annotated[dict[Named, Annotated[str, Field(max_length=256)]], Field(min_length=1, max_length=50)]
Names = Annotated[tuple[Named, ...], Field(max_length=MAX_CLUSTERS)]
Version = Annotated[Literal[1], BeforeValidator(_version)]
ClusterResourceId = Annotated[str, Field(max_length=400), AfterValidator(_cluster_id)]
UniqueName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_unique_name)]
RuleId = Annotated[str, Field(max_length=16), AfterValidator(_rule)]
Doors = Annotated[
    dict[str, Annotated[DoorTarget, BeforeValidator(_door_target)]],
    Field(max_length=50, json_schema_extra={"propertyNames": {"enum": sorted(IDS)}}),
    AfterValidator(_doors),
]
Variable = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_variable)]
WorkQueue = Annotated[str, Field(max_length=100), AfterValidator(_work_queue)]
Principals = Annotated[tuple[Principal, ...], Field(max_length=MAX_FIRST_MEMBERS)]
Span = Annotated[str, BeforeValidator(_unit), Field(min_length=1, max_length=40), AfterValidator(_span)]
ClockTime = Annotated[str, Field(max_length=40), AfterValidator(_clock)]
Day = Annotated[str, Field(max_length=40), AfterValidator(_day), Field(json_schema_extra={"enum": list(DAYS)})]
TimeZone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_zone)]
Cron = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_cron)]
Instant = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_instant)]
