"""An admin group beside what the fleet file declares of it: what drifted, what could not be read, who came beside.

A group that exists is never changed; that it is otherwise than declared is only said. It must not know Graph's
documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from aks_entra.core.target import GroupTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A member or owner: object id, and the names it goes by (a user's principal name, an application's client id).

    `named` False: the right to read its names is missing, so that a name that was declared may be this one.
    """

    id: str
    names: tuple[str, ...] = ()
    named: bool = True

    def goes_by(self, declared: str) -> bool:
        """Whether this is who the fleet file means."""
        return declared.casefold() in {name.casefold() for name in (self.id, *self.names)}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupContents:
    """A group as the directory has it. `owners` and `members` are direct ones; None: could not be read."""

    id: str
    exists: bool = True
    deleted_on: str = ""
    display_name: str = ""
    description: str = ""
    security_enabled: bool = True
    owners: tuple[Holder, ...] | None = None
    members: tuple[Holder, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What is otherwise than declared (`differs`), what is not known (`unknown`), and who is there beside (`beside`).

    All in words. `reference` is how the plan names the group, `display_name` how people do.
    """

    reference: str
    display_name: str
    differs: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def drift(target: GroupTarget, seen: GroupContents | None) -> Drift:
    """Compare what is declared with what is there; None: nothing of it could be read."""
    found = Drift(reference=target.reference, display_name=target.display_name)
    if seen is None:
        return replace(found, unknown=("the group could not be read",))
    if seen.deleted_on or not seen.exists:
        when = f" on {seen.deleted_on[:10]}" if seen.deleted_on else ""
        return replace(found, differs=(f"it was deleted{when}" if seen.deleted_on else "it is not there",))
    differs = list(_itself(target, seen))
    unknown, beside = [], []
    for role, declared, there in (("owner", target.owners, seen.owners), ("member", target.members, seen.members)):
        if not declared:
            continue
        if there is None:
            unknown.append(f"its {role}s could not be read")
            continue
        missing = [one for one in declared if not any(holder.goes_by(one) for holder in there)]
        names = tuple(f"{role} {one}" for one in missing)
        if all(holder.named for holder in there):
            differs += [f"{name} is missing" for name in names]
        else:
            unknown += [f"whether {name} is there: names could not be read" for name in names]
        more = len(there) - (len(declared) - len(missing))
        if more > 0:
            beside.append(f"{more} {role}{'' if more == 1 else 's'}")
    return replace(found, differs=tuple(differs), unknown=tuple(unknown), beside=tuple(beside))


def _itself(target: GroupTarget, seen: GroupContents) -> Iterator[str]:
    if seen.display_name != target.display_name:
        yield f"it is called {seen.display_name!r} now"
    if target.description and seen.description != target.description:
        yield f"its description is {seen.description!r}" if seen.description else "its description is gone"
    if not seen.security_enabled:
        yield "it is not security-enabled: its members get no access"
