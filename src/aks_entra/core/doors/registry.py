"""All kinds of doors. A kind is added to the `KINDS` of one module, and appears everywhere from there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from aks_entra.core.doors import arm, kubernetes, role_assignments
from aks_entra.core.doors.facts import DoorFacts, Unread
from aks_entra.core.doors.model import Door, DoorKind, DoorState, not_looked_at

KINDS: Final[tuple[DoorKind, ...]] = (*arm.KINDS, *kubernetes.KINDS, *role_assignments.KINDS)
IDS: Final = frozenset(kind.id for kind in KINDS)

_EARLIER: Final = Unread(why="the look that was recorded did not include it", remedy="look again: `aks-entra doors`")
_NEWER: Final = Unread(
    why="this version does not know this door", remedy="use the version of aks-entra that made the plan"
)


def doors_of(facts: DoorFacts) -> tuple[Door, ...]:
    """Weigh every kind of door, in the order of `KINDS`. A door whose facts nobody read is "not looked at"."""
    return tuple(kind.weigh(facts) for kind in KINDS)


def complete(doors: Iterable[Door]) -> tuple[Door, ...]:
    """Return recorded doors with every kind of this version. One that the record lacks is "not looked at"."""
    recorded = {door.kind: door for door in doors}
    known = [recorded.pop(kind.id, not_looked_at(kind.id, _EARLIER)) for kind in KINDS]
    return (*known, *recorded.values())


def title_of(kind: str) -> str:
    """Return the title of a kind of door, or its id if a newer version recorded it."""
    return next((one.title for one in KINDS if one.id == kind), kind)


def words_of(doors: Iterable[Door]) -> str:
    """Return which doors are open and which nobody looked at, by their ids, or that all are closed."""
    known = complete(doors)
    found = []
    for state in (DoorState.OPEN, DoorState.NOT_LOOKED_AT):
        ids = ", ".join(door.kind for door in known if door.state is state)
        found += [f"{state}: {ids}"] if ids else []
    return "; ".join(found) or f"all {len(known)} closed"


def unproven(doors: Iterable[Door], wanted: Collection[str]) -> tuple[Door, ...]:
    """Return the doors that must be closed (`wanted`, ids) and are not proven closed."""
    known = {door.kind: door for door in complete(doors)}
    asked = [known.get(kind, not_looked_at(kind, _NEWER)) for kind in wanted]
    return tuple(door for door in asked if door.state is not DoorState.CLOSED)
