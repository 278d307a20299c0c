"""The routes of management locks. The front door enforces the locks."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.authorization.access import normal
from azure_sandbox.arm.authorization.role_assignments import JSON, PROVIDER, listed
from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import authorization, front
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import ManagementLock, State
from azure_sandbox.front.http import Reply

LOCKS = "/{scope:path}/" + PROVIDER + "/locks"
LOCK = LOCKS + "/{name}"


class LockRoutes:
    """List, read, write and delete locks at any scope. A lock does not protect itself from deletion."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        act, scope = "Microsoft.Authorization/locks/", "/{scope}"
        door.add("GET", LOCKS, self._list, scope=scope, action=act + "read", options=("$filter",))
        door.add("GET", LOCK, self._get, scope=scope, action=act + "read")
        door.add("PUT", LOCK, self._put, scope=scope, action=act + "write", lockable=False)
        door.add("DELETE", LOCK, self._delete, scope=scope, action=act + "delete", lockable=False)

    @staticmethod
    def _shown(it: ManagementLock) -> dict[str, Any]:
        properties: dict[str, Any] = {"level": it.level}
        if it.notes:
            properties["notes"] = it.notes
        return {"properties": properties, "id": it.id, "type": "Microsoft.Authorization/locks", "name": it.name}

    async def _list(self, call: Call, scope: str) -> Reply:
        found = listed(call, scope, self._state.locks.values(), "locks")
        return Reply(200, {"value": [self._shown(it) for it in found]}, JSON)

    def _find(self, scope: str, name: str) -> ManagementLock | None:
        return self._state.locks.get(normal(f"/{scope}/{PROVIDER}/locks/{name}"))

    async def _get(self, _: Call, scope: str, name: str) -> Reply:
        found = self._find(scope, name)
        if found is None:
            raise authorization(404, "LockNotFound", f"The lock '{name}' could not be found.")
        return Reply(200, self._shown(found), JSON)

    async def _put(self, call: Call, scope: str, name: str) -> Reply:
        if not self._state.exists(f"/{scope}"):
            raise front(404, "ResourceNotFound", f"The Resource '/{scope}' was not found.")
        properties = mapping(call.request.json().get("properties"), "properties")
        level = properties.get("level")
        if level not in ("CanNotDelete", "ReadOnly"):
            raise authorization(400, "InvalidLockLevel", f"The lock level '{level}' is not valid.")
        held = self._find(scope, name)
        made = ManagementLock(scope=f"/{scope}", name=name, level=level, notes=properties.get("notes"))
        self._state.locks[normal(made.id)] = made
        return Reply(200 if held else 201, self._shown(made), JSON)

    async def _delete(self, _: Call, scope: str, name: str) -> Reply:
        found = self._find(scope, name)
        if found is None:
            return Reply(204)
        del self._state.locks[normal(found.id)]
        return Reply(200)
