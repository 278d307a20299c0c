"""The query endpoint of api.loganalytics.io, with its own audience, errors and request limit."""

from __future__ import annotations

import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from azure_sandbox.arm.state import State
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import LOG_ANALYTICS_AUDIENCES, Claims, InvalidToken, Tokens
from azure_sandbox.front.http import Problem, Reply, Request, Router
from azure_sandbox.logs.kql import COLUMNS, AuditQuery, read
from azure_sandbox.logs.state import WORKSPACE_TYPE, Workspace

HOST = "api.loganalytics.io"
LIMIT, WINDOW = 200, timedelta(seconds=30)  # requests per identity, as documented
LONGEST = timedelta(days=3650)


class LogAnalytics:
    """The endpoint of one sandbox. `partial`: number of coming queries that get only part of their rows.

    `feed` brings the logs up to date before each query.
    """

    def __init__(self, directory: Directory, tokens: Tokens, state: State) -> None:
        self.router = Router("Log Analytics API")
        self.partial = 0
        self.feed: Callable[[], None] | None = None
        self._directory = directory
        self._tokens = tokens
        self._state = state
        self._asked: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self.router.add("POST", "/v1/workspaces/{customer}/query", self._query)

    async def _query(self, request: Request, customer: str) -> Reply:
        claims = self._claims(request)
        self._pay(claims.oid, request.now)
        workspace = self._state.logs.by_customer(customer)
        if workspace is None:
            raise _problem(404, "WorkspaceNotFoundError", f"The workspace '{customer}' could not be found.")
        self._require(claims, workspace, "query")
        sent = request.json()
        text = sent.get("query")
        if not isinstance(text, str) or not text.strip():
            raise _problem(400, "BadArgumentError", "The request had some invalid properties")
        if self.feed is not None:
            self.feed()
        query = read(text)
        if query is None or sent.get("workspaces"):
            raise _problem(501, "SandboxNotModelled", "azure-sandbox: this query of logs is not modelled")
        return self._answer(self._rows(claims, workspace, query, _timespan(sent.get("timespan")), request.now))

    def _rows(
        self, claims: Claims, workspace: Workspace, query: AuditQuery, span: timedelta, now: datetime
    ) -> list[list[Any]]:
        """Return the rows of a query. With `isfuzzy`, one missing or forbidden table is skipped, but not both."""
        logs, found, tables = self._state.logs, [], 0
        for table in (query.table, "AzureDiagnostics"):
            if not self._held(workspace, table):
                continue
            self._require(claims, workspace, f"query/{table}")
            tables += 1
            for cluster in query.clusters:
                found += [(cluster, it) for it in logs.rows(workspace, cluster, table, query.category, now)]
        if not tables:
            inner = {
                "code": "SemanticError",
                "message": "A semantic error occurred.",
                "innererror": {
                    "code": "SEM0100",
                    "message": f"'union' operator: Failed to resolve table expression named '{query.table}'",
                },
            }
            raise _problem(400, "BadArgumentError", "The request had some invalid properties", inner)
        return query.run(found, now - span)

    def _held(self, workspace: Workspace, table: str) -> bool:
        """Return whether the table exists: Azure creates it with the first entry that is sent to it."""
        logs, category = self._state.logs, "kube-audit-admin" if table == "AKSAuditAdmin" else "kube-audit"
        return any(
            setting.workspace.lower() == workspace.id.lower()
            and setting.dedicated is (table != "AzureDiagnostics")
            and (category in setting.sends or table == "AzureDiagnostics")
            and bool(logs.events.get(cluster))
            for cluster, settings in logs.settings.items()
            for setting in settings
        )

    def _answer(self, rows: list[list[Any]]) -> Reply:
        table = {"name": "PrimaryResult", "columns": [{"name": name, "type": kind} for name, kind in COLUMNS]}
        body: dict[str, Any] = {"tables": [{**table, "rows": rows}]}
        if self.partial:
            self.partial -= 1
            inner = {
                "code": "-2133196797",
                "message": "The results of this query exceed the set limit of 64000000 bytes, so not all records were "
                "returned (E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003).",
                "severity": 2,
                "severityName": "Error",
            }
            detail = {"code": "EngineError", "message": "Something went wrong processing your query on the server."}
            body["tables"][0]["rows"] = rows[: len(rows) // 2]
            body["error"] = {
                "code": "PartialError",
                "message": "There were some errors when processing your query.",
                "details": [{**detail, "innererror": inner}],
            }
        return Reply(200, body)

    def _claims(self, request: Request) -> Claims:
        authorization = request.headers.get("authorization")
        if not authorization:
            raise _problem(401, "AuthorizationRequiredError", "Valid authentication was not provided")
        try:
            return self._tokens.verify(authorization, LOG_ANALYTICS_AUDIENCES)
        except InvalidToken as error:
            inner = {"code": "AuthenticationError", "message": "Could not validate the request"}
            text = "The provided authentication is not valid for this resource"
            raise _problem(403, "InvalidTokenError", text, inner) from error

    def _require(self, claims: Claims, workspace: Workspace, act: str) -> None:
        groups = self._directory.groups_of(claims.oid) if claims.overage else claims.groups or ()
        principals = frozenset({claims.oid, *groups})
        if not self._state.access.allows(principals, f"{WORKSPACE_TYPE}/{act}/read", workspace.id):
            text = "The provided credentials have insufficient access to perform the requested operation"
            raise _problem(403, "InsufficientAccessError", text)

    def _pay(self, oid: str, now: datetime) -> None:
        asked = self._asked[oid]
        while asked and asked[0] <= now - WINDOW:
            asked.popleft()
        if len(asked) >= LIMIT:
            after = max(1, round((asked[0] + WINDOW - now).total_seconds()))
            problem = _problem(429, "ThrottledError", "Too many requests. Please try again later.")
            problem.headers["retry-after"] = str(after)
            raise problem
        asked.append(now)


def _timespan(text: Any) -> timedelta:
    """Return the length of `P30D` or `PT1H`, or of seconds as the SDK writes them. Empty means no limit."""
    if text is None:
        return LONGEST
    written = str(text)
    for unit, factor in (("D", 86400), ("H", 3600), ("M", 60), ("S", 1)):
        number = written.removeprefix("PT").removeprefix("P").removesuffix(unit)
        if written.endswith(unit) and number.replace(".", "", 1).isdecimal():
            return timedelta(seconds=float(number) * factor)
    raise _problem(501, "SandboxNotModelled", f"azure-sandbox: the timespan {written!r} is not modelled")


def _problem(status: int, code: str, message: str, inner: dict[str, Any] | None = None) -> Problem:
    error: dict[str, Any] = {"message": message, "code": code, "correlationId": str(uuid.uuid4())}
    if inner is not None:
        error["innererror"] = inner
    return Problem(status, {"error": error}, {"content-type": "application/json; charset=utf-8"})
