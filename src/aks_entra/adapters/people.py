"""Users, groups and service principals of the directory, and who is in which group: the `People` port."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from aks_entra.adapters.graph_wire import Document, Wire, literal
from aks_entra.core.grants import Principal, PrincipalKind
from aks_entra.errors import Refused

READ: Final = "User.Read.All, GroupMember.Read.All and Application.Read.All (or Directory.Read.All)"
_GUID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_KINDS: Final[dict[str, PrincipalKind]] = {
    "#microsoft.graph.user": "User",
    "#microsoft.graph.group": "Group",
    "#microsoft.graph.servicePrincipal": "ServicePrincipal",
}
_SELECT: Final = "id,displayName,userPrincipalName,accountEnabled"
_AT_ONCE: Final = 1000


class DirectoryPeople:
    """The directory of the signed-in identity's tenant."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def principal(self, name: str) -> Principal:
        """A user (by UPN), a group (by name), a service principal (by appId), or any of them by object id."""
        doing = f"look for {name!r} in the directory"
        if _GUID.match(name):
            found = (await self.principals((name,))).get(name.lower())
            if found is None:
                path = f"/servicePrincipals(appId={literal(name)})"
                document = await self._wire.find(path, doing=doing, needs=READ)
                found = _principal(document, "ServicePrincipal") if document else None
        elif "@" in name:
            query = {"$select": _SELECT}
            path = f"/users/{quote(name, safe='')}"
            document = await self._wire.find(path, doing=doing, needs=READ, query=query)
            found = _principal(document, "User") if document else None
        else:
            found = await self._group_named(name, doing)
        if found is None:
            raise Refused(
                f"the directory knows no user, group or application {name!r}",
                remedy="write a user principal name, a group's name, an application (client) id, or an object id",
                code="Request_ResourceNotFound",
                status=404,
            )
        return found

    async def principals(self, ids: tuple[str, ...]) -> Mapping[str, Principal]:
        """Those of the objects that exist, by id in lower case."""
        wanted = list(dict.fromkeys(one.lower() for one in ids if _GUID.match(one)))
        found: dict[str, Principal] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            body = {"ids": wanted[start : start + _AT_ONCE]}
            answer = await self._wire.ask("/directoryObjects/getByIds", body, doing="name objects", needs=READ)
            for one in answer.get("value") or ():
                kind = _KINDS.get(str(one.get("@odata.type")))
                if kind is not None:
                    found[str(one["id"]).lower()] = _principal(one, kind)
        return found

    async def groups_of(self, principal_id: str) -> frozenset[str]:
        """Security groups that hold it, transitively: what a token carries."""
        answer = await self._wire.ask(
            f"/directoryObjects/{principal_id}/getMemberGroups",
            {"securityEnabledOnly": True},
            doing=f"read the groups of {principal_id}",
            needs=READ,
        )
        return frozenset(str(one).lower() for one in answer.get("value") or ())

    async def direct_groups_of(self, principal_id: str) -> frozenset[str]:
        """Groups that hold it themselves."""
        found = await self._wire.list(
            f"/directoryObjects/{principal_id}/memberOf", doing=f"read the groups of {principal_id}", needs=READ
        )
        return frozenset(str(one["id"]).lower() for one in found)

    async def members_of(self, group_id: str) -> tuple[Principal, ...]:
        """Everybody in a group, transitively: users and service principals."""
        found = await self._wire.list(
            f"/groups/{group_id}/transitiveMembers", doing=f"read the members of group {group_id}", needs=READ
        )
        kinds = [(one, _KINDS.get(str(one.get("@odata.type")))) for one in found]
        return tuple(_principal(one, kind) for one, kind in kinds if kind in {"User", "ServicePrincipal"} and kind)

    async def _group_named(self, name: str, doing: str) -> Principal | None:
        query = {"$filter": f"displayName eq {literal(name)}", "$select": "id,displayName"}
        named = await self._wire.list("/groups", doing=doing, needs=READ, query=query)
        same = [one for one in named if one.get("displayName") == name]
        if len(same) > 1:
            ids = ", ".join(sorted(str(one["id"]) for one in same))
            raise Refused(
                f"{len(same)} groups are called {name!r}: {ids}", remedy="give the id of the one that is meant"
            )
        return _principal(same[0], "Group") if same else None


def _principal(document: Document, kind: PrincipalKind) -> Principal:
    name = document.get("userPrincipalName") if kind == "User" else document.get("displayName")
    return Principal(
        id=str(document["id"]).lower(),
        kind=kind,
        name=str(name or ""),
        enabled=document.get("accountEnabled") is not False,
    )
