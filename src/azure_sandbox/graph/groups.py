"""The routes of groups (create, upsert, read, list, change, delete), of their members and owners."""

from __future__ import annotations

from typing import Any, Literal

from azure_sandbox.entra import pim
from azure_sandbox.entra.directory import Group, Principal, ServicePrincipal, User
from azure_sandbox.entra.pim_state import Access
from azure_sandbox.front.http import Reply
from azure_sandbox.graph import access, errors, expansion, query
from azure_sandbox.graph.call import Call, referenced
from azure_sandbox.graph.creation import bindings, check, create_group
from azure_sandbox.graph.documents import (
    GROUP_DEFAULTS,
    GROUP_PROPERTIES,
    ROOT,
    SERVICE_PRINCIPAL_PROPERTIES,
    USER_PROPERTIES,
    document,
    location,
    member,
)

Relation = Literal["members", "owners"]
_CASTS = {"user": User, "group": Group, "serviceprincipal": ServicePrincipal}


async def create(call: Call) -> Reply:
    """POST /groups."""
    return _created(call, create_group(call, call.json()))


async def upsert(call: Call, unique_name: str) -> Reply:
    """PATCH /groups(uniqueName='…'). Answers 204 for a change; with `Prefer: create-if-missing`, 201 for a creation."""
    key = _unquoted(unique_name)
    existing = next((it for it in call.directory.groups() if it.unique_name == key), None)
    if existing is not None:
        return _change(call, existing, call.json())
    wanted = {it.strip().lower() for it in call.request.headers.get("Prefer", "").split(",")}
    if "create-if-missing" not in wanted:
        raise errors.not_found(key)
    return _created(call, create_group(call, call.json(), unique_name=key))


async def update(call: Call, group_id: str) -> Reply:
    """PATCH /groups/{id}."""
    return _change(call, call.group(group_id), call.json())


async def read(call: Call, group_id: str) -> Reply:
    """GET /groups/{id}."""
    _must_read_any(call)
    return _shown(call, call.read_group(group_id))


async def read_unique(call: Call, unique_name: str) -> Reply:
    """GET /groups(uniqueName='…')."""
    _must_read_any(call)
    key = _unquoted(unique_name)
    found = next((it for it in call.groups() if it.unique_name == key), None)
    if found is None:
        raise errors.not_found(key)
    return _shown(call, found)


async def listing(call: Call) -> Reply:
    """GET /groups."""
    call.caller.must_read(access.READ_GROUPS)
    shown = [document(it, call.directory) for it in call.groups()]
    searches = ("displayName", "description", "mailNickname")
    return query.page(
        call.request,
        shown,
        "groups",
        GROUP_PROPERTIES,
        defaults=GROUP_DEFAULTS,
        expands=_expands(call),
        searches=searches,
    )


async def delete(call: Call, group_id: str) -> Reply:
    """DELETE /groups/{id}. The group can be restored for 30 days."""
    group = call.group(group_id)
    call.caller.must_write(group, access.WRITE_GROUPS)
    call.directory.changing(group)
    group.deleted_at = call.request.now
    return Reply(204)


async def members(call: Call, group_id: str, cast: str | None = None, *, transitive: bool = False) -> Reply:
    """GET /groups/{id}/members or /transitiveMembers; `cast` is an OData type, or `$count`."""
    group = call.read_group(group_id)
    _must_read(call, group)
    return _principals(call, call.directory.members_of(call.live(group), transitive=transitive), cast)


async def owners(call: Call, group_id: str, cast: str | None = None) -> Reply:
    """GET /groups/{id}/owners; `cast` is an OData type, or `$count`."""
    group = call.read_group(group_id)
    _must_read(call, group)
    return _principals(call, call.directory.owners_of(group), cast)


async def count(call: Call) -> Reply:
    """GET /groups/$count."""
    call.caller.must_read(access.READ_GROUPS)
    return query.count(call.request, [document(it, call.directory) for it in call.groups()], GROUP_PROPERTIES)


async def add_reference(call: Call, relation: Relation, group_id: str) -> Reply:
    """POST /groups/{id}/members/$ref or /owners/$ref. Raises 400 if the object is in the relation already."""
    group = call.group(group_id)
    call.caller.must_write(group, access.WRITE_MEMBERS)
    object_id = referenced(call, call.json().get("@odata.id"))
    if object_id in _held(group, relation) | group.granted(relation, call.request.now):
        raise errors.already_there(relation)
    if object_id == group.id:
        raise errors.bad_request("A group cannot be a member or an owner of itself.")
    _add(call, group, relation, [object_id])
    return Reply(204)


async def remove_reference(call: Call, relation: Relation, group_id: str, object_id: str) -> Reply:
    """DELETE /groups/{id}/members/{id}/$ref or /owners/{id}/$ref. It ends an active assignment of PIM too."""
    group = call.group(group_id)
    call.caller.must_write(group, access.WRITE_MEMBERS)
    present = _held(group, relation) | group.granted(relation, call.request.now)
    held = next((it for it in present if it.lower() == object_id.lower()), None)
    if held is None:
        raise errors.not_found(object_id)
    kept: Access = "member" if relation == "members" else "owner"
    if schedule := call.directory.pim.lasting("assignment", group.id, held, kept, call.request.now):
        pim.revoke(call.directory, schedule)
    if relation == "members":
        call.directory.change_members(group, remove=[held])
    else:
        if len(group.owners) == 1 and held in group.owners:
            raise errors.bad_request("The group must have at least one owner, hence this owner cannot be removed.")
        call.directory.changing(group)
        group.owners.discard(held)
    return Reply(204)


def _must_read(call: Call, group: Group) -> None:
    if not call.caller.may_see(group):
        raise errors.denied()


def _must_read_any(call: Call) -> None:
    """Raise 403 if the caller may read no group at all, so that the answer reveals nothing about the id."""
    owns_some = any(call.caller.object_id in it.owners for it in call.directory.groups())
    if not owns_some:
        call.caller.must_read(access.READ_GROUPS)


def _shown(call: Call, group: Group) -> Reply:
    _must_read(call, group)
    return query.entity(
        call.request, document(group, call.directory), "groups", defaults=GROUP_DEFAULTS, expands=_expands(call)
    )


def _expands(call: Call) -> query.Expands:
    """Return the makers for `$expand=members` and `owners`: the first 20 objects, as documented."""

    def group(shown: dict[str, Any]) -> Group:
        return call.live(call.read_group(shown["id"]))

    def people(principals: list[Principal], inner: str) -> list[dict[str, Any]]:
        first = principals[: expansion.MAX_EXPANDED]
        return [expansion.narrowed(member(it, call.directory, call.caller), inner) for it in first]

    return {
        "members": lambda shown, inner: people(call.directory.members_of(group(shown)), inner),
        "owners": lambda shown, inner: people(call.directory.owners_of(group(shown)), inner),
    }


def _created(call: Call, group: Group) -> Reply:
    shown = document(group, call.directory)
    whole = {
        "@odata.context": f"{ROOT}/$metadata#groups/$entity",
        **{name: value for name, value in shown.items() if name in GROUP_DEFAULTS},
    }
    return Reply(201, whole, location(call.directory, group.id, "Group"))


def _change(call: Call, group: Group, body: dict[str, Any]) -> Reply:
    call.caller.must_write(group, access.WRITE_GROUPS)
    check(body)
    fixed = {
        "mailEnabled": group.mail_enabled,
        "isAssignableToRole": group.role_assignable,
        "groupTypes": list(group.group_types),
        "uniqueName": group.unique_name,
    }
    for name, value in fixed.items():
        if name in body and (body[name] or value) and body[name] != value:
            raise errors.bad_request(f"Property '{name}' is read-only and cannot be set.")
    new_members, new_owners = bindings(call, body)
    # An upsert may name principals that are already in the group; a plain change may not.
    call.directory.changing(group)
    known = {*group.members, *group.owners}
    if group.unique_name is None and known & {*new_members, *new_owners}:
        raise errors.already_there("members" if group.members & set(new_members) else "owners")
    group.display_name = body.get("displayName") or group.display_name
    group.mail_nickname = body.get("mailNickname") or group.mail_nickname
    if "description" in body:
        group.description = body["description"]
    if body.get("securityEnabled") is not None:
        group.security_enabled = body["securityEnabled"]
    _add(call, group, "members", [it for it in new_members if it not in group.members])
    _add(call, group, "owners", [it for it in new_owners if it not in group.owners])
    return Reply(204)


def _held(group: Group, relation: Relation) -> set[str]:
    return group.members if relation == "members" else group.owners


def _add(call: Call, group: Group, relation: Relation, object_ids: list[str]) -> None:
    if not object_ids:
        return
    if relation == "members":
        call.directory.change_members(group, add=object_ids)
    else:
        call.directory.changing(group)
        group.owners |= set(object_ids)


def _principals(call: Call, principals: list[Principal], cast: str | None) -> Reply:
    properties = GROUP_PROPERTIES | USER_PROPERTIES | SERVICE_PRINCIPAL_PROPERTIES
    if cast == "$count":
        return query.count(call.request, [document(it, call.directory) for it in principals], properties)
    if cast is not None:
        namespace, _, name = cast.lower().rpartition(".")
        if namespace not in {"microsoft.graph", "graph"} or name not in _CASTS:
            raise errors.not_modelled(f"the type {cast!r}")
        principals = [it for it in principals if isinstance(it, _CASTS[name])]
    if query.option(call.request, "$filter") and not all(call.caller.may_see(it) for it in principals):
        raise errors.denied()  # a filter over hidden properties would find nothing, and look like an answer
    shown = [member(it, call.directory, call.caller) for it in principals]
    return query.page(call.request, shown, "directoryObjects", properties)


def _unquoted(key: str) -> str:
    return key.replace("''", "'")
