"""One door of a cluster, and its state: closed with a proof, open for somebody, or not looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from aks_entra.core.doors.facts import DoorFacts, Unread


class DoorState(StrEnum):
    """Whether somebody can get in through a door. What could not be read is never "closed"."""

    CLOSED = "closed"
    OPEN = "open"
    NOT_LOOKED_AT = "not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way into a cluster at one moment.

    `because` is the proof of a closed door, who can use an open door, or why a door was not looked at. `remedy` says
    what closes the door, or names the right that would make it readable.
    """

    kind: str  # the id of a `DoorKind`
    state: DoorState
    because: tuple[str, ...]
    remedy: str = ""


MOST: Final = 20
"""The number of holders, or of issuers, namespaces and pools, that a door names. The others are counted."""

Weigh: TypeAlias = Callable[[DoorFacts], Door]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorKind:
    """One kind of door: its id in fleet files and reports, its title, and the function that weighs the facts."""

    id: str
    title: str
    weigh: Weigh

    @property
    def says(self) -> str:
        """What the door is: the first line of the docstring of its function."""
        return (self.weigh.__doc__ or "").partition("\n")[0]


def door_kind(door: str, title: str) -> Callable[[Weigh], DoorKind]:
    """Make a kind of door of a function. The first line of its docstring says who can get in through the door."""

    def made(weigh: Weigh) -> DoorKind:
        return DoorKind(id=door, title=title, weigh=weigh)

    return made


def closed(kind: str, *proof: str) -> Door:
    """Return a closed door with its proof."""
    return Door(kind=kind, state=DoorState.CLOSED, because=proof)


def opened(kind: str, *who: str, remedy: str) -> Door:
    """Return an open door: who can use it, and what closes it."""
    return Door(kind=kind, state=DoorState.OPEN, because=who, remedy=remedy)


def not_looked_at(kind: str, unread: Unread) -> Door:
    """Return a door that nobody could look at, with the reason and the remedy."""
    return Door(kind=kind, state=DoorState.NOT_LOOKED_AT, because=(unread.why,), remedy=unread.remedy)


def first_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once, and how many are left out."""
    found = tuple(dict.fromkeys(names))
    return found if len(found) <= MOST else (*found[:MOST], f"and {len(found) - MOST} more")
