"""The routes of deny assignments, in the form that `Az.Resources` uses. The front door enforces the assignments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure_sandbox.arm.authorization.access import normal
from azure_sandbox.arm.authorization.deny_assignments import DenyAssignment
from azure_sandbox.arm.authorization.role_assignments import JSON, PROVIDER, listed
from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import authorization, front
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.front.http import Reply

DENIALS = "/{scope:path}/" + PROVIDER + "/denyAssignments"
DENIAL = DENIALS + "/{name}"


class DenyAssignmentRoutes:
    """List, read, write and delete deny assignments at any scope that exists."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self._state = door.state
        act, scope = "Microsoft.Authorization/denyAssignments/", "/{scope}"
        door.add("GET", DENIALS, self._list, scope=scope, action=act + "read", options=("$filter",))
        door.add("GET", DENIAL, self._get, scope=scope, action=act + "read")
        door.add("PUT", DENIAL, self._put, scope=scope, action=act + "write", lockable=False)
        door.add("DELETE", DENIAL, self._delete, scope=scope, action=act + "delete", lockable=False)

    @staticmethod
    def _shown(it: DenyAssignment) -> dict[str, Any]:
        kind = "Microsoft.Authorization/denyAssignments"
        return {"properties": it.properties, "id": it.id, "type": kind, "name": it.name}

    def _find(self, scope: str, name: str) -> DenyAssignment | None:
        return self._state.denials.get(normal(f"/{scope}/{PROVIDER}/denyAssignments/{name}"))

    async def _list(self, call: Call, scope: str) -> Reply:
        found = listed(call, scope, self._state.denials.values(), "deny assignments")
        return Reply(200, {"value": [self._shown(it) for it in found]}, JSON)

    async def _get(self, _: Call, scope: str, name: str) -> Reply:
        found = self._find(scope, name)
        if found is None:
            raise authorization(404, "DenyAssignmentNotFound", f"The deny assignment '{name}' is not found.")
        return Reply(200, self._shown(found), JSON)

    async def _put(self, call: Call, scope: str, name: str) -> Reply:
        if not self._state.exists(f"/{scope}"):
            raise front(404, "ResourceNotFound", f"The Resource '/{scope}' was not found.")
        asked = mapping(call.request.json().get("properties"), "properties")
        now = f"{self._door.clock.now():%Y-%m-%dT%H:%M:%S.%f}0Z"
        properties = {
            "denyAssignmentName": asked.get("denyAssignmentName", name),
            "description": asked.get("description"),
            "permissions": _mappings(asked, "permissions"),
            "doNotApplyToChildScopes": bool(asked.get("doNotApplyToChildScopes")),
            "principals": _mappings(asked, "principals"),
            "excludePrincipals": _mappings(asked, "excludePrincipals"),
            "scope": f"/{scope}",
            "condition": asked.get("condition"),
            "conditionVersion": asked.get("conditionVersion"),
            "isSystemProtected": False,
            "createdOn": now,
            "updatedOn": now,
            "createdBy": call.claims.oid,
            "updatedBy": call.claims.oid,
        }
        made = DenyAssignment(scope=f"/{scope}", name=name, properties=properties)
        self._state.denials[normal(made.id)] = made
        shown = self._shown(made)
        return Reply(201, {**shown, "properties": {**made.properties, "createdBy": None}}, JSON)  # recorded

    async def _delete(self, _: Call, scope: str, name: str) -> Reply:
        found = self._find(scope, name)
        if found is None:
            return Reply(204)
        del self._state.denials[normal(found.id)]
        return Reply(200, self._shown(found), JSON)


def _mappings(properties: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    values = properties.get(name) or []
    if not isinstance(values, list):
        raise authorization(400, "InvalidDenyAssignment", f"The property '{name}' is not a list.")
    return [mapping(it, name) for it in values]
