"""The routes of role assignments and of the caller's own permissions, at any scope."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from azure_sandbox.arm.authorization.access import Assignment, covers, normal
from azure_sandbox.arm.authorization.custom_roles import no_role
from azure_sandbox.arm.authorization.deny_assignments import DenyAssignment
from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import authorization, front, not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import ManagementLock, State
from azure_sandbox.entra.directory import Directory, Group, ServicePrincipal
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
PROVIDER = "providers/Microsoft.Authorization"
RIGHT = "Microsoft.Authorization/"
JSON = {"content-type": "application/json; charset=utf-8"}
TERM = re.compile(
    r"(?P<name>[A-Za-z]+)\s*"
    r"(?:\(\s*(?:'(?P<argument>[^']*)')?\s*\)|eq\s+'(?P<value>(?:[^']|'')*)')?",
    re.IGNORECASE,
)
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

CONDITION_VERSIONS = ("1.0", "2.0")
Placed = TypeVar("Placed", DenyAssignment, ManagementLock)


def terms(filter_: str) -> dict[str, str]:
    """Return the terms of a `$filter`, joined by `and`, by name in lower case; raises 501 for an unknown form."""
    found: dict[str, str] = {}
    for part in re.split(r"\s+and\s+", filter_.strip()) if filter_.strip() else ():
        match = TERM.fullmatch(part.strip())
        if match is None:
            raise not_modelled(f"the filter {part!r}")
        found[match["name"].lower()] = (match["argument"] or match["value"] or "").replace("''", "'")
    return found


def listed(call: Call, scope: str, held: Iterable[Placed], what: str) -> list[Placed]:
    """Return the members of a list at a scope: what counts there and, without `atScope()`, what is below it."""
    wanted = terms(call.option("$filter"))
    if set(wanted) - {"atscope"}:
        raise not_modelled(f"the filter {call.option('$filter')!r} on {what}")
    at = f"/{scope}"
    return [it for it in held if covers(it.scope, at) or ("atscope" not in wanted and covers(at, it.scope))]


class RoleAssignmentRoutes:
    """List, read, write and delete role assignments; list the caller's permissions."""

    def __init__(self, door: FrontDoor, directory: Directory) -> None:
        self._door = door
        self._state: State = door.state
        self._directory = directory
        assignments = f"{PROVIDER}/roleAssignments"
        filtered = ("$filter", "$skipToken", "tenantId")
        there = "/{scope:path}/"
        one = f"{there}{assignments}/{{name}}"
        held = RIGHT + "roleAssignments/"
        door.add("GET", there + assignments, self._list, scope="/{scope}", action=held + "read", options=filtered)
        door.add("GET", one, self._get, scope="/{scope}", action=held + "read", options=("tenantId",))
        door.add("PUT", one, self._put, scope="/{scope}", action=held + "write")
        door.add("DELETE", one, self._delete, scope="/{scope}", action=held + "delete", options=("tenantId",))
        door.add("GET", f"{there}{PROVIDER}/permissions", self._permissions, scope="/{scope}", action=None)

    def _shown(self, it: Assignment) -> Document:
        parts = it.scope.split("/")
        prefix = "/".join(parts[:3]) if len(parts) > 2 else ""  # noqa: PLR2004  # /subscriptions/x
        stamp = f"{it.created:%Y-%m-%dT%H:%M:%S.%f}0Z"
        properties: Document = {
            "roleDefinitionId": f"{prefix}/{PROVIDER}/roleDefinitions/{it.role.id}",
            "principalId": it.principal,
            "principalType": it.principal_type,
            "scope": it.scope,
            "condition": it.condition,
            "conditionVersion": it.condition_version,
            "createdOn": stamp,
            "updatedOn": stamp,
            "createdBy": it.created_by,
            "updatedBy": it.created_by,
            "delegatedManagedIdentityResourceId": None,
            "description": it.description,
        }
        return {
            "properties": properties,
            "id": it.id,
            "type": "Microsoft.Authorization/roleAssignments",
            "name": it.name,
        }

    async def _list(self, call: Call, scope: str) -> Reply:
        at = f"/{scope}"
        wanted = terms(call.option("$filter"))
        keep: list[Callable[[Assignment], bool]] = []
        if "atscope" in wanted:
            keep.append(lambda it: covers(it.scope, at))
        else:
            keep.append(lambda it: covers(it.scope, at) or covers(at, it.scope))
        if principal := wanted.get("principalid"):
            keep.append(lambda it: it.principal.lower() == principal.lower())
        if assignee := wanted.get("assignedto"):
            holders = {assignee.lower(), *(it.lower() for it in self._directory.memberships(assignee))}
            keep.append(lambda it: it.principal.lower() in holders)
        if unknown := set(wanted) - {"atscope", "principalid", "assignedto"}:
            raise not_modelled(f"the filter {sorted(unknown)} on role assignments")
        found = [it for it in self._state.access.all() if all(test(it) for test in keep)]
        return Reply(200, {"value": [self._shown(it) for it in found]}, JSON)

    def _find(self, scope: str, name: str) -> Assignment | None:
        return self._state.access.get(f"/{scope}", name)

    async def _get(self, _: Call, scope: str, name: str) -> Reply:
        found = self._find(scope, name)
        if found is None:
            text = f"The role assignment '{name}' is not found."
            raise authorization(404, "RoleAssignmentNotFound", text)
        return Reply(200, self._shown(found), JSON)

    async def _put(self, call: Call, scope: str, name: str) -> Reply:
        if not GUID.fullmatch(name):
            text = f"The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID."
            raise authorization(400, "InvalidRoleAssignmentId", text)
        if not self._state.exists(f"/{scope}"):
            raise front(404, "ResourceNotFound", f"The Resource '/{scope}' was not found.")
        properties: Document = mapping(call.request.json().get("properties"), "properties")
        role = self._state.roles.find(str(properties.get("roleDefinitionId") or ""))
        if role is None or not any(covers(it, f"/{scope}") for it in role.assignable):
            raise no_role(str(properties.get("roleDefinitionId")).rpartition("/")[2])
        condition, version = properties.get("condition"), properties.get("conditionVersion")
        if condition is not None and (not isinstance(condition, str) or version not in CONDITION_VERSIONS):
            text = "The condition of a role assignment needs the condition version '2.0'."
            raise authorization(400, "InvalidRoleAssignmentCondition", text)
        principal = str(properties.get("principalId") or "")
        made = Assignment(
            name=name,
            scope=f"/{scope}",
            principal=principal,
            principal_type=self._kind(principal, properties.get("principalType"), call.request.now),
            role=role,
            created=call.request.now,
            created_by=call.claims.oid,
            description=properties.get("description"),
            condition=condition or None,
            condition_version=version if condition else None,
        )
        held = self._find(scope, name)
        self._check(made, held)
        if held is not None:  # of an existing assignment, only the description and the condition may change
            made = replace(
                held,
                description=made.description,
                condition=made.condition,
                condition_version=made.condition_version,
            )
        self._state.access.add(made)
        shown = self._shown(made)
        if held is None:
            shown["properties"]["createdBy"] = None  # recorded: only later answers name the author
        return Reply(200 if held else 201, shown, JSON)

    def _kind(self, principal: str, stated: str | None, now: dt.datetime) -> str:
        kind = self._directory.kind_of(principal)
        found = self._directory.principal(principal)
        hidden = isinstance(found, Group) and found.visible_at > now
        if isinstance(found, ServicePrincipal) and found.visible_at is not None:
            hidden = found.visible_at > self._state.progress()
        if kind is None or hidden:
            if stated in {"User", "ServicePrincipal"}:
                return stated
            plain = principal.replace("-", "")
            raise authorization(
                400,
                "PrincipalNotFound",
                f"Principal {plain} does not exist in the directory {self._directory.tenant.id}. Check that you have "
                "the correct principal ID. If you are creating this principal and then immediately assigning a role, "
                "this error might be related to a replication delay. In this case, set the role assignment "
                "principalType property to a value, such as ServicePrincipal, User, or Group.  See "
                "https://aka.ms/docs-principaltype",
            )
        if stated and stated != kind:
            plain = principal.replace("-", "")
            text = (
                f"The PrincipalId '{plain}' has type '{kind}' , which is different from specified PrinciaplType "
                f"'{stated}'."
            )
            raise authorization(400, "UnmatchedPrincipalType", text)
        return kind

    def _check(self, made: Assignment, held: Assignment | None) -> None:
        key = (normal(made.scope), made.principal.lower(), made.role.id)
        if held is not None:
            if key != (normal(held.scope), held.principal.lower(), held.role.id):
                text = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
                raise authorization(400, "RoleAssignmentUpdateNotPermitted", text)
            return
        for it in self._state.access.all():
            if (normal(it.scope), it.principal.lower(), it.role.id) == key:
                text = (
                    "The role assignment already exists. The ID of the existing role assignment is "
                    f"{it.name.replace('-', '')}."
                )
                raise authorization(409, "RoleAssignmentExists", text)

    async def _delete(self, _: Call, scope: str, name: str) -> Reply:
        found = self._find(scope, name)
        if found is None:
            return Reply(204)
        self._state.access.remove(found)
        return Reply(200, self._shown(found), JSON)

    async def _permissions(self, call: Call, scope: str) -> Reply:
        held: Iterable[Assignment] = self._state.access.held(call.principals, f"/{scope}")
        roles = {it.role.id: it.role for it in held}
        return Reply(200, {"value": [it.permission() for it in roles.values()]}, JSON)
