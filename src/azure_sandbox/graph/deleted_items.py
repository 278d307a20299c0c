"""The routes of deleted groups, users, applications and service principals: list, read, restore, delete for good.

Source: Graph's deletedItems pages.
"""

from __future__ import annotations

from azure_sandbox.entra.directory import Application, Group, ServicePrincipal, User
from azure_sandbox.entra.objects import Removable
from azure_sandbox.front.http import Reply
from azure_sandbox.graph import access, errors, query
from azure_sandbox.graph.applications import shown_application
from azure_sandbox.graph.call import Call
from azure_sandbox.graph.documents import (
    GROUP_DEFAULTS,
    GROUP_PROPERTIES,
    ROOT,
    SERVICE_PRINCIPAL_PROPERTIES,
    USER_DEFAULTS_OF_DELETED,
    USER_PROPERTIES,
    Document,
    document,
)
from azure_sandbox.graph.moments import moment
from azure_sandbox.graph.properties import APPLICATION_PROPERTIES

Item = Group | Removable
KINDS: dict[str, tuple[type[Item], str, frozenset[str], frozenset[str]]] = {
    "group": (Group, "groups", GROUP_PROPERTIES, GROUP_DEFAULTS),
    "user": (User, "users", USER_PROPERTIES, USER_DEFAULTS_OF_DELETED),
    "application": (Application, "applications", APPLICATION_PROPERTIES, APPLICATION_PROPERTIES),
    "serviceprincipal": (
        ServicePrincipal,
        "servicePrincipals",
        SERVICE_PRINCIPAL_PROPERTIES,
        SERVICE_PRINCIPAL_PROPERTIES,
    ),
}


async def listing(call: Call, cast: str) -> Reply:
    """GET /directory/deletedItems/microsoft.graph.{type}."""
    if cast.lower() not in KINDS:
        raise errors.not_modelled(f"deleted objects of the type {cast!r}")
    kind, context, properties, defaults = KINDS[cast.lower()]
    call.caller.must_read(_reading(kind))
    items: list[Item] = [*call.directory.deleted_groups(), *(it for it, _ in call.directory.removed())]
    shown = [_shown(call, it) for it in items if isinstance(it, kind)]
    return query.page(call.request, shown, context, properties, defaults=defaults)


async def read(call: Call, object_id: str) -> Reply:
    """GET /directory/deletedItems/{id}."""
    item = _item(call, object_id)
    call.caller.must_read(_reading(type(item)))
    return query.entity(call.request, {"@odata.type": _type(item), **_shown(call, item)}, "directoryObjects")


async def restore(call: Call, object_id: str) -> Reply:
    """POST /directory/deletedItems/{id}/restore."""
    item = _item(call, object_id)
    _must_write(call, item)
    if isinstance(item, Group):
        call.directory.changing(item)
        item.deleted_at = None
    else:
        try:
            call.directory.bring_back(item)
        except ValueError as error:
            raise errors.conflict("userPrincipalName" if isinstance(item, User) else "appId") from error
    shown = {"@odata.type": _type(item), **_shown(call, item), "deletedDateTime": None}
    return Reply(body={"@odata.context": f"{ROOT}/$metadata#directoryObjects/$entity", **shown})


async def delete(call: Call, object_id: str) -> Reply:
    """DELETE /directory/deletedItems/{id}: it cannot be restored any more."""
    item = _item(call, object_id)
    _must_write(call, item)
    if isinstance(item, Group):
        raise errors.not_modelled("the deletion of a group for good")
    call.directory.forget(item)
    return Reply(204)


def _item(call: Call, object_id: str) -> Item:
    found = call.directory.principal(object_id)
    if isinstance(found, Group) and call.directory.restorable(found):
        return found
    gone = next((it for it, _ in call.directory.removed() if it.id.lower() == object_id.lower()), None)
    if gone is None:
        raise errors.not_found(object_id)
    return gone


def _reading(kind: type[Item]) -> frozenset[str]:
    if kind is Group:
        return access.READ_DELETED_GROUPS
    return access.READ_USERS if kind is User else access.READ_APPLICATIONS


def _must_write(call: Call, item: Item) -> None:
    if isinstance(item, Group):
        call.caller.must_write(item, access.WRITE_GROUPS)
    elif isinstance(item, User):
        call.caller.must_write_users()
    else:
        call.caller.must_write_application(item.owners)


def _type(item: Item) -> str:
    name = type(item).__name__
    return f"#microsoft.graph.{name[0].lower()}{name[1:]}"


def _shown(call: Call, item: Item) -> Document:
    if isinstance(item, Group):
        return document(item, call.directory)
    at = next((moment(at) for it, at in call.directory.removed() if it is item), None)
    whole = shown_application(call, item) if isinstance(item, Application) else document(item, call.directory)
    return {**whole, "deletedDateTime": at}
