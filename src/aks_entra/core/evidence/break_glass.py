"""A break-glass opening: until when, why and by whom, as the tags of the cluster show it.

The tags survive the process that opened, so that any other process knows when to close. Azure forbids "/" in the names
of tags.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import LocalAccountsEnabled

PREFIX: Final = "aks-entra-break-glass-"
_FIELDS: Final = ("until", "since", "reason", "ticket", "opener")
LONGEST: Final = 256
"""The number of characters that Azure allows in the value of a tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One opening. Times are ISO 8601 in UTC."""

    until: str
    since: str
    reason: str
    ticket: str = ""
    opener: str = ""

    def due(self, now: datetime) -> bool:
        """Whether its time is over. An opening with an unreadable end is over, because somebody changed the tag."""
        end = when(self.until)
        return end is None or end <= now

    @property
    def tags(self) -> tuple[tuple[str, str | None], ...]:
        """The tags for the cluster. A value of None means that the tag is absent."""
        return tuple((f"{PREFIX}{name}", getattr(self, name) or None) for name in _FIELDS)

    def evidence(self, *, at: str, changed: bool, correlation_id: str = "") -> LocalAccountsEnabled:
        """Return the opening as evidence."""
        return LocalAccountsEnabled(
            at=at,
            changed=changed,
            until=self.until,
            reason=self.reason,
            ticket=self.ticket,
            opener=self.opener,
            correlation_id=correlation_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningRecord:
    """Our own record of an opening, stored before the write that opens. The sweep acts on this, never on a tag alone.

    `cluster` is the ARM id, `uid` ARM's `resourceUID`, `at` when it was stored. `ended` says when it was seen that the
    opening is over, and `because` why. Both are empty while it lasts. Times are ISO 8601 in UTC. `approved_by`: who
    signed the approval. Empty: nobody had to.
    """

    cluster: str
    opening: Opening
    uid: str
    at: str
    ended: str = ""
    because: str = ""
    approved_by: str = ""

    def over(self, at: str, because: str) -> OpeningRecord:
        """Return the record of the same opening, ended."""
        return replace(self, at=at, ended=at, because=because)

    def fresh(self, now: datetime) -> bool:
        """Whether it was stored so recently that the tags may not be written yet."""
        stored = when(self.at)
        return stored is not None and now - stored < WRITING


WRITING: Final = timedelta(minutes=15)
"""How long it may take from the record of an opening to its tags."""


def strange_tags(said: Opening, record: OpeningRecord | None, now: datetime) -> str:
    """Say how the break-glass tags of a cluster differ from our own record. Empty if they do not.

    A tag is never a reason to act, because anybody with the right to write tags can make one. A fresh record may exist
    before its tags.
    """
    until = said.until or "unknown"
    if record is None or record.ended:
        return f"it carries break-glass tags (until {until}), but no opening of it is recorded: nothing was closed"
    if said != record.opening and not record.fresh(now):
        return f"its break-glass tags were changed: they say until {until}, the record says {record.opening.until}"
    return ""


CLOSED: Final[tuple[tuple[str, str | None], ...]] = tuple((f"{PREFIX}{name}", None) for name in _FIELDS)
"""The tags that closing removes."""


def opening_on(tags: Iterable[tuple[str, str]]) -> Opening | None:
    """Return the opening in a cluster's tags, or None. Names of tags ignore case."""
    said = {name.casefold().removeprefix(PREFIX): value for name, value in tags if name.casefold().startswith(PREFIX)}
    if not said:
        return None
    return Opening(**{name: said.get(name, "") for name in _FIELDS})
