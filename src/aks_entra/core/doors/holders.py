"""Weighs a door from who holds a right: open for those who are named, closed only if everything was read."""

from __future__ import annotations

from collections.abc import Iterable

from aks_entra.core.doors.facts import Holders, Unread
from aks_entra.core.doors.model import Door, closed, first_of, not_looked_at, opened


def weigh(kind: str, *parts: Holders | Unread, proof: str, remedy: str) -> Door:
    """Return the door that these holders have.

    Args:
        kind: the id of the door.
        parts: the holders, or why they could not be read.
        proof: why the door is closed, if nobody but administrators and the cluster's own parts holds the right.
        remedy: what closes the door.
    """
    holders = [part for part in parts if isinstance(part, Holders)]
    unread = [part for part in parts if isinstance(part, Unread)]
    unread += [one for part in holders for one in part.unread]
    who = [one for part in holders for one in part.who]
    conditional = [
        f"{one}, under a condition that is not evaluated here" for part in holders for one in part.conditional
    ]
    if who:
        more = [f"there may be more: {one.why}" for one in dict.fromkeys(unread)]
        return opened(kind, *first_of(who), *first_of(conditional), *more, *_set_aside(holders), remedy=remedy)
    if unread or conditional:
        whys = "; ".join((*dict.fromkeys(one.why for one in unread), *first_of(conditional)))
        helps = [one.remedy for one in unread if one.remedy]
        helps += ["read the condition: `az role assignment list --include-inherited`"] if conditional else []
        return not_looked_at(kind, Unread(why=whys, remedy="; ".join(dict.fromkeys(helps))))
    return closed(kind, proof, *_set_aside(holders))


def _set_aside(holders: Iterable[Holders]) -> tuple[str, ...]:
    administrators = list(dict.fromkeys(one for part in holders for one in part.administrators))
    own = list(dict.fromkeys(one for part in holders for one in part.own))
    found = []
    if administrators:
        found.append(f"not counted, as they may do everything: {'; '.join(first_of(administrators))}")
    if own:
        found.append(f"not counted, as Kubernetes and AKS bring them ({len(own)}): {', '.join(first_of(own))}")
    return tuple(found)
