"""A break-glass opening: for how long, why and by whom, as it stands on the cluster itself.

The tags survive the process that opened: whoever reads them knows when to close. Azure forbids "/" in names of tags.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aks_entra.core.evidence import LocalAccountsEnabled

PREFIX: Final = "aks-entra-break-glass-"
_FIELDS: Final = ("until", "since", "reason", "ticket", "opener")
LONGEST: Final = 256
"""Characters of a tag's value that Azure takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One opening. Times are ISO 8601 in UTC."""

    until: str
    since: str
    reason: str
    ticket: str = ""
    opener: str = ""

    def due(self, now: datetime) -> bool:
        """Whether its time is over. One whose end cannot be read is over: somebody has changed the tag."""
        end = _moment(self.until)
        return end is None or end <= now

    @property
    def tags(self) -> tuple[tuple[str, str | None], ...]:
        """How it stands on the cluster; None: no such tag."""
        return tuple((f"{PREFIX}{name}", getattr(self, name) or None) for name in _FIELDS)

    def evidence(self, *, at: str, changed: bool, correlation_id: str = "") -> LocalAccountsEnabled:
        """The opening as evidence."""
        return LocalAccountsEnabled(
            at=at,
            changed=changed,
            until=self.until,
            reason=self.reason,
            ticket=self.ticket,
            opener=self.opener,
            correlation_id=correlation_id,
        )


CLOSED: Final[tuple[tuple[str, str | None], ...]] = tuple((f"{PREFIX}{name}", None) for name in _FIELDS)
"""The tags of a cluster that is closed: none of ours."""


def opening_on(tags: Iterable[tuple[str, str]]) -> Opening | None:
    """The opening that a cluster's tags tell of, if they tell of one. Names of tags ignore case."""
    said = {name.casefold().removeprefix(PREFIX): value for name, value in tags if name.casefold().startswith(PREFIX)}
    if not said:
        return None
    return Opening(**{name: said.get(name, "") for name in _FIELDS})


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
