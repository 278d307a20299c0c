"""When the clusters of a stage begin and end: as many at the same time as the stage allows, in its order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class Slot:
    """A cluster that waits for its turn, or is at work already.

    `subscription` counts against `max_concurrency_per_subscription`. `opens` returns when the cluster may begin, in
    seconds, at a moment or later; None: its window never opens.
    """

    seconds: float
    subscription: str = ""
    running: bool = False
    opens: Callable[[float], float | None] = lambda at: at


def ends_at(slots: Sequence[Slot], *, begins: float, at_once: int, per_subscription: int | None = None) -> float | None:
    """Return when the last cluster ends, in seconds. Returns None if a window never opens.

    The next free place goes to the first waiting cluster whose subscription has one left.
    """
    each = per_subscription or at_once
    waiting: dict[str, deque[Slot]] = {}
    ends: list[tuple[float, str]] = []
    used: dict[str, int] = {}
    for one in slots:
        key = one.subscription if per_subscription else ""
        if one.running:
            used[key] = used.get(key, 0) + 1
            heappush(ends, (begins + one.seconds, key))
        else:
            waiting.setdefault(key, deque()).append(one)
    ready = deque(key for key in waiting if used.get(key, 0) < each)
    now = begins
    while ready or ends:
        while ready and len(ends) < at_once:
            key = ready[0]
            one = waiting[key].popleft()
            at = one.opens(now)
            if at is None:
                return None
            heappush(ends, (at + one.seconds, key))
            used[key] = used.get(key, 0) + 1
            if used[key] >= each or not waiting[key]:
                ready.popleft()
        now, key = heappop(ends)
        used[key] -= 1
        if waiting.get(key) and key not in ready:
            ready.append(key)
    return now
