"""Management groups: which subscriptions are below each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

KIND = "/providers/Microsoft.Management/managementGroups"


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
