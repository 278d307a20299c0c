"""What will happen to one cluster and when. Nothing runs in the background: whoever looks, settles what is due."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

Happening = Callable[[dt.datetime], None]


@dataclass(slots=True)
class Timeline:
    """Happenings in order of time; of two at the same moment, the one that was planned first."""

    _due: list[tuple[dt.datetime, int, str, Happening]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)

    def plan(self, when: dt.datetime, cause: str, happening: Happening) -> None:
        """Let something happen; `cause` is the operation that it belongs to."""
        heappush(self._due, (when, next(self._order), cause, happening))

    def forget(self, cause: str) -> None:
        """Drop what an operation has not done yet."""
        self._due = sorted(it for it in self._due if it[2] != cause)

    def skip(self, cause: str, until: dt.datetime) -> None:
        """Drop what an operation had done by a moment, in an earlier life of the sandbox."""
        self._due = sorted(it for it in self._due if it[2] != cause or it[0] > until)

    @property
    def next(self) -> dt.datetime | None:
        """When the next thing is due."""
        return self._due[0][0] if self._due else None

    def settle(
        self, progress: dt.datetime, told: dt.datetime | None = None, held: Callable[[], bool] = lambda: False
    ) -> None:
        """Let everything happen that is due, each at its own time, or at the time `told` if that is another one.

        While `held` says so, nothing more happens.
        """
        while self._due and self._due[0][0] <= progress and not held():
            when, _, _, happening = heappop(self._due)
            happening(told or when)
