"""The sandbox's time: the machine's own, in which Azure's operations last as long as the pace says.

Tokens and certificates meet clients that read the machine's clock, so `now` is true time. What Azure takes minutes for
is divided by the pace. This is the only module of the sandbox that reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

DEFAULT_PACE = 1000.0


def _machine() -> datetime:
    return datetime.now(UTC)


class Clock:
    """UTC time and the pace of Azure's operations, in seconds of Azure per real second (`math.inf`: at once)."""

    def __init__(self, *, pace: float = DEFAULT_PACE, source: Callable[[], datetime] = _machine) -> None:
        if not pace > 0:
            raise ValueError(f"pace {pace!r} is not a positive number (seconds of Azure per real second)")
        self.pace = pace
        self._source = source
        self._ahead = timedelta()

    @classmethod
    def instant(cls) -> Clock:
        """A clock under which every operation is over as soon as anybody looks."""
        return cls(pace=math.inf)

    @property
    def duration_scale(self) -> float:
        """Real seconds per second of Azure."""
        return 1.0 / self.pace

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return self._source() + self._ahead

    def real(self, seconds: float) -> timedelta:
        """How long so many seconds of Azure last here."""
        return timedelta(seconds=seconds * self.duration_scale)

    def after(self, seconds: float, *, since: datetime | None = None) -> datetime:
        """The moment at which so many seconds of Azure have passed since `since` (default: now)."""
        return (since or self.now()) + self.real(seconds)

    def advance(self, time: timedelta) -> None:
        """Move the clock forward, as a test does instead of waiting."""
        if time < timedelta():
            raise ValueError("time does not run backwards here")
        self._ahead += time
