"""The routes of role definitions. Custom roles can be written; a change takes effect in every assignment at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

from azure_sandbox.arm.authorization.access import covers
from azure_sandbox.arm.authorization.custom_roles import (
    LONGEST_NAME,
    MAX_CUSTOM_ROLES,
    check_actions,
    invalid,
    no_role,
    permissions,
    strings,
)
from azure_sandbox.arm.authorization.role_assignments import GUID, JSON, PROVIDER, RIGHT, terms
from azure_sandbox.arm.authorization.roles import Role
from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import authorization, front, not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
WRITE = RIGHT + "roleDefinitions/write"
KNOWN = frozenset({"roleName", "type", "description", "permissions", "assignableScopes"})
BUILT_IN = dt.datetime(2015, 2, 2, 21, 55, 9, tzinfo=dt.UTC)  # the day of Azure's first built-in roles
COMPUTED = frozenset({"createdOn", "updatedOn", "createdBy", "updatedBy"})


class RoleDefinitionRoutes:
    """List, read, write and delete role definitions at any scope. Everybody may read the list at the root."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self._state: State = door.state
        definitions = f"{PROVIDER}/roleDefinitions"
        read, options = RIGHT + "roleDefinitions/read", ("$filter", "$skipToken")
        for root, scope, action in (("/{scope:path}/", "/{scope}", read), ("/", "", None)):
            one = f"{root}{definitions}/{{role}}"
            door.add("GET", f"{root}{definitions}", self._list, scope=scope, action=action, options=options)
            door.add("GET", one, self._get, scope=scope, action=action)
        one = f"/{{scope:path}}/{definitions}/{{role}}"
        door.add("PUT", one, self._put, scope="/{scope}", action=WRITE)
        door.add("DELETE", one, self._delete, scope="/{scope}", action=RIGHT + "roleDefinitions/delete")

    @staticmethod
    def _shown(role: Role, scope: str) -> Document:
        parts = scope.split("/")
        prefix = "/".join(parts[:3]) if parts[1:2] == ["subscriptions"] else ""
        properties: Document = {
            "roleName": role.name,
            "type": "CustomRole" if role.custom else "BuiltInRole",
            "description": role.description or None,
            "assignableScopes": list(role.assignable),
            "permissions": [role.permission()],
            "createdOn": _stamp(role.created or BUILT_IN),
            "updatedOn": _stamp(role.updated or BUILT_IN),
            "createdBy": role.created_by or None,
            "updatedBy": role.updated_by or None,
        }
        return {
            "properties": properties,
            "id": f"{prefix}/{PROVIDER}/roleDefinitions/{role.id}",
            "type": "Microsoft.Authorization/roleDefinitions",
            "name": role.id,
        }

    async def _list(self, call: Call, scope: str = "") -> Reply:
        wanted = terms(call.option("$filter"))
        if unknown := set(wanted) - {"rolename", "atscope", "atscopeandbelow", "type"}:
            raise not_modelled(f"the filter {sorted(unknown)} on role definitions")
        at, kind, name = f"/{scope}", wanted.get("type", "").lower(), wanted.get("rolename")
        found = [
            it
            for it in self._state.roles.all()
            if (name is None or it.name.lower() == name.lower())
            and (not kind or kind == ("customrole" if it.custom else "builtinrole"))
            and self._assignable(it, at, below="atscopeandbelow" in wanted)
        ]
        return Reply(200, {"value": [self._shown(it, at) for it in found]}, JSON)

    @staticmethod
    def _assignable(role: Role, scope: str, *, below: bool) -> bool:
        if not role.custom:
            return True
        return any(covers(it, scope) or (below and covers(scope, it)) for it in role.assignable)

    async def _get(self, _: Call, role: str, scope: str = "") -> Reply:
        found = self._state.roles.get(role)
        if found is None:
            raise no_role(role)
        return Reply(200, self._shown(found, f"/{scope}"), JSON)

    async def _put(self, call: Call, scope: str, role: str) -> Reply:
        if not GUID.fullmatch(role):
            raise invalid(f"The role definition ID '{role}' is not valid. The role definition ID must be a GUID.")
        held = self._state.roles.get(role)
        if held is not None and not held.custom:
            raise invalid(f"The built-in role '{held.name}' cannot be changed.")
        made = self._made(call, role, held)
        if not any(covers(it, f"/{scope}") or covers(f"/{scope}", it) for it in made.assignable):
            raise invalid(f"The scope '/{scope}' is not among the assignable scopes of the role definition.")
        if held is None and len(self._state.roles.custom()) >= MAX_CUSTOM_ROLES:
            text = "Role definition limit exceeded. No more role definitions can be created."
            raise authorization(400, "RoleDefinitionLimitExceeded", text)
        self._state.roles.put(made)
        self._state.access.redefine(made)
        shown = self._shown(made, f"/{scope}")
        if held is None:
            shown["properties"]["createdBy"] = None  # recorded: only later answers name the author
        return Reply(201, shown, JSON)

    def _made(self, call: Call, role: str, held: Role | None) -> Role:
        properties = mapping(call.request.json().get("properties"), "properties")
        if unknown := set(properties) - KNOWN - COMPUTED:
            raise not_modelled(f"the property {', '.join(f'properties.{it}' for it in sorted(unknown))}")
        name, description = properties.get("roleName"), properties.get("description") or ""
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not isinstance(description, str):
            raise invalid("The role definition needs a 'roleName' of 1 to 512 characters.")
        if str(properties.get("type", "CustomRole")).lower() != "customrole":
            raise invalid(f"The role type '{properties['type']}' is not valid. It must be 'CustomRole'.")
        taken = self._state.roles.named(name)
        if taken is not None and taken.id.lower() != role.lower():
            text = "A custom role with the same name already exists in this directory. Use a different name"
            raise authorization(409, "RoleDefinitionWithSameNameExists", text)
        lists = permissions(properties.get("permissions"))
        check_actions(lists, self._door.actions)
        return Role(
            id=held.id if held else role.lower(),
            name=name,
            description=description,
            custom=True,
            assignable=self._scopes(call, properties.get("assignableScopes")),
            actions=lists["actions"],
            not_actions=lists["notActions"],
            data_actions=lists["dataActions"],
            not_data_actions=lists["notDataActions"],
            created=held.created if held else call.request.now,
            created_by=held.created_by if held else call.claims.oid,
            updated=call.request.now,
            updated_by=call.claims.oid,
        )

    def _scopes(self, call: Call, sent: Any) -> tuple[str, ...]:
        """Return the assignable scopes; raises 403 unless the caller may write role definitions at each of them."""
        scopes = tuple(it.rstrip("/") for it in strings(sent, "assignableScopes"))
        if not scopes:
            raise invalid("The role definition must have at least one assignable scope.")
        for it in scopes:
            if not it or "*" in it:
                raise invalid(f"The assignable scope '{it or '/'}' is not valid for a custom role.")
            if it.lower().startswith("/providers/microsoft.management/"):
                raise not_modelled("a management group as an assignable scope")
            if not self._state.exists(it) or not self._state.access.allows(call.principals, WRITE, it):
                name = self._door.name_of(call)
                text = (
                    f"The client '{name}' with object id '{call.claims.oid}' has permission to perform action "
                    f"'{WRITE}' on scope '{call.scope}'; however, it does not have permission to perform action(s) "
                    f"'{WRITE}' on the linked scope(s) '{it}' (respectively) or the linked scope(s) are invalid."
                )
                raise front(403, "LinkedAuthorizationFailed", text)
        return scopes

    async def _delete(self, _: Call, scope: str, role: str) -> Reply:
        found = self._state.roles.get(role)
        if found is None:
            return Reply(204)
        if not found.custom:
            raise invalid(f"The built-in role '{found.name}' cannot be deleted.")
        if any(it.role.id == found.id for it in self._state.access.all()):
            text = "There are existing role assignments referencing role (code: RoleDefinitionHasAssignments)"
            raise authorization(400, "RoleDefinitionHasAssignments", text)
        self._state.roles.remove(found)
        return Reply(200, self._shown(found, f"/{scope}"), JSON)


def _stamp(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z"
