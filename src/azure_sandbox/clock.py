"""The sandbox's time: the machine's own, in which Azure's operations last as long as the pace says.

Tokens and certificates meet clients that read the machine's clock, so `now` is true time. What Azure takes minutes for
is divided by the pace, or waits until somebody moves it on by hand. This is the only module of the sandbox that reads a
clock.
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
    """UTC time and the pace of Azure's operations, in seconds of Azure per real second (`math.inf`: at once).

    `by_hand`: operations stand still, whatever the pace, until `advance` says that so much of Azure's time has passed.
    """

    def __init__(
        self, *, pace: float = DEFAULT_PACE, source: Callable[[], datetime] = _machine, by_hand: bool = False
    ) -> None:
        if not pace > 0:
            raise ValueError(f"pace {pace!r} is not a positive number (seconds of Azure per real second)")
        self.pace = 1.0 if by_hand else pace
        self.by_hand = by_hand
        self._source = source
        self._ahead = timedelta()
        self._started = source()

    @classmethod
    def instant(cls) -> Clock:
        """A clock under which every operation is over as soon as anybody looks."""
        return cls(pace=math.inf)

    @classmethod
    def at(cls, pace: str | float) -> Clock:
        """A clock of a pace by name (real, fast, instant, by-hand) or number; ValueError if it is neither."""
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
        """Real seconds per second of Azure."""
        return 1.0 / self.pace

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return self._source() if self.by_hand else self._source() + self._ahead

    def progress(self) -> datetime:
        """How far Azure's operations have come: `now`, unless they are moved by hand."""
        return self._started + self._ahead if self.by_hand else self.now()

    def real(self, seconds: float) -> timedelta:
        """How long so many seconds of Azure last here."""
        return timedelta(seconds=seconds * self.duration_scale)

    def after(self, seconds: float, *, since: datetime | None = None) -> datetime:
        """The moment at which so many seconds of Azure have passed since `since` (default: the present progress)."""
        return (since or self.progress()) + self.real(seconds)

    def advance(self, time: timedelta) -> None:
        """Move time forward, as a test does instead of waiting: all of it, or by hand only that of operations."""
        if time < timedelta():
            raise ValueError("time does not run backwards here")
        self._ahead += time
