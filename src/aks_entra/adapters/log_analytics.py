"""Reads who calls a cluster's API server, from the Log Analytics workspace in the cluster's diagnostic settings.

One query for the clusters of a workspace counts similar requests, and `core.preflight.audit_callers` judges them.
Requests of callers that a migration does not affect are only counted, with the hours in which there were some: they
show which time the log covers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.surroundings import pages, read
from aks_entra.adapters.http.failures import azure
from aks_entra.adapters.http.network import Web
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.preflight.audit_callers import PROGRAM, AuditedCallers, AuditLog, Call, who_breaks
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.monitor.query.aio import LogsQueryClient

HOST: Final = "api.loganalytics.io"
MOST: Final = 10_000
"""The most rows, which are kinds of caller. A log with more of them is reported as incomplete."""

_SETTINGS: Final = "2021-05-01-preview"
_WORKSPACE: Final = "2023-09-01"
_PATIENCE: Final = 90  # seconds: the server's timeout for the query
_NO_TABLE: Final = "Failed to resolve"
_BAD: Final = 400

QUERY: Final = """\
union isfuzzy=true
(
{table}
| where _ResourceId in~ ({clusters})
| project TimeGenerated, Cluster = tolower(_ResourceId), Stage, Verb, User = todynamic(User), UserAgent, \
SourceIps = todynamic(SourceIps), \
Status = todynamic(ResponseStatus), Object = todynamic(ObjectRef)
),
(
AzureDiagnostics
| where _ResourceId in~ ({clusters}) and Category == '{category}'
| extend Event = parse_json(column_ifexists('log_s', ''))
| project TimeGenerated, Cluster = tolower(_ResourceId), Stage = tostring(Event.stage), \
Verb = tostring(Event.verb), User = Event.user, \
UserAgent = tostring(Event.userAgent), SourceIps = Event.sourceIPs, Status = Event.responseStatus, \
Object = Event.objectRef
)
| where Stage in ('ResponseComplete', 'Panic')
| extend Username = tostring(User.username), Extra = User.extra
| extend Kind = case(
toint(Status.code) == 401, 'stays',
Username startswith_cs 'system:node:', 'node',
Username startswith_cs 'system:serviceaccount:' \
and isempty(tostring(Extra['authentication.kubernetes.io/pod-name'])), 'account',
Username startswith_cs 'system:' or isempty(Username) or isnotempty(tostring(Extra.oid)), 'stays',
'other')
| extend Named = Kind in ('account', 'other')
| summarize Count = count(), First = min(TimeGenerated), Last = max(TimeGenerated), \
Hours = make_set_if(bin(TimeGenerated, 1h), Kind == 'stays'),
Namespaces = make_set_if(tostring(Object.namespace), Kind == 'other' and isnotempty(tostring(Object.resource)), 2) by
Cluster, Username = case(Named, Username, Kind == 'node', 'system:node:', ''),
UserAgent = iff(Named, UserAgent, ''),
Address = iff(Kind == 'stays', '', tostring(SourceIps[0])),
Verb = case(Named, Verb, Verb in ('get', 'list', 'watch'), 'get', 'update'),
Groups = iff(Kind == 'other', tostring(User.groups), ''),
Certificate = Kind == 'other' \
and tostring(Extra['authentication.kubernetes.io/credential-id'][0]) startswith 'X509SHA256=',
Second = iff(Named and UserAgent startswith '{program}', bin(TimeGenerated, 1s), datetime(null))
| top {most} by Count desc
"""
"""Of tables AKSAudit and AzureDiagnostics (https://learn.microsoft.com/azure/azure-monitor/reference/tables/aksaudit)."""


class LogAnalytics:
    """The `AuditTrail` port."""

    def __init__(self, clients: Clients, credential: AsyncTokenCredential, web: Web) -> None:
        self._clients = clients
        self._credential = credential
        self._web = web
        self._made: LogsQueryClient | None = None

    async def callers(self, cluster: ClusterId, days: int) -> tuple[AuditedCallers | None, str]:
        """Return the callers of the last `days` days, or None and the reason if they are unknown.

        Raises:
            Refused: Azure refuses the query.
            TryLater: Azure throttles, fails, or cannot be reached.
        """
        log, why = await self.log_of(cluster)
        if log is None:
            return None, why
        found, missing = await self.callers_in(log, (cluster,), timedelta(days=days))
        if cluster.key not in found:
            name = log.workspace.rpartition("/")[2]
            return None, missing or f"workspace {name} has no audited request of the last {days} days"
        return found[cluster.key], ""

    async def log_of(self, cluster: ClusterId) -> tuple[AuditLog | None, str]:
        """Return where a cluster sends its audit log, by its diagnostic settings, or None and why nobody can ask there.

        Raises:
            Refused: Azure refuses the request.
            TryLater: Azure throttles, fails, or cannot be reached.
        """
        path = f"{cluster.resource_id}/providers/Microsoft.Insights/diagnosticSettings?api-version={_SETTINGS}"
        settings = await pages(self._clients, path)
        if settings is None:
            return None, "its diagnostic settings could not be read (Microsoft.Insights/diagnosticSettings/read)"
        sent = _sent(settings)
        return sent, "" if sent else _nowhere(settings)

    async def callers_in(
        self, log: AuditLog, clusters: Sequence[ClusterId], since: timedelta
    ) -> tuple[Mapping[str, AuditedCallers], str]:
        """Return the callers of a workspace's clusters in the time `since` before now, by `ClusterId.key`.

        Also returns what is missing of the answer, for all of these clusters; empty: nothing. A cluster without an
        audited request is left out.

        Raises:
            Refused: Azure refuses the query.
            TryLater: Azure throttles, fails, or cannot be reached.
        """
        workspace = await read(self._clients, log.workspace, _WORKSPACE)
        name = log.workspace.rpartition("/")[2]
        customer = str(((workspace or {}).get("properties") or {}).get("customerId") or "")
        if not customer:
            return {}, f"workspace {name} could not be read (Microsoft.OperationalInsights/workspaces/read)"
        rows, missing = await self._asked(customer, _query(clusters, whole=log.whole), since, name)
        if len(rows) >= MOST:
            missing = missing or f"workspace {name} has more than {MOST:,} kinds of caller"
        calls: dict[str, list[Call]] = {}
        for row in rows:
            calls.setdefault(str(row["Cluster"]).lower(), []).append(_call(row, whole=log.whole))
        found = {cluster: who for cluster, several in calls.items() if (who := who_breaks(several))}
        return {
            cluster: replace(one, complete=one.complete and not missing, missing=missing)
            for cluster, one in found.items()
        }, missing

    async def close(self) -> None:
        """Close the client, but not the connection pool."""
        if self._made is not None:
            await self._made.close()

    async def _asked(
        self, customer: str, query: str, since: timedelta, name: str
    ) -> tuple[Sequence[Mapping[str, Any]], str]:
        """Return the rows, and a text that says what is missing. The text is empty if nothing is."""
        from azure.monitor.query import LogsQueryPartialResult

        try:
            with azure(f"ask workspace {name} who calls its clusters", host=HOST):
                result = await self._client().query_workspace(customer, query, timespan=since, server_timeout=_PATIENCE)
        except Refused as refused:
            if refused.status == _BAD and _no_table(refused.__cause__):
                return (), f"workspace {name} has no table with an audit log yet"
            raise
        missing = ""
        if isinstance(result, LogsQueryPartialResult):
            tables = result.partial_data
            why = result.partial_error.message if result.partial_error else "it does not say why"
            missing = f"workspace {name} returned only a part: {why}"
        else:
            tables = result.tables
        return [dict(zip(table.columns, row, strict=True)) for table in tables for row in table.rows], missing

    def _client(self) -> LogsQueryClient:
        from azure.monitor.query.aio import LogsQueryClient

        if self._made is None:
            self._made = LogsQueryClient(self._credential, transport=self._web.transport(HOST))
        return self._made


def _no_table(cause: BaseException | None) -> bool:
    """Whether a table of the query does not exist. The innermost of the service's nested errors says so."""
    response = getattr(cause, "response", None)
    return response is not None and _NO_TABLE in str(response.text())


def _sent(settings: Sequence[Mapping[str, Any]]) -> AuditLog | None:
    """Return the workspace that gets most of the audit log. None if no workspace gets any of it."""
    found = []
    for setting in settings:
        properties = setting.get("properties") or {}
        workspace, kinds = str(properties.get("workspaceId") or ""), _enabled(properties)
        if workspace and kinds & {"kube-audit", "kube-audit-admin"}:
            found.append(AuditLog(workspace=workspace, whole="kube-audit" in kinds))
    return next((one for one in found if one.whole), found[0] if found else None)


def _enabled(properties: Mapping[str, Any]) -> set[str]:
    """Return the audit categories that a setting sends. The groups `audit` and `allLogs` contain all of them."""
    kinds: set[str] = set()
    for log in properties.get("logs") or ():
        if not log.get("enabled"):
            continue
        group = str(log.get("categoryGroup") or "").casefold()
        kinds |= {"kube-audit", "kube-audit-admin"} if group in {"audit", "alllogs"} else set()
        kinds.add(str(log.get("category") or "").casefold())
    return kinds


def _nowhere(settings: Sequence[Mapping[str, Any]]) -> str:
    """Say why no workspace can be asked."""
    if any("kube-audit" in _enabled(setting.get("properties") or {}) for setting in settings):
        return "its audit log goes to a storage account or an event hub only: export it, and give it with `--audit-log`"
    return "no diagnostic setting of the cluster sends its audit log (kube-audit) anywhere"


def _query(clusters: Sequence[ClusterId], *, whole: bool) -> str:
    for cluster in clusters:
        if "'" in cluster.key or "\\" in cluster.key:
            raise Refused(f"{cluster}: the name of an Azure resource cannot contain a quote or a backslash")
    named = ", ".join(f"'{cluster.key}'" for cluster in clusters)
    table, category = ("AKSAudit", "kube-audit") if whole else ("AKSAuditAdmin", "kube-audit-admin")
    return QUERY.format(clusters=named, table=table, category=category, most=MOST, program=PROGRAM)


def _call(row: Mapping[str, Any], *, whole: bool) -> Call:
    """Return a row of the query as a call: the number of similar requests."""
    try:
        groups = json.loads(str(row["Groups"] or "[]"))
    except ValueError:
        groups = []
    return Call(
        username=str(row["Username"] or ""),
        verb=str(row["Verb"] or ""),
        at=_moment(row["Last"]),
        first=_moment(row["First"]),
        count=int(row["Count"]),
        groups=tuple(str(group) for group in groups) if isinstance(groups, list) else (),
        user_agent=str(row["UserAgent"] or ""),
        address=str(row["Address"] or ""),
        credential="X509SHA256=" if row["Certificate"] else "",
        reads=whole,
        hours=tuple(_moment(hour) for hour in _texts(row["Hours"])),
        namespaces=tuple(_texts(row["Namespaces"])),
    )


def _texts(value: Any) -> Sequence[str]:
    """Return the texts in a dynamic column, which the service writes as JSON text."""
    read = json.loads(value) if isinstance(value, str) and value else value
    return [str(one) for one in read] if isinstance(read, list) else ()


def _moment(value: datetime | str) -> str:
    return stamp(datetime.fromisoformat(value) if isinstance(value, str) else value)
