"""Reads a cluster's audit log from a file, whatever form it was exported in, for `core.preflight.audit_callers`.

A file of which a part is damaged or unclear is refused, or its log counts as incomplete. It never says that nobody
calls.

Known are: Kubernetes' own events as JSON lines; what diagnostic settings write to a storage account or an event hub
(`properties.log`); and what Log Analytics answers or exports (tables AzureDiagnostics, AKSAudit and AKSAuditAdmin; as
JSON, as the API's `tables`, or as the portal's CSV). Gzip is opened. Nothing but what `Call` names is kept.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO

from aks_entra.core.durations import stamp, when
from aks_entra.core.preflight.audit_callers import AuditedCallers, Call, who_breaks
from aks_entra.core.storable import storable
from aks_entra.errors import Refused

LARGEST: Final = 512 * 1024 * 1024  # characters of a document that is not made of lines

_ADMIN_ONLY: Final = frozenset({"kube-audit-admin", "aksauditadmin"})
_AUDIT: Final = frozenset({"kube-audit", "aksaudit", "azurediagnostics", ""})
_ENDS: Final = frozenset({"responsecomplete", "panic", "responsestarted", ""})
_EXTRA: Final = "authentication.kubernetes.io/"
_CLUSTER: Final = re.compile(r"^/subscriptions/.+/managedclusters/[^/]+$", re.IGNORECASE)
_NAMED: Final = re.compile(r"^(?P<cluster>[^/=]+/[^/=]+)=(?P<file>.+)$")
_PORTAL: Final = ("%m/%d/%Y, %I:%M:%S.%f %p", "%m/%d/%Y, %I:%M:%S %p")
_DAY_FIRST: Final = tuple(form.replace("%m/%d", "%d/%m") for form in _PORTAL)
_UTC, _LOCAL, _TIME = " [UTC]", " [Local Time]", "TimeGenerated"
_AHEAD: Final = timedelta(days=1)  # how far a clock may be ahead of ours
_REMEDY: Final = "export category kube-audit, or table AKSAudit, as JSON lines, JSON or CSV"

Row = Mapping[str, Any]


@dataclass(slots=True)
class _Reading:
    """The time that is asked for, and how many entries could not be read: what they hold is unknown."""

    since: datetime
    now: datetime
    damaged: int = 0


def read_audit_logs(sources: Iterable[str], since: datetime, now: datetime) -> dict[str, AuditedCallers]:
    """Who will break, by cluster, from files named `FILE` or `resource-group/name=FILE`.

    Keys are `ClusterId.key`, `resource-group/name` in lower case as given, or empty where the log names no cluster.
    If a file is named for a cluster, its entries of other clusters are left out.
    Raises Refused when a file cannot be read, is no audit log, or has no entry of its cluster, and when no entry of all
    files is recent enough.
    """
    calls: dict[str, list[Call]] = {}
    reading = _Reading(since=since, now=now)
    newest = ""
    for source in sources:
        named = None if Path(source).is_file() else _NAMED.match(source)
        path = Path(named["file"] if named else source)
        found, other = False, ""
        for call in _calls(path, reading):
            if named and not _is_of(call.cluster, named["cluster"]):
                other = call.cluster
                continue
            found = True
            newest = max(newest, call.at)
            cluster = named["cluster"].casefold() if named else call.cluster
            if call.at >= stamp(since):
                calls.setdefault(cluster, []).append(call)
        if not found and named and other:
            text = f"{path}: no audited request of {named['cluster']} is in it, but some of {other}"
            raise Refused(text, remedy="name the cluster that the log is about, or leave its name out")
        if not found:
            raise Refused(f"{path}: no audited request is in it", remedy=_REMEDY)
    if newest and not calls:
        text = f"`--audit-log`: the newest audited request is of {newest}, and those before {stamp(since)} do not count"
        raise Refused(text, remedy="export the log of the last days, or let more of them count with `--audit-days`")
    weighed = {cluster: who_breaks(several) for cluster, several in calls.items()}
    return {
        cluster: replace(one, complete=one.complete and not reading.damaged)
        for cluster, one in weighed.items()
        if one is not None
    }


def _is_of(cluster: str, name: str) -> bool:
    """Whether an entry belongs to the cluster that a person named (`resource-group/name`).

    An entry that names no cluster belongs to it.
    """
    group, _, its = name.casefold().partition("/")
    mine = f"/resourcegroups/{group}/providers/microsoft.containerservice/managedclusters/{its}"
    return not cluster or cluster.endswith(mine)


def _calls(path: Path, reading: _Reading) -> Iterator[Call]:
    try:
        with _opened(path) as file:
            for row in _rows(file, path):
                yield from _calls_of(row, path, reading)
    except FileNotFoundError as error:
        remedy = "check its name; a cluster is named before it, as `resource-group/name=FILE`"
        raise Refused(f"{path}: there is no such file", remedy=remedy) from error
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or error
        raise Refused(f"{path}: cannot be read: {why}", remedy=_REMEDY) from error
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: not UTF-8 text", remedy=_REMEDY) from error
    except (zlib.error, RecursionError, csv.Error, ValueError) as error:
        raise Refused(f"{path}: is damaged: {error}", remedy=_REMEDY) from error


def _opened(path: Path) -> TextIO:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if zipped:
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(file: TextIO, path: Path) -> Iterator[Row]:
    """Every entry of a file: one for each line, or those of one document."""
    lines = lines_of(file, path)
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip()[:1] not in {"{", "["}:
        yield from _table(first, lines, path)
        return
    try:
        row = json.loads(first)
    except ValueError:
        yield from _entries(_whole(first + file.read(LARGEST), path))
        return
    yield from _entries(row)
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            yield from _entries(json.loads(line))
        except ValueError as error:
            raise Refused(f"{path}:{number}: this line is not JSON", remedy=_REMEDY) from error


def lines_of(file: TextIO, path: Path, *, longest: int = LARGEST) -> Iterator[str]:
    """The file's lines. Refused for one that is longer: a small gzip file can hold any amount of it."""
    while line := file.readline(longest + 1):
        if len(line) > longest:
            raise Refused(f"{path}: a line of it is longer than {longest:,} characters", remedy=_REMEDY)
        yield line


def _table(first: str, lines: Iterator[str], path: Path) -> Iterator[Row]:
    names = next(csv.reader([first]), [])
    if f"{_TIME}{_LOCAL}" in names:
        raise Refused(
            f"{path}: its times are local ones of an unknown time zone",
            remedy="set the display time zone of Log Analytics to UTC, and export again",
        )
    if not {_TIME, f"{_TIME}{_UTC}"} & set(names):
        raise Refused(f"{path}: is no audit log", remedy=_REMEDY)
    csv.field_size_limit(LARGEST)
    rows = csv.reader(lines, strict=True)
    for values in rows:
        if values and len(values) != len(names):
            said = f"it has {len(values)} of {len(names)} columns"
            raise Refused(f"{path}:{rows.line_num + 1}: this row is damaged: {said}", remedy=_REMEDY)
        yield {name.removesuffix(_UTC): value for name, value in zip(names, values, strict=False)}


def _whole(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Refused(f"{path}: is no audit log: it is not JSON ({error})", remedy=_REMEDY) from error


def _entries(document: Any) -> Iterator[Row]:
    """The entries in a document: itself, its list, or the API's tables."""
    if isinstance(document, list):
        for one in document:
            yield from _entries(one)
    elif isinstance(document, dict):
        inner = next(
            (document[key] for key in ("records", "value", "items") if isinstance(document.get(key), list)), None
        )
        if inner is not None:
            yield from _entries(inner)
        elif isinstance(document.get("tables"), list):
            if document.get("error"):
                raise ValueError("Log Analytics returned only a part")
            for table in document["tables"]:
                yield from _rows_of(table)
        else:
            yield document


def _rows_of(table: Any) -> Iterator[Row]:
    """The rows of a table of the API. Raises ValueError if it has another form."""
    try:
        names = [str(column["name"]) for column in table["columns"]]
        for row in table["rows"]:
            yield dict(zip(names, row, strict=True))
    except (KeyError, TypeError) as error:
        raise ValueError("a table has another form than Log Analytics gives it") from error


def _calls_of(row: Row, path: Path, reading: _Reading) -> Iterator[Call]:
    lower = {str(name).casefold(): value for name, value in row.items()}
    category = str(lower.get("category") or lower.get("type") or "").casefold()
    if category not in _ADMIN_ONLY | _AUDIT:
        return  # of another component: the same export may hold several
    cluster = str(lower.get("_resourceid") or lower.get("resourceid") or "")
    known = cluster.lower() if _CLUSTER.match(cluster) else ""
    reading.damaged += bool(cluster) and not known
    properties = _structure(lower.get("properties"))
    log = lower.get("log_s") or (properties.get("log") if isinstance(properties, dict) else None)
    event = _structure(log) if log else lower
    event = {str(name).casefold(): value for name, value in event.items()} if isinstance(event, dict) else {}
    if event and str(event.get("stage") or "").casefold() not in _ENDS:
        return
    if not event or (event.get("verb") and not isinstance(_structure(event.get("user")), dict)):
        reading.damaged += 1  # who called is lost
    elif event.get("verb"):
        try:
            call = _call(event, reading)
        except Refused as refused:
            raise Refused(f"{path}: {refused.message}", remedy=refused.remedy) from None
        yield replace(call, cluster=known, reads=category not in _ADMIN_ONLY)


def _call(event: Row, reading: _Reading) -> Call:
    """One request, from Kubernetes' event or a row of AKSAudit (the same words, in another case)."""
    user = _structure(event["user"])
    at = event.get("requestreceivedtimestamp") or event.get("requestreceivedtime") or event.get("timegenerated")
    extra, about, status = (
        found if isinstance(found := _structure(value), dict) else {}
        for value in (user.get("extra"), event.get("objectref"), event.get("responsestatus"))
    )
    groups = _structure(user.get("groups"))
    return Call(
        username=_text(user.get("username")),
        verb=_text(event["verb"]),
        at=_moment(str(at or ""), reading),
        id=_text(event.get("auditid")),
        groups=tuple(_text(group) for group in groups) if isinstance(groups, list) else (),
        user_agent=_text(event.get("useragent")),
        address=_first(_structure(event.get("sourceips"))),
        status=int(str(code)) if re.fullmatch("[0-9]{3}", str(code := status.get("code"))) else None,
        credential=_first(extra.get(f"{_EXTRA}credential-id")),
        entra=bool(extra.get("oid")),
        in_pod=bool(extra.get(f"{_EXTRA}pod-name")),
        namespaces=(_text(about.get("namespace")),) if about.get("resource") else (),
    )


def _structure(value: Any) -> Any:
    """What a column holds: Log Analytics writes structures as text at times. None when it is no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _text(value: Any) -> str:
    """A column's text. Half of a surrogate pair, which no file can hold, is U+FFFD in it."""
    return str(storable(str(value or "")))


def _first(values: Any) -> str:
    return _text(values[0] if isinstance(values, list) and values else values)


def _moment(text: str, reading: _Reading) -> str:
    """Return a time in UTC. Refused if it cannot be read in one way only, or has not come yet."""
    found = _at(text, _PORTAL)
    other = _at(text, _DAY_FIRST)
    if other and (found is None or found < reading.since <= other <= reading.now):
        raise Refused(
            f"the time of an audited request can have its day or its month first: {text!r}",
            remedy="export as JSON, whose times are clear",
        )
    found = found or when(text)
    if found is None:
        raise Refused(f"the time of an audited request cannot be read: {text[:40]!r}", remedy=_REMEDY)
    if found > reading.now + _AHEAD:
        raise Refused(
            f"the time of an audited request has not come yet: {text[:40]!r}",
            remedy="check this machine's clock, and whether the export has the day before the month",
        )
    return stamp(found)


def _at(text: str, forms: tuple[str, ...]) -> datetime | None:
    for form in forms if "/" in text else ():
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
