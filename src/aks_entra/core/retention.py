"""Which records of a store may be removed: those of work that is over, older than a date, and always the whole work.

Records that mean something together are a group: everything about one plan, or everything under one key. A group is
removed whole or not at all. If only the newest record under a key went, an older one would count again; if the verdicts
of a plan went and the plan stayed, its clusters would be migrated a second time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record: its digest, its group, when it was stored, and the digests of the records that it rests on."""

    digest: str
    group: str
    at: datetime
    before: tuple[str, ...] = ()


def removable(
    entries: Iterable[Entry], *, older_than: datetime, needed: Collection[str], knowledge: Collection[str]
) -> frozenset[str]:
    """Return the groups that may be removed: each of their records is old, nothing needs them, and none is named.

    A name counts in a record that is not old, and in a group that is open or has such a record. It does not count in
    an old record of `knowledge`: a report names every verdict of its plan, and would keep all of them with it.

    Args:
        entries: all records of the store.
        older_than: a record is old if it was stored before this moment.
        needed: groups of what is open.
        knowledge: groups that are kept for what they say, however old they are.
    """
    known = tuple(entries)
    young = {one.group for one in known if one.at >= older_than}
    open_groups = {*needed, *young} - {*knowledge}
    named = {digest for one in known if one.at >= older_than or one.group in open_groups for digest in one.before}
    staying = {*needed, *knowledge, *young, *(one.group for one in known if one.digest in named)}
    return frozenset(one.group for one in known) - staying
