"""Azure Resource Graph: queries over the clusters, resource groups and subscriptions that the caller may read."""

from __future__ import annotations

import base64
import binascii
import copy
import datetime as dt
import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from azure_sandbox.arm.authorization.access import covers, normal
from azure_sandbox.arm.containerservice.rendering import render
from azure_sandbox.arm.containerservice.versions import NEWEST_API
from azure_sandbox.arm.errors import front
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.resources.kql import EndsTooEarly, Query
from azure_sandbox.arm.resources.kql_values import Unreadable
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, State, Subscription
from azure_sandbox.front.http import Problem, Reply

Document = dict[str, Any]
PAGE, MAX_PAGE = 100, 1000
_ID = 8  # segments in the id of a cluster
KEPT = 8  # results of queries whose further pages are answered from what the first page saw
TABLES = ("resources", "resourcecontainers")


def _refused(code: str, message: str) -> Problem:
    details = [{"code": code, "message": message}]
    error = {"code": "BadRequest", "message": "Please provide below info when asking for support", "details": details}
    body: Document = {"error": error}
    return Problem(400, body, {"content-type": "application/json; charset=utf-8"})


def _render(cluster: ManagedCluster) -> Document:
    return render(cluster, NEWEST_API)


def _unparsed(query: str) -> Problem:
    """Return the 400 for a query that ends too early. Recorded in April 2021."""
    text = "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the error"
    problem = _refused("InvalidQuery", f"{text} before retrying.")
    lines = query.splitlines()
    place = {"line": len(lines), "characterPositionInLine": len(lines[-1]), "token": "<EOF>", "expectedToken": "Ǐ"}
    problem.body["error"]["details"].append({"code": "ParserFailure", "message": "ParserFailure", **place})
    return problem


class ResourceGraph:
    """The query endpoint. After a write it shows a cluster as before for some time, as the real service does."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        self._before: dict[str, tuple[dt.datetime, Document | None]] = {}  # by id: until when which document is shown
        self._results: OrderedDict[str, list[Document]] = OrderedDict()
        door.before_write.append(self._remember)
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
            rows = self._result(call, sent, query, (options or {}).get("$skipToken"))
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

    def _remember(self, path: str) -> None:
        """Before a write to a cluster, keep what is shown for as long as the service lags."""
        parts = [it for it in path.split("/") if it]
        if len(parts) < _ID or f"{parts[5]}/{parts[6]}".lower() != CLUSTER_TYPE.lower() or not self._state.graph_delay:
            return
        key, now = normal("/" + "/".join(parts[:_ID])), self._state.progress()
        until, _ = self._before.get(key, (now, None))
        if until <= now:
            found = self._state.clusters.get(key)
            shown = None if found is None else copy.deepcopy(_render(found))
            self._before[key] = (now + dt.timedelta(seconds=self._state.graph_delay), shown)

    def _clusters(self, home: Subscription) -> Iterator[tuple[str, str, Document]]:
        """Return id, group and document of each cluster, as the service knows it by now."""
        now = self._state.progress()
        self._before = {key: it for key, it in self._before.items() if it[0] > now}
        for it in self._state.clusters_below(home.scope):
            _, before = self._before.get(normal(it.id), (now, _render(it)))
            if before is not None:
                yield it.id, it.group, before
        for key, (_, before) in self._before.items():
            if before is not None and key not in self._state.clusters and covers(home.scope, key):
                yield str(before["id"]), str(before["id"]).split("/")[4], before

    def _result(self, call: Call, sent: Document, query: Query, token: Any) -> list[Document]:
        """Return all rows of a query. A further page sees what the first page saw."""
        asked = {key: it for key, it in sent.items() if key != "options"}
        key = json.dumps([asked, sorted(call.principals)], sort_keys=True)
        if not token or key not in self._results:
            self._results[key] = query.run(self._rows(call, query.table, sent))
            self._results.move_to_end(key)
            while len(self._results) > KEPT:
                self._results.popitem(last=False)
        return self._results[key]

    def _below(self, named: Any) -> set[str]:
        """Return the ids of the subscriptions below management groups."""
        groups = self._state.management_groups
        if not isinstance(named, list) or any(not isinstance(it, str) or groups.get(it) is None for it in named):
            given = ", ".join(f"'{it}'" for it in named) if isinstance(named, list) else f"'{named}'"
            text = f"The provided management groups must be valid. Given: {given}."
            raise _refused("ManagementGroupsContainInvalidIds", text)
        return {one for name in named for group in groups.below(name) for one in group.subscriptions}

    def _homes(self, call: Call, sent: Document) -> list[Subscription]:
        named = sent.get("subscriptions")
        if named is not None and not (isinstance(named, list) and all(isinstance(it, str) for it in named)):
            raise _refused("InvalidSubscriptions", "subscriptions must be a list of ids.")
        wanted = None if not named else {it.lower() for it in named}
        if sent.get("managementGroups") is not None:
            if named:
                raise _refused("InvalidQuery", "Subscriptions and managementGroups cannot be given together.")
            wanted = self._below(sent["managementGroups"])
        return [
            it
            for key, it in self._state.subscriptions.items()
            if (wanted is None or key in wanted)
            and it.tenant.lower() == call.claims.tid.lower()
            and self._state.access.knows(call.principals, it.scope)
        ]

    def _rows(self, call: Call, table: str, sent: Document) -> list[Document]:
        allowed = self._state.access.allows
        rows: list[Document] = []
        read = f"{CLUSTER_TYPE}/read"
        for home in self._homes(call, sent):
            if table == "resources":
                everywhere = allowed(call.principals, read, home.scope)
                rows += [
                    self._row(shown, home, group)
                    for key, group, shown in self._clusters(home)
                    if everywhere or allowed(call.principals, read, key)
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
