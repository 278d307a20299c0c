"""Compare an admin group with its declaration in the fleet file.

A group that exists is never changed. The comparison only reports how it differs. This module must not know Graph's
documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from aks_entra.core.target import GroupTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A member or owner: its object id and names (a user's principal name, an application's client id).

    `named` is False if the right to read its names is missing. A declared name may then be this one.
    """

    id: str
    names: tuple[str, ...] = ()
    named: bool = True

    def goes_by(self, declared: str) -> bool:
        """Whether the fleet file means this member or owner."""
        return declared.casefold() in {name.casefold() for name in (self.id, *self.names)}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupContents:
    """A group as the directory shows it. `owners` and `members` are direct ones; None if they could not be read."""

    id: str
    exists: bool = True
    deleted_on: str = ""
    display_name: str = ""
    description: str = ""
    security_enabled: bool = True
    owners: tuple[Holder, ...] | None = None
    members: tuple[Holder, ...] | None = None


class Kind(StrEnum):
    """How one point of a comparison counts."""

    DIFFERS = "differs"
    UNKNOWN = "unknown"
    ADDITIONAL = "additional"  # owners and members that the fleet file does not declare


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One result of a comparison. Programs compare `code`, which holds what was seen; people read `words`."""

    kind: Kind
    code: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a group compares with its declaration. `reference` is the plan's name of the group."""

    reference: str
    display_name: str
    points: tuple[Point, ...] = ()

    @property
    def differs(self) -> tuple[str, ...]:
        """What differs from the declaration, in words."""
        return self._words(Kind.DIFFERS)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What could not be read, in words."""
        return self._words(Kind.UNKNOWN)

    @property
    def additional(self) -> tuple[str, ...]:
        """How many owners and members are not declared, in words."""
        return self._words(Kind.ADDITIONAL)

    def value(self, kind: Kind) -> str:
        """The codes of one kind of points, and the group. Equal for equal comparisons, however they are worded."""
        return "; ".join((self.reference, *(point.code for point in self.points if point.kind is kind)))

    def _words(self, kind: Kind) -> tuple[str, ...]:
        return tuple(point.words for point in self.points if point.kind is kind)


def drift(target: GroupTarget, seen: GroupContents | None) -> Drift:
    """Compare a declaration with what the directory shows. `seen` is None if the group could not be read."""
    return Drift(reference=target.reference, display_name=target.display_name, points=tuple(_points(target, seen)))


def _points(target: GroupTarget, seen: GroupContents | None) -> Iterator[Point]:
    if seen is None:
        yield Point(kind=Kind.UNKNOWN, code="group", words="the group could not be read")
        return
    if seen.deleted_on:
        day = seen.deleted_on[:10]
        yield Point(kind=Kind.DIFFERS, code=f"deleted={day}", words=f"it was deleted on {day}")
        return
    if not seen.exists:
        yield Point(kind=Kind.DIFFERS, code="absent", words="it is not there")
        return
    yield from _itself(target, seen)
    for role, declared, there in (("owner", target.owners, seen.owners), ("member", target.members, seen.members)):
        if not declared:
            continue
        if there is None:
            yield Point(kind=Kind.UNKNOWN, code=f"{role}s", words=f"its {role}s could not be read")
            continue
        missing = [one for one in declared if not any(holder.goes_by(one) for holder in there)]
        named = all(holder.named for holder in there)
        for one in missing:
            kind = Kind.DIFFERS if named else Kind.UNKNOWN
            words = "is missing" if named else "may be missing: names could not be read"
            yield Point(kind=kind, code=f"{role}={one}", words=f"{role} {one} {words}")
        more = len(there) - (len(declared) - len(missing))
        if more > 0:
            words = f"{more} {role}{'' if more == 1 else 's'}"
            yield Point(kind=Kind.ADDITIONAL, code=f"{role}s={more}", words=words)


def _itself(target: GroupTarget, seen: GroupContents) -> Iterator[Point]:
    if seen.display_name != target.display_name:
        words = f"it is called {seen.display_name!r} now"
        yield Point(kind=Kind.DIFFERS, code=f"displayName={seen.display_name}", words=words)
    if target.description and seen.description != target.description:
        words = f"its description is {seen.description!r}" if seen.description else "its description is gone"
        yield Point(kind=Kind.DIFFERS, code=f"description={seen.description}", words=words)
    if not seen.security_enabled:
        words = "it is not security-enabled: its members get no access"
        yield Point(kind=Kind.DIFFERS, code="securityEnabled=false", words=words)


def strangers(target: GroupTarget, seen: GroupContents, *, prover: str, runner: str) -> tuple[str, ...]:
    """Compare a group that exists with the one that a plan creates.

    The plan gives it the declared owners and members, and the prover as a member. Graph makes the runner an owner.
    Returns the differences in words. An owner or member list that could not be read is a difference.
    """
    found = [point.words for point in _itself(target, seen)]
    for role, there, allowed in (
        ("owner", seen.owners, (*target.owners, runner)),
        ("member", seen.members, (*target.members, prover)),
    ):
        if there is None:
            found.append(f"its {role}s could not be read")
            continue
        others = [one for one in there if not any(one.goes_by(name) for name in allowed)]
        found += [f"{role} {one.names[0] if one.names else one.id}" for one in others]
    return tuple(found)
