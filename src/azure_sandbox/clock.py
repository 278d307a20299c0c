"""The sandbox's time: the machine's clock, and the pace at which Azure's operations progress.

Tokens and certificates meet clients that read the machine's clock, so `now` is real time. The length of an operation is
divided by the pace, or operations wait until `advance` is called. No other module of the sandbox reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

DEFAULT_PACE = 1000.0
BY_HAND = "by-hand"
PACES = {"real": 1.0, "fast": DEFAULT_PACE, "instant": math.inf}


def _machine() -> datetime:
    return datetime.now(UTC)


class Clock:
    """UTC time and the pace of Azure's operations, in seconds of Azure time per real second (`math.inf`: at once).

    With `by_hand`, operations only progress when `advance` is called, whatever the pace.
    """

    def __init__(
        self, *, pace: float = DEFAULT_PACE, source: Callable[[], datetime] = _machine, by_hand: bool = False
    ) -> None:
        if not pace > 0:
            raise ValueError(f"pace {pace!r} is not a positive number (seconds of Azure time per real second)")
        self.pace = 1.0 if by_hand else pace
        self.by_hand = by_hand
        self._source = source
        self._ahead = timedelta()
        self._advances: list[tuple[datetime, timedelta]] = []  # machine's time, and how far ahead the clock was then
        self._started = source()

    @classmethod
    def instant(cls) -> Clock:
        """Return a clock under which every operation has finished by the next read."""
        return cls(pace=math.inf)

    @classmethod
    def at(cls, pace: str | float) -> Clock:
        """Return a clock for a pace: real, fast, instant, by-hand, or a number. Raises ValueError for anything else."""
        if pace == BY_HAND:
            return cls(by_hand=True)
        if isinstance(pace, str) and pace not in PACES:
            try:
                return cls(pace=float(pace))
            except ValueError:
                names = ", ".join((*PACES, BY_HAND))
                raise ValueError(f"pace {pace!r} is neither a positive number nor one of {names}") from None
        return cls(pace=PACES[pace] if isinstance(pace, str) else pace)

    @property
    def duration_scale(self) -> float:
        """Return the real seconds that one second of Azure time takes."""
        return 1.0 / self.pace

    def now(self) -> datetime:
        """Return the present moment, timezone-aware, in UTC."""
        return self._source() if self.by_hand else self._source() + self._ahead

    def shown(self, machine: datetime) -> datetime:
        """Return what this clock showed when the machine's clock showed a moment."""
        if self.by_hand:
            return machine
        return machine + next((ahead for at, ahead in reversed(self._advances) if at <= machine), timedelta())

    def progress(self) -> datetime:
        """Return the moment up to which operations have progressed: `now`, except with `by_hand`."""
        return self._started + self._ahead if self.by_hand else self.now()

    def real(self, seconds: float) -> timedelta:
        """Return the real time that a number of seconds of Azure time takes."""
        return timedelta(seconds=seconds * self.duration_scale)

    def after(self, seconds: float, *, since: datetime | None = None) -> datetime:
        """Return the moment that many seconds of Azure time after `since` (default: the present progress)."""
        return (since or self.progress()) + self.real(seconds)

    def advance(self, time: timedelta) -> None:
        """Advance the clock; with `by_hand`, only operations progress. Raises ValueError for a negative time."""
        if time < timedelta():
            raise ValueError("the clock cannot be set back")
        self._ahead += time
        self._advances.append((self._source(), self._ahead))
