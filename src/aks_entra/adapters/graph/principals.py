"""Reads users, groups, service principals and their memberships in Microsoft Graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aks_entra.adapters.graph.client import Document, GraphClient, key, literal
from aks_entra.adapters.graph.names import groups_named, is_object_id, user
from aks_entra.core.access.principals import Principal, PrincipalKind
from aks_entra.core.preflight import Memberships
from aks_entra.errors import Refused

READ: Final = "User.Read.All, GroupMember.Read.All and Application.Read.All (or Directory.Read.All)"
NAMES: Final = "User.ReadBasic.All (or User.Read.All)"
_KINDS: Final[dict[str, PrincipalKind]] = {
    "#microsoft.graph.user": "User",
    "#microsoft.graph.group": "Group",
    "#microsoft.graph.servicePrincipal": "ServicePrincipal",
}
_SELECT: Final = "id,displayName,userPrincipalName,accountEnabled"
_AT_ONCE: Final = 1000
_IN_FILTER: Final = 15  # Graph's most values of `in`
_NOT_FOUND: Final = 404


async def principal(client: GraphClient, name: str) -> Principal:
    """Return a user (by UPN), a group (by name), a service principal (by appId), or any of them by object id.

    Refused when the directory has no such object, or several groups with this name.
    """
    doing = f"look for {name!r} in the directory"
    if is_object_id(name):
        found = (await principals(client, (name,))).get(name.lower())
        if found is None:
            path = f"/servicePrincipals{key('appId', name)}"
            document = await client.find(path, doing=doing, needs=READ)
            found = _principal(document, "ServicePrincipal") if document else None
    elif "@" in name:
        document = await client.find(user(name), doing=doing, needs=READ, query={"$select": _SELECT})
        found = _principal(document, "User") if document else None
    else:
        found = await _group_named(client, name, doing)
    if found is None:
        raise Refused(
            f"the directory knows no user, group or application {name!r}",
            remedy="write a user principal name, a group's name, an application (client) id, or an object id",
            code="Request_ResourceNotFound",
            status=_NOT_FOUND,
        )
    return found


async def principals(client: GraphClient, ids: tuple[str, ...]) -> Mapping[str, Principal]:
    """Return the objects that exist, by id in lower case."""
    wanted = list(dict.fromkeys(one.lower() for one in ids if is_object_id(one)))
    found: dict[str, Principal] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        body = {"ids": wanted[start : start + _AT_ONCE]}
        answer = await client.ask("/directoryObjects/getByIds", body, doing="name objects", needs=READ)
        for one in answer.get("value") or ():
            kind = _KINDS.get(str(one.get("@odata.type")))
            if kind is not None:
                found[str(one["id"]).lower()] = _principal(one, kind)
    return found


async def users_named(client: GraphClient, names: tuple[str, ...]) -> Mapping[str, Principal]:
    """Return the users with these user principal names, by name in lower case."""
    found: dict[str, Principal] = {}
    for start in range(0, len(names), _IN_FILTER):
        values = ",".join(literal(one) for one in names[start : start + _IN_FILTER])
        query = {"$filter": f"userPrincipalName in ({values})", "$select": _SELECT}
        for one in await client.list("/users", doing="look for users by name", needs=NAMES, query=query):
            found[str(one["userPrincipalName"]).lower()] = _principal(one, "User")
    return found


async def groups_of(client: GraphClient, principal_id: str) -> frozenset[str]:
    """Return the security groups that contain the principal, also indirectly, as a token carries them."""
    answer = await client.ask(
        f"/directoryObjects/{principal_id}/getMemberGroups",
        {"securityEnabledOnly": True},
        doing=f"read the groups of {principal_id}",
        needs=READ,
    )
    return frozenset(str(one).lower() for one in answer.get("value") or ())


async def direct_groups_of(client: GraphClient, principal_id: str) -> frozenset[str]:
    """Return the groups that contain the principal directly."""
    found = await client.list(
        f"/directoryObjects/{principal_id}/memberOf", doing=f"read the groups of {principal_id}", needs=READ
    )
    return frozenset(str(one["id"]).lower() for one in found)


async def members_of(client: GraphClient, group_id: str) -> tuple[Principal, ...]:
    """Return all users and service principals in a group, also indirectly."""
    found = await client.list(
        f"/groups/{group_id}/transitiveMembers",
        doing=f"read the members of group {group_id}",
        needs=READ,
        query={"$select": _SELECT},  # Graph shows `accountEnabled` only if it is asked for
    )
    kinds = [(one, _KINDS.get(str(one.get("@odata.type")))) for one in found]
    return tuple(_principal(one, kind) for one, kind in kinds if kind in {"User", "ServicePrincipal"} and kind)


async def _group_named(client: GraphClient, name: str, doing: str) -> Principal | None:
    same = await groups_named(client, name, doing=doing, needs=READ)
    if len(same) > 1:
        ids = ", ".join(sorted(str(one["id"]) for one in same))
        raise Refused(f"{len(same)} groups are called {name!r}: {ids}", remedy="give the id of the group that you mean")
    return _principal(same[0], "Group") if same else None


async def id_of(client: GraphClient, name: str) -> str:
    """Return the object id of a user, of an application's service principal, or of any object of the directory.

    The name is a user principal name, an application (client) id, or an object id. Raises Refused if the directory has
    no such object, or the caller may not read it.
    """
    doing = f"look for {name!r} in the directory"
    needs = "User.ReadBasic.All for people, Application.Read.All for applications; or give object ids"
    if is_object_id(name):
        places = [f"/servicePrincipals{key('appId', name)}", f"/directoryObjects/{name}"]
        query = None
    else:
        places, query = [user(name)], {"$select": "id"}
    for place in places:
        found = await client.find(place, doing=doing, needs=needs, query=query)
        if found is not None and found.get("id"):
            return str(found["id"])
    raise Refused(
        f"the directory knows no user, application or object {name!r}",
        remedy="write a user principal name, an application (client) id, or an object id",
        code="Request_ResourceNotFound",
        status=_NOT_FOUND,
    )


async def memberships(client: GraphClient, principal_id: str) -> Memberships:
    """Count a principal's security groups, transitively, and say whether it is a person."""
    path = f"/directoryObjects/{principal_id}"
    doing = f"count the groups of {principal_id}"
    groups = await client.ask(f"{path}/getMemberGroups", {"securityEnabledOnly": True}, doing=doing)
    found = await client.get(path, doing=doing)
    return Memberships(
        groups=len(groups.get("value") or ()), person=found.get("@odata.type") == "#microsoft.graph.user"
    )


def _principal(document: Document, kind: PrincipalKind) -> Principal:
    name = document.get("userPrincipalName") if kind == "User" else document.get("displayName")
    return Principal(
        id=str(document["id"]).lower(),
        kind=kind,
        name=str(name or ""),
        enabled=document.get("accountEnabled") is not False,
    )
