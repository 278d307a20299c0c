"""The one supported query of audit logs, matched word by word. Any other query gets a 501.

It groups similar requests of each cluster that it names. Entra ID users, the control plane, pods and refused requests
are only counted, with the hours in which there were some; nodes are listed by address; all others by name, program,
address, verb and groups, with up to two of the namespaces that certificates were used for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure_sandbox.logs.state import READS, AuditEvent, Category

UNAUTHORIZED = 401
TEXT = r"""
union isfuzzy=true
( <table> | where _ResourceId in~ (<clusters>)
| project TimeGenerated, Cluster = tolower(_ResourceId), Stage, Verb, User = todynamic(User), UserAgent,
SourceIps = todynamic(SourceIps), Status = todynamic(ResponseStatus), Object = todynamic(ObjectRef) ),
( AzureDiagnostics | where _ResourceId in~ (<clusters>) and Category == '<category>'
| extend Event = parse_json(column_ifexists('log_s', ''))
| project TimeGenerated, Cluster = tolower(_ResourceId), Stage = tostring(Event.stage),
Verb = tostring(Event.verb), User = Event.user,
UserAgent = tostring(Event.userAgent), SourceIps = Event.sourceIPs, Status = Event.responseStatus,
Object = Event.objectRef )
| where Stage in ('ResponseComplete', 'Panic')
| extend Username = tostring(User.username), Extra = User.extra
| extend Kind = case( toint(Status.code) == 401, 'stays', Username startswith_cs 'system:node:', 'node',
Username startswith_cs 'system:serviceaccount:'
and isempty(tostring(Extra['authentication.kubernetes.io/pod-name'])), 'account',
Username startswith_cs 'system:' or isempty(Username) or isnotempty(tostring(Extra.oid)), 'stays', 'other')
| extend Named = Kind in ('account', 'other')
| summarize Count = count(), First = min(TimeGenerated), Last = max(TimeGenerated),
Hours = make_set_if(bin(TimeGenerated, 1h), Kind == 'stays'),
Namespaces = make_set_if(tostring(Object.namespace), Kind == 'other' and isnotempty(tostring(Object.resource)), 2) by
Cluster, Username = case(Named, Username, Kind == 'node', 'system:node:', ''), UserAgent = iff(Named, UserAgent, ''),
Address = iff(Kind == 'stays', '', tostring(SourceIps[0])),
Verb = case(Named, Verb, Verb in ('get', 'list', 'watch'), 'get', 'update'),
Groups = iff(Kind == 'other', tostring(User.groups), ''),
Certificate = Kind == 'other'
and tostring(Extra['authentication.kubernetes.io/credential-id'][0]) startswith 'X509SHA256=',
Second = iff(Named and UserAgent startswith '<program>', bin(TimeGenerated, 1s), datetime(null))
| top <most> by Count desc
"""
COLUMNS = (
    ("Cluster", "string"),
    ("Username", "string"),
    ("UserAgent", "string"),
    ("Address", "string"),
    ("Verb", "string"),
    ("Groups", "string"),
    ("Certificate", "bool"),
    ("Second", "datetime"),
    ("Count", "long"),
    ("First", "datetime"),
    ("Last", "datetime"),
    ("Hours", "dynamic"),
    ("Namespaces", "dynamic"),
)
_COUNT = [name for name, _ in COLUMNS].index("Count")
_PLACES = {
    "<clusters>": r"(?P<clusters>'[^']+'(?:, '[^']+')*)",
    "<table>": "(?P<table>AKSAudit|AKSAuditAdmin)",
    "<category>": "(?P<category>kube-audit|kube-audit-admin)",
    "<most>": r"(?P<most>\d+)",
    "<program>": r"(?P<program>[\w./-]+)",
}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _pattern() -> re.Pattern[str]:
    pattern = re.escape(_one_line(TEXT))
    for place, found in _PLACES.items():
        before, _, after = pattern.partition(re.escape(place))
        pattern = before + found + after.replace(re.escape(place), f"(?P={place.strip('<>')})")
    return re.compile(pattern)


_KNOWN = _pattern()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """The parameters of a query: resource IDs of clusters, table, log category and maximum number of rows.

    Requests of a program whose user agent begins with `program` are listed by the second.
    """

    clusters: tuple[str, ...]
    table: str
    category: Category
    most: int
    program: str

    def run(self, events: Iterable[tuple[str, AuditEvent]], since: datetime) -> list[list[Any]]:
        """Return the rows of (cluster, event) since a moment, with the columns of `COLUMNS`."""
        sums: dict[tuple[Any, ...], list[AuditEvent]] = {}
        for cluster, it in events:
            if it.at >= since:
                sums.setdefault((cluster.lower(), *_key(it, self.program)), []).append(it)
        rows = [
            [
                *key,
                sum(it.count for it in several),
                _iso(min(times)),
                _iso(max(times)),
                _hours(several),
                _namespaces(several),
            ]
            for key, several in sums.items()
            if (times := [it.at for it in several])
        ]
        return sorted(rows, key=lambda row: -int(row[_COUNT]))[: self.most]


def read(text: str) -> AuditQuery | None:
    """Parse a query. Returns None if it is not the supported one."""
    found = _KNOWN.fullmatch(_one_line(text))
    if found is None:
        return None
    category: Category = "kube-audit" if found["category"] == "kube-audit" else "kube-audit-admin"
    clusters = tuple(re.findall("'([^']+)'", found["clusters"]))
    return AuditQuery(
        clusters=clusters,
        table=found["table"],
        category=category,
        most=int(found["most"]),
        program=found["program"].lower(),
    )


def _kind(it: AuditEvent) -> str:
    name = it.user
    cases: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: it.status == UNAUTHORIZED, "stays"),
        (lambda: name.startswith("system:node:"), "node"),
        (lambda: name.startswith("system:serviceaccount:") and not it.pod, "account"),
        (lambda: name.startswith("system:") or not name or it.entra, "stays"),
    )
    return next((kind for holds, kind in cases if holds()), "other")


def _key(it: AuditEvent, program: str) -> tuple[Any, ...]:
    kind = _kind(it)
    named, other = kind in {"account", "other"}, kind == "other"
    return (
        it.user if named else "system:node:" if kind == "node" else "",
        it.user_agent if named else "",
        "" if kind == "stays" else it.address,
        it.verb if named else "get" if it.verb in READS else "update",
        json.dumps(list(it.groups)) if other else "",
        other and it.certificate,
        _iso(it.at.replace(microsecond=0)) if named and it.user_agent.lower().startswith(program) else None,
    )


def _hours(several: Iterable[AuditEvent]) -> str:
    """Return the hours of the requests that are only counted. A dynamic column is JSON in a text."""
    hours = {it.at.replace(minute=0, second=0, microsecond=0) for it in several if _kind(it) == "stays"}
    return json.dumps([_iso(hour) for hour in sorted(hours)])


def _namespaces(several: Iterable[AuditEvent]) -> str:
    """Return two of the namespaces at most, as the query wants."""
    return json.dumps(sorted({it.namespace for it in several if it.resource and _kind(it) == "other"})[:2])


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
