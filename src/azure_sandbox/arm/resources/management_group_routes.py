"""The reads of management groups, and who may read them."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.errors import front
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.resources.management_groups import KIND, ManagementGroup
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
JSON = {"content-type": "application/json; charset=utf-8"}
PAGE = 1000


class ManagementGroupRoutes:
    """The reads of management groups that tools use to find the subscriptions below one."""

    def __init__(self, door: FrontDoor) -> None:
        self._groups = door.state.management_groups
        self._state = door.state
        read, one = "Microsoft.Management/managementGroups/read", KIND + "/{name}"
        below = "Microsoft.Management/managementGroups/descendants/read"
        door.add("GET", KIND, self._list, action=None)
        door.add("GET", one, self._get, scope=one, action=read)
        options = ("$skiptoken", "$top")
        door.add("GET", f"{one}/descendants", self._descendants, scope=one, action=below, options=options)

    async def _list(self, call: Call) -> Reply:
        read = "Microsoft.Management/managementGroups/read"
        seen = [it for it in self._groups.all() if self._state.access.allows(call.principals, read, it.id)]
        return Reply(200, {"value": [self._shown(it, call) for it in seen], "@nextLink": None}, dict(JSON))

    async def _get(self, call: Call, name: str) -> Reply:
        return Reply(200, self._shown(self._found(name), call), dict(JSON))

    async def _descendants(self, call: Call, name: str) -> Reply:
        top = self._found(name)
        rows: list[Document] = []
        for it in self._groups.below(top.name):
            if it is not top:
                rows.append(_row(it.id, "", it.name, it.display_name or it.name, f"{KIND}/{it.parent}"))
            rows += [
                _row(f"/subscriptions/{one}", "/subscriptions", one, self._state.subscriptions[one].name, it.id)
                for one in it.subscriptions
            ]
        start, size = _number(call, "$skiptoken", 0), _number(call, "$top", PAGE)
        body: Document = {"value": rows[start : start + size]}
        if start + size < len(rows):
            host = "https://management.azure.com"
            query = f"api-version={call.version}&$top={size}&$skiptoken={start + size}"
            body["nextLink"] = f"{host}{top.id}/descendants?{query}"
        return Reply(200, body, dict(JSON))

    def _found(self, name: str) -> ManagementGroup:
        found = self._groups.get(name)
        if found is None:
            raise front(404, "NotFound", f"{KIND}/{name} not found")
        return found

    def _shown(self, it: ManagementGroup, call: Call) -> Document:
        properties: Document = {"tenantId": call.claims.tid, "displayName": it.display_name or it.name}
        return {"id": it.id, "type": KIND[len("/providers/") :], "name": it.name, "properties": properties}


def _number(call: Call, option: str, otherwise: int) -> int:
    written = call.option(option)
    if written and not written.isdigit():
        raise front(400, "BadRequest", f"The value of {option} is not a number.")
    return int(written or otherwise)


def _row(scope: str, kind: str, name: str, shown: str, parent: str) -> Document:
    properties = {"displayName": shown, "parent": {"id": parent}}
    return {"id": scope, "type": f"Microsoft.Management/managementGroups{kind}", "name": name, "properties": properties}
