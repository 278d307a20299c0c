"""The routes of users, service principals and directory objects of any type, and of their group memberships."""

from __future__ import annotations

from typing import Any

from azure_sandbox.entra.directory import Group, Principal, ServicePrincipal, User
from azure_sandbox.front.http import Reply
from azure_sandbox.graph import access, errors, query
from azure_sandbox.graph.call import Call, string_list
from azure_sandbox.graph.documents import (
    GROUP_PROPERTIES,
    ROOT,
    SERVICE_PRINCIPAL_PROPERTIES,
    USER_PROPERTIES,
    document,
    member,
)
from azure_sandbox.graph.expansion import narrowed
from azure_sandbox.graph.properties import USER_DEFAULTS

MAX_CHECKED = 20
MAX_BY_IDS = 1000
_TYPES = {"user": User, "group": Group, "serviceprincipal": ServicePrincipal}


async def me(call: Call) -> Reply:
    """GET /me. Raises 400 for an application."""
    user = call.directory.principal(call.caller.object_id)
    if not isinstance(user, User):
        raise errors.problem(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
    return query.entity(call.request, document(user, call.directory), "users", defaults=USER_DEFAULTS)


async def user(call: Call, user_id: str) -> Reply:
    """GET /users/{id or upn}."""
    call.caller.must_read(access.READ_USERS)
    found = call.directory.user(user_id)
    if found is None:
        raise errors.not_found(user_id)
    return query.entity(call.request, document(found, call.directory), "users", defaults=USER_DEFAULTS)


async def users(call: Call) -> Reply:
    """GET /users."""
    call.caller.must_read(access.READ_USERS)
    shown = [document(it, call.directory) for it in call.directory.users()]
    searches = ("displayName", "mail", "userPrincipalName")
    return query.page(call.request, shown, "users", USER_PROPERTIES, defaults=USER_DEFAULTS, searches=searches)


async def count_users(call: Call) -> Reply:
    """GET /users/$count."""
    call.caller.must_read(access.READ_USERS)
    return query.count(call.request, [document(it, call.directory) for it in call.directory.users()], USER_PROPERTIES)


async def service_principal(call: Call, object_id: str) -> Reply:
    """GET /servicePrincipals/{id}."""
    call.caller.must_read(access.READ_APPLICATIONS)
    found = call.directory.principal(object_id)
    if not isinstance(found, ServicePrincipal):
        raise errors.not_found(object_id)
    return query.entity(call.request, document(found, call.directory), "servicePrincipals")


async def service_principal_of(call: Call, app_id: str) -> Reply:
    """GET /servicePrincipals(appId='…')."""
    call.caller.must_read(access.READ_APPLICATIONS)
    found = call.directory.application(app_id)
    if found is None:
        raise errors.not_found(app_id)
    return query.entity(call.request, document(found, call.directory), "servicePrincipals")


async def service_principals(call: Call) -> Reply:
    """GET /servicePrincipals."""
    call.caller.must_read(access.READ_APPLICATIONS)
    shown = [document(it, call.directory) for it in call.directory.service_principals()]
    searches = ("displayName",)
    return query.page(call.request, shown, "servicePrincipals", SERVICE_PRINCIPAL_PROPERTIES, searches=searches)


async def directory_object(call: Call, object_id: str) -> Reply:
    """GET /directoryObjects/{id}."""
    call.caller.must_read(access.READ_ANYTHING)
    return query.entity(
        call.request, member(_principal(call, object_id), call.directory, call.caller), "directoryObjects"
    )


async def by_ids(call: Call) -> Reply:
    """POST /directoryObjects/getByIds. Unknown ids are left out."""
    call.caller.must_read(access.READ_ANYTHING)
    body = call.json()
    wanted = _wanted_types(body)
    found: list[dict[str, Any]] = []
    for object_id in string_list(body, "ids", most=MAX_BY_IDS):
        principal = call.directory.principal(object_id)
        if isinstance(principal, Group):
            principal = call.seen(principal)
        if principal is not None and isinstance(principal, wanted):
            found.append(narrowed(member(principal, call.directory, call.caller), ""))
    return Reply(body={"@odata.context": f"{ROOT}/$metadata#directoryObjects", "value": found})


async def check_member_groups(call: Call, object_id: str) -> Reply:
    """POST …/{id}/checkMemberGroups: those of up to 20 groups in which the object is a member, also transitively."""
    held = _memberships(call, object_id)
    asked = string_list(call.json(), "groupIds", most=MAX_CHECKED)
    lowered = {it.lower() for it in held}
    return _ids([it for it in asked if it.lower() in lowered])


async def get_member_groups(call: Call, object_id: str) -> Reply:
    """POST …/{id}/getMemberGroups: every group in which the object is a member, also transitively."""
    held = _memberships(call, object_id)
    body = call.json()
    secure = body.get("securityEnabledOnly")
    if not isinstance(secure, bool):
        raise errors.bad_request("Invalid value specified for parameter 'securityEnabledOnly': a boolean is expected.")
    if secure:
        held &= call.directory.groups_of(object_id)
    return _ids(sorted(held))


async def member_of(call: Call, object_id: str, *, transitive: bool = False) -> Reply:
    """GET …/{id}/memberOf or /transitiveMemberOf."""
    held = _memberships(call, object_id)
    groups = [it for it in call.groups() if it.id in held]
    if not transitive:
        now = call.request.now
        wanted = object_id.lower()
        groups = [it for it in groups if wanted in {member.lower() for member in call.live(it).seen_members(now)}]
    shown = [member(it, call.directory, call.caller) for it in groups]
    return query.page(call.request, shown, "directoryObjects", GROUP_PROPERTIES)


def _memberships(call: Call, object_id: str) -> frozenset[str]:
    principal = _principal(call, object_id)
    if principal.id != call.caller.object_id or not isinstance(principal, User):
        call.caller.must_read(access.READ_GROUPS)
        if not call.caller.may_see(principal):
            raise errors.denied()
    return frozenset(it.id for it in call.groups()) & call.directory.memberships(principal.id)


def _principal(call: Call, object_id: str) -> Principal:
    found = call.directory.user(object_id) or call.directory.principal(object_id)
    if isinstance(found, Group):
        found = call.seen(found)
    if found is None:
        raise errors.not_found(object_id)
    return found


def _wanted_types(body: dict[str, Any]) -> tuple[type[Principal], ...]:
    if body.get("types") is None:
        return User, Group, ServicePrincipal
    names = string_list(body, "types", most=MAX_CHECKED)
    if any(name.lower() == "directoryobject" for name in names):
        return User, Group, ServicePrincipal
    return tuple(_TYPES[name.lower()] for name in names if name.lower() in _TYPES)


def _ids(ids: list[str]) -> Reply:
    return Reply(body={"@odata.context": f"{ROOT}/$metadata#Collection(Edm.String)", "value": ids})
