"""How processes divide one of Azure's buckets among themselves, by statements that each of them writes and reads.

A process states which part of a bucket it uses. It uses a larger part only after it has stated it and has then read
that all statements together are no more than the whole. Of two processes that grow at the same time, the one whose
statement was written last reads the other's. So the parts in use are never more than the whole, whatever the order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

RENEWED_EVERY: Final = 15.0
"""Seconds between two statements of a process that sends requests."""
LEASE: Final = 3 * RENEWED_EVERY
"""Seconds after which the part of a process without a new statement is free: it has died."""
JOINING: Final = 0.125
"""What all processes may use together, beyond the whole, until the others have made room for them."""
_EXACT: Final = 1e-3  # statements are rounded to four digits


@dataclass(frozen=True, slots=True)
class Use:
    """What a process states about a bucket."""

    claim: float
    """The part of the bucket that the process may use, from 0 to 1."""
    missing: float = 0.0
    """Tokens that it took and that have not come back."""
    blocked: float = 0.0
    """Seconds for which Azure asked it to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The statement of a process about its buckets. `age`: seconds since it was written, by the server's clock."""

    process: str
    age: float
    left: bool
    uses: Mapping[str, Use]


@dataclass(slots=True)
class Claim:
    """The part of one bucket that this process has: `in_use`, as it was `stated`, and what to state `next`."""

    in_use: float = 0.0
    stated: float = 0.0
    next: float = 1.0
    sharers: int = 1

    def state(self) -> float:
        """Return what to state now."""
        self.stated = self.next
        return self.stated

    def hear(self, others: Iterable[float]) -> bool:
        """Take notice of the claims of the other processes that use the bucket, as read after the own statement.

        Returns:
            Whether to state something again soon: the part changes, or this process has none yet.
        """
        claims = tuple(others)
        taken = sum(claims)
        self.sharers = len(claims) + 1
        fair = 1 / self.sharers
        if self.stated > self.in_use and self.stated + taken <= 1 + _EXACT:
            self.in_use = self.stated
        self.in_use = min(self.in_use, fair)
        self.next = max(self.in_use, min(fair, max(0.0, 1 - taken)))
        return self.in_use <= 0 or abs(self.next - self.stated) > _EXACT

    @property
    def rate(self) -> float:
        """Return the part to use now. A process that has none yet uses a small one.

        The n-th process that joins sees at least n statements, and the sum of 1/(n·(n-1)) from 2 on is at most 1.
        """
        return self.in_use or (JOINING / (self.sharers * (self.sharers - 1)) if self.sharers > 1 else 0.0)


@dataclass(slots=True)
class Listener:
    """Which of the others live. A statement that is not renewed counts until its lease ends."""

    _heard_at: float = -float("inf")
    _back_at: float = -float("inf")
    _live: frozenset[str] = field(default=frozenset())

    def live(self, statements: Iterable[Statement], now: float) -> tuple[Statement, ...]:
        """Return the statements of processes that live.

        While the server was away nobody could renew. After that, those that lived before have time to do so.
        """
        if now - self._heard_at > LEASE:
            self._back_at = now
        waits = now - self._back_at < 2 * RENEWED_EVERY
        found = tuple(
            one for one in statements if not one.left and (one.age < LEASE or (waits and one.process in self._live))
        )
        self._heard_at, self._live = now, frozenset(one.process for one in found)
        return found


def debt(
    key: str, burst: float, rate: float, ended: Iterable[Statement], *, own: tuple[float, float] = (0.0, 0.0)
) -> float:
    """Return the tokens of a bucket that processes took before they ended, and that have not come back yet.

    A process that died may have emptied the bucket until its next statement was due. Azure brings back `rate` tokens
    each second for all of them together. `own`: what this process itself gave back, and how many seconds ago.
    """
    taken = [own] + [
        (one.uses[key].missing, one.age) if one.left else (burst, one.age - RENEWED_EVERY)
        for one in ended
        if key in one.uses
    ]
    owed, before = 0.0, math.inf
    for missing, age in sorted(taken, key=lambda one: -one[1]):
        owed = max(0.0, owed - rate * (before - age)) + missing
        before = age
    return max(0.0, owed - rate * before)
