"""Azure Resource Graph: queries over the clusters, resource groups and subscriptions that the caller may read."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from azure_sandbox.arm.containerservice.rendering import render
from azure_sandbox.arm.containerservice.versions import NEWEST_API
from azure_sandbox.arm.errors import front
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.resources.kql import EndsTooEarly, Query
from azure_sandbox.arm.resources.kql_values import Unreadable
from azure_sandbox.arm.state import CLUSTER_TYPE, State, Subscription
from azure_sandbox.front.http import Problem, Reply

Document = dict[str, Any]
PAGE, MAX_PAGE = 100, 1000
TABLES = ("resources", "resourcecontainers")


def _refused(code: str, message: str) -> Problem:
    details = [{"code": code, "message": message}]
    error = {"code": "BadRequest", "message": "Please provide below info when asking for support", "details": details}
    body: Document = {"error": error}
    return Problem(400, body, {"content-type": "application/json; charset=utf-8"})


def _unparsed(query: str) -> Problem:
    """Return the 400 for a query that ends too early. Recorded in April 2021."""
    text = "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the error"
    problem = _refused("InvalidQuery", f"{text} before retrying.")
    lines = query.splitlines()
    place = {"line": len(lines), "characterPositionInLine": len(lines[-1]), "token": "<EOF>", "expectedToken": "Ǐ"}
    problem.body["error"]["details"].append({"code": "ParserFailure", "message": "ParserFailure", **place})
    return problem


class ResourceGraph:
    """The query endpoint. It answers from the present state; the real service lags by minutes."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        door.add("POST", "/providers/Microsoft.ResourceGraph/resources", self._query, action=None)

    async def _query(self, call: Call) -> Reply:
        sent = call.request.json()
        text = sent.get("query")
        if not isinstance(text, str) or not text.strip():
            raise _refused("InvalidQuery", "Query is required.")
        options = sent.get("options") if isinstance(sent.get("options"), dict) else {}
        try:
            query = Query(text)
            if query.table not in TABLES:
                raise Unreadable(f"the table {query.table!r} is not modelled")  # noqa: TRY301  # one way out
            rows = query.run(self._rows(call, query.table, sent.get("subscriptions")))
        except EndsTooEarly as error:
            raise _unparsed(text) from error
        except Unreadable as error:
            raise front(501, "SandboxNotModelled", f"azure-sandbox: in the query: {error}") from error
        return self._page(rows, options or {})

    def _page(self, rows: list[Document], options: Document) -> Reply:
        if options.get("resultFormat", "objectArray") != "objectArray":
            raise front(501, "SandboxNotModelled", "azure-sandbox: resultFormat table is not modelled")
        size, start = options.get("$top", PAGE), options.get("$skip", 0)
        if not isinstance(size, int) or not isinstance(start, int) or not 0 < size <= MAX_PAGE or start < 0:
            raise _refused("InvalidOptions", f"$top must be between 1 and {MAX_PAGE}, $skip not negative.")
        if token := options.get("$skipToken"):
            try:
                start = int(base64.b64decode(str(token), validate=True))
            except (ValueError, binascii.Error):
                raise _refused("InvalidSkipToken", "The skip token cannot be read.") from None
        page = rows[start : start + size]
        body: Document = {"totalRecords": len(rows), "count": len(page), "data": page, "facets": []}
        body["resultTruncated"] = "false"
        if start + size < len(rows):
            body["$skipToken"] = base64.b64encode(str(start + size).encode()).decode()
        quota = {"x-ms-user-quota-remaining": "14", "x-ms-user-quota-resets-after": "00:00:05"}
        return Reply(200, body, {"content-type": "application/json; charset=utf-8", **quota})

    def _homes(self, call: Call, named: Any) -> list[Subscription]:
        if named is not None and not (isinstance(named, list) and all(isinstance(it, str) for it in named)):
            raise _refused("InvalidSubscriptions", "subscriptions must be a list of ids.")
        wanted = None if not named else {it.lower() for it in named}
        return [
            it
            for key, it in self._state.subscriptions.items()
            if (wanted is None or key in wanted)
            and it.tenant.lower() == call.claims.tid.lower()
            and self._state.access.knows(call.principals, it.scope)
        ]

    def _rows(self, call: Call, table: str, named: Any) -> list[Document]:
        allowed = self._state.access.allows
        rows: list[Document] = []
        for home in self._homes(call, named):
            if table == "resources":
                rows += [
                    self._row(render(it, NEWEST_API), home, it.group)
                    for it in self._state.clusters_below(home.scope)
                    if allowed(call.principals, f"{CLUSTER_TYPE}/read", it.id)
                ]
                continue
            common = {"tenantId": home.tenant, "subscriptionId": home.id}
            shown = {"id": home.scope, "name": home.name, "type": "microsoft.resources/subscriptions", **common}
            rows.append({**shown, "properties": {"state": "Enabled"}, "tags": {}})
            for group in home.groups.values():
                if allowed(call.principals, "Microsoft.Resources/subscriptions/resourceGroups/read", group.id):
                    kind = "microsoft.resources/subscriptions/resourcegroups"
                    row = {"id": group.id, "name": group.name, "type": kind, "location": group.location, **common}
                    rows.append({**row, "resourceGroup": group.name, "tags": group.tags or {}})
        return rows

    @staticmethod
    def _row(shown: Document, home: Subscription, group: str) -> Document:
        return {
            **{key: it for key, it in shown.items() if key != "eTag"},
            "type": CLUSTER_TYPE.lower(),
            "tenantId": home.tenant,
            "subscriptionId": home.id,
            "resourceGroup": group.lower(),
            "kind": shown.get("kind", ""),
            "tags": shown.get("tags"),
        }
