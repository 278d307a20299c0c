"""Planned changes of one cluster. Nothing runs in the background: each read first applies the changes that are due."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

Happening = Callable[[dt.datetime], None]


@dataclass(slots=True)
class Timeline:
    """Changes in order of time. Of two at the same time, the one that was planned first comes first."""

    _due: list[tuple[dt.datetime, int, str, Happening]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)

    def plan(self, when: dt.datetime, cause: str, happening: Happening) -> None:
        """Plan a change. `cause` is the operation that it belongs to."""
        heappush(self._due, (when, next(self._order), cause, happening))

    def forget(self, cause: str) -> None:
        """Drop the remaining changes of an operation."""
        self._due = sorted(it for it in self._due if it[2] != cause)

    def skip(self, cause: str, until: dt.datetime) -> None:
        """Drop the changes that an operation made until a moment, before the sandbox was restarted."""
        self._due = sorted(it for it in self._due if it[2] != cause or it[0] > until)

    @property
    def next(self) -> dt.datetime | None:
        """Return the time of the next change, or None if no change is planned."""
        return self._due[0][0] if self._due else None

    def settle(
        self, progress: dt.datetime, set_by_hand: dt.datetime | None = None, held: Callable[[], bool] = lambda: False
    ) -> None:
        """Apply the changes that are due at `progress`, each with its own time, or with the time `set_by_hand`.

        It stops while `held` returns True.
        """
        while self._due and self._due[0][0] <= progress and not held():
            when, _, _, happening = heappop(self._due)
            happening(set_by_hand or when)
