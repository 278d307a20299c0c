"""When the clusters of a stage begin and end: as many at the same time as the stage allows, in its order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from aks_entra.core.estimate.limits import Limit, Tokens


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the work on a cluster: the requests that it sends first, and the seconds that follow them."""

    seconds: float
    requests: Mapping[Limit, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slot:
    """A cluster that waits for its turn, or is at work already.

    `subscription` counts against `max_concurrency_per_subscription`, and has the buckets of the requests. `opens`
    returns when the cluster may begin, in seconds, at a moment or later; None: its window never opens.
    """

    parts: Sequence[Part]
    subscription: str = ""
    running: bool = False
    opens: Callable[[float], float | None] = lambda at: at


class Buckets:
    """Azure's buckets of each subscription, in a model of time. `rate` is the setting `request_rate`."""

    def __init__(self, rate: float = 1.0) -> None:
        self._rate = rate
        self.tokens: dict[tuple[Limit, str], Tokens] = {}

    def sent(self, requests: Mapping[Limit, int], subscription: str, now: float) -> float:
        """Return when the last of some requests is sent that are ready now."""
        at = now
        for limit, number in requests.items():
            key = (limit, subscription)
            if key not in self.tokens:
                self.tokens[key] = Tokens(limit, self._rate)
            at = max(at, self.tokens[key].take(now, number))
        return at

    @property
    def slowest(self) -> Limit | None:
        """The limit for which requests waited most. None if there was no request."""
        waited: dict[Limit, float] = {}
        for (limit, _), tokens in self.tokens.items():
            waited[limit] = waited.get(limit, 0.0) + tokens.waited
        return max(waited, key=lambda limit: waited[limit], default=None)


def ends_at(
    slots: Sequence[Slot],
    *,
    begins: float,
    at_once: int,
    per_subscription: int | None = None,
    buckets: Buckets | None = None,
) -> float | None:
    """Return when the last cluster ends, in seconds. Returns None if a window never opens.

    The next free place goes to the first waiting cluster whose subscription has one left. Without `buckets` no request
    waits.
    """
    each = per_subscription or at_once
    waiting: dict[str, deque[Slot]] = {}
    due: list[tuple[float, int, Slot, int]] = []  # when which part of a cluster begins; the number keeps the order
    used: dict[str, int] = {}
    taken = count = 0
    for one in slots:
        key = one.subscription if per_subscription else ""
        if one.running:
            used[key] = used.get(key, 0) + 1
            taken, count = taken + 1, count + 1
            heappush(due, (begins, count, one, 0))
        else:
            waiting.setdefault(key, deque()).append(one)
    ready = deque(key for key in waiting if used.get(key, 0) < each)
    now = begins
    while ready or due:
        while ready and taken < at_once:
            key = ready[0]
            one = waiting[key].popleft()
            at = one.opens(now)
            if at is None:
                return None
            used[key] = used.get(key, 0) + 1
            taken, count = taken + 1, count + 1
            heappush(due, (at, count, one, 0))
            if used[key] >= each or not waiting[key]:
                ready.popleft()
        now, _, one, place = heappop(due)
        if place < len(one.parts):
            part = one.parts[place]
            sent = buckets.sent(part.requests, one.subscription, now) if buckets else now
            count += 1
            heappush(due, (sent + part.seconds, count, one, place + 1))
            continue
        key = one.subscription if per_subscription else ""
        taken -= 1
        used[key] -= 1
        if waiting.get(key) and key not in ready:
            ready.append(key)
    return now
