"""Management groups: which subscriptions are below each of them, and who may read that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure_sandbox.arm.errors import front
from azure_sandbox.front.http import Reply

if TYPE_CHECKING:
    from azure_sandbox.arm.front_door import Call, FrontDoor

Document = dict[str, Any]
KIND = "/providers/Microsoft.Management/managementGroups"
JSON = {"content-type": "application/json; charset=utf-8"}
PAGE = 1000


@dataclass(slots=True, kw_only=True)
class ManagementGroup:
    """A management group. `parent`: the name of the one above, or empty. `subscriptions`: the direct ones, by id."""

    name: str
    display_name: str = ""
    parent: str = ""
    subscriptions: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The resource id, which is also the scope of role assignments."""
        return f"{KIND}/{self.name}"


@dataclass(slots=True)
class ManagementGroups:
    """The management groups of a world. Names ignore case."""

    _groups: dict[str, ManagementGroup] = field(default_factory=dict)

    def add(self, group: ManagementGroup) -> None:
        """Add a group. Raises ValueError if its parent is unknown, or if a subscription has a group already."""
        if group.parent and group.parent.lower() not in self._groups:
            raise ValueError(f"management group {group.name}: there is no parent {group.parent!r} above it in the list")
        for one in group.subscriptions:
            if held := next((it.name for it in self.all() if one in it.subscriptions), ""):
                raise ValueError(f"management group {group.name}: subscription {one} is below {held} already")
        self._groups[group.name.lower()] = group

    def get(self, name: str) -> ManagementGroup | None:
        """Return the group with a name, or None."""
        return self._groups.get(name.lower())

    def all(self) -> Iterator[ManagementGroup]:
        """Return every group, parents first."""
        return iter(self._groups.values())

    def below(self, name: str) -> Iterator[ManagementGroup]:
        """Return a group and all groups below it."""
        names = set()
        for it in self.all():
            if it.name.lower() == name.lower() or it.parent.lower() in names:
                names.add(it.name.lower())
                yield it

    def above(self, scope: str) -> tuple[str, ...]:
        """Return the scopes of the management groups above a scope: in a subscription, or a management group."""
        if not self._groups:
            return ()
        parts = scope.lower().split("/")
        if parts[1:2] == ["subscriptions"]:
            found = next((it for it in self.all() if parts[2] in it.subscriptions), None)
        else:
            at = self.get(parts[-1]) if scope.lower().startswith(f"{KIND.lower()}/") else None
            found = None if at is None else self.get(at.parent)
        scopes = []
        while found is not None:
            scopes.append(found.id)
            found = self.get(found.parent)
        return tuple(scopes)


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
