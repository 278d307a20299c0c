"""Keeps requests below Azure's published limits, with one token bucket for each limit.

The first plan of a fleet needs more requests than Azure allows a subscription at once. If Azure refused them, all would
be repeated in the same second, so requests wait here before they are sent. If Azure still answers 429 because somebody
else uses the limit too, the bucket stays empty as long as Azure asks. A fifth of each limit is left to others.
`core.estimate.limits` has the limits and their sources.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any, Final

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

from aks_entra.adapters.http.failures import retry_after
from aks_entra.adapters.http.retry_after import say
from aks_entra.adapters.http.shares import Claim, Listener, Statement, Use, debt
from aks_entra.adapters.http.token_bucket import TokenBucket
from aks_entra.core.estimate.limits import AKS_CLUSTER_READS, AKS_CLUSTER_WRITES, SHARE, Key, Limit, limits_of

IDLE: Final = 60.0
"""Seconds after the last request of a bucket until this process gives back its part."""
_OF_A_CLUSTER: Final = frozenset({AKS_CLUSTER_READS, AKS_CLUSTER_WRITES})
_THROTTLED: Final = 429
_REMAINING: Final = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}
_KEY_BYTES: Final = 4


class Line:
    """A bucket, and the requests that wait for it in the order in which they came.

    `shared`: other processes use it too, so that this process has a part of it only after it has heard of them.
    """

    def __init__(self, bucket: TokenBucket, *, shared: bool) -> None:
        self.bucket = bucket
        self.shared = shared
        self.claim = Claim()
        self.begun = not shared  # whether this process has a part of the bucket
        self.used_at = -math.inf
        self.owed = (0.0, 0.0)  # tokens that were missing when this process last gave back its part, and when that was
        self.order = asyncio.Lock()
        self.waiting = 0
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Let the first waiting request look again: an answer came, or the part of this process changed."""
        self._changed.set()

    async def token(self, clock: Callable[[], float]) -> None:
        """Wait until the bucket has a token. The caller is the first of the waiting requests."""
        while (wait := self.bucket.wait(clock())) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(wait) else wait):
                    await self._changed.wait()

    def expected(self, now: float) -> float:
        """Return about how many seconds a request waits that comes now. 0 while this process has no part yet."""
        wait = self.bucket.wait(now)
        return 0.0 if math.isinf(wait) else wait + self.waiting / (self.bucket.rate * self.bucket.share)

    def begin(self, now: float, ended: Iterable[Statement], key: str) -> None:
        """Take the part that the claim allows: an empty one, or as full as Azure's must be if nobody else uses it."""
        bucket = self.bucket
        bucket.resize(now, self.claim.rate)
        missing, since = self.owed
        if self.claim.sharers > 1:
            level = min(0.0, bucket.burst * bucket.share - max(0.0, missing - bucket.rate * (now - since)))
        else:
            owed = debt(key, bucket.burst, bucket.rate, ended, own=(missing, now - since))
            level = bucket.burst * bucket.share - owed
        bucket.fill(now, level)
        self.begun = True

    def leave(self, now: float) -> float:
        """Give back the part. Returns the tokens that are missing from the bucket."""
        missing = self.bucket.missing(now) if self.begun else 0.0
        self.owed = (missing, now)
        self.claim = Claim()
        self.begun = False
        self.bucket.resize(now, 0.0)
        return missing


class Buckets:
    """The buckets of one process. `scale` multiplies the published rates, for a subscription with higher limits.

    With `shared`, requests wait until `hear` says who else uses their buckets, or `go_on` that nobody can say it now.
    """

    def __init__(self, scale: float, clock: Callable[[], float] = time.monotonic, *, shared: bool = False) -> None:
        self.clock = clock
        self.touched = asyncio.Event()  # a bucket is used that this process has not stated yet
        self._scale = scale
        self._shared = shared
        self._lines: dict[Key, Line] = {}
        self._of_all: dict[str, Line] = {}  # the shared ones, each with the name that all processes give it
        self._listener = Listener()

    def of(self, method: str, path: str) -> tuple[Line, ...]:
        """Return the buckets of a request: first ARM's, then that of AKS if the request is for AKS."""
        return tuple(self._line(key, limit) for key, limit in limits_of(method, path))

    @asynccontextmanager
    async def turn(self, method: str, path: str) -> AsyncIterator[tuple[Line, ...]]:
        """Wait for a token in each bucket of a request. The tokens stay in flight until the context ends."""
        lines = self.of(method, path)
        now = self.clock()
        for line in lines:
            line.used_at = now
            if not line.begun:
                self.touched.set()
        if any(line.order.locked() or line.bucket.wait(now) > 0 for line in lines):
            expected = max(line.expected(now) for line in lines)
            say("requests of this process wait, so that Azure does not throttle them", expected)
            await self._wait(lines)
        else:
            self._take(lines)
        try:
            yield lines
        finally:
            now = self.clock()
            for line in lines:
                line.used_at = now
                line.bucket.answered(now)
                line.changed()

    async def _wait(self, lines: tuple[Line, ...]) -> None:
        """Wait in each line. The narrower one comes first, so that nobody else waits for its next token meanwhile."""
        front, narrow = lines[0], lines[-1]
        own: AbstractAsyncContextManager[Any] = nullcontext() if narrow is front else narrow.order
        for line in lines:
            line.waiting += 1
        try:
            async with own:
                await narrow.token(self.clock)
                async with front.order:
                    while any(line.bucket.wait(self.clock()) > 0 for line in lines):
                        for line in lines:
                            await line.token(self.clock)
                    self._take(lines)
        finally:
            for line in lines:
                line.waiting -= 1

    def _take(self, lines: tuple[Line, ...]) -> None:
        now = self.clock()
        for line in lines:
            line.bucket.take(now)

    def state(self) -> dict[str, Use]:
        """Return what this process states now: each shared bucket that it uses. It gives back what it does not use."""
        now = self.clock()
        found = {}
        for key, line in self._of_all.items():
            busy = line.waiting or line.bucket.in_flight
            if busy or now - line.used_at < IDLE:
                missing = line.bucket.missing(now) if line.begun else 0.0
                found[key] = Use(line.claim.state(), missing, line.bucket.blocked(now))
            elif line.begun:
                line.leave(now)
        return found

    def hear(self, own: Mapping[str, Use], statements: Iterable[Statement]) -> bool:
        """Take the part of each bucket that the others leave. `own`: what was stated before their statements were read.

        Returns:
            Whether to state and read again soon.
        """
        now = self.clock()
        everybody = tuple(statements)
        live = self._listener.live(everybody, now)
        ended = tuple(one for one in everybody if one not in live)
        soon = False
        for key in own:
            line = self._of_all[key]
            soon |= line.claim.hear(one.uses[key].claim for one in live if key in one.uses)
            if not line.begun:
                line.begin(now, ended, key)
            elif line.claim.rate != line.bucket.share:
                line.bucket.resize(now, line.claim.rate)
            for one in everybody:
                if key in one.uses and (left := one.uses[key].blocked - one.age) > line.bucket.blocked(now):
                    line.bucket.block(now, left)
            line.changed()
        return soon

    def go_on(self, *, alone: bool) -> None:
        """Go on without the others, who cannot be asked: where this process has no part yet, with a small one.

        `alone`: this lasts so long that it takes the same part as of the other buckets, or all if it has none.
        """
        now = self.clock()
        known = min((line.claim.in_use for line in self._of_all.values() if line.claim.in_use > 0), default=1.0)
        for key, line in self._of_all.items():
            claim = line.claim
            if claim.in_use > 0:
                continue
            if alone:
                claim.in_use = claim.next = known
            claim.sharers = max(2, claim.sharers)
            if not line.begun:
                line.begin(now, (), key)
            line.bucket.resize(now, claim.rate)
            line.changed()

    def leave(self) -> dict[str, Use]:
        """Give back every part. Returns what is still missing from each bucket."""
        now = self.clock()
        found = {}
        for key, line in self._of_all.items():
            blocked = line.bucket.blocked(now)
            missing = line.leave(now)
            if missing >= 1 or blocked > 0:
                found[key] = Use(0.0, missing, blocked)
        return found

    def _line(self, key: Key, limit: Limit) -> Line:
        if key not in self._lines:
            shared = self._shared and limit not in _OF_A_CLUSTER  # one process works on a cluster
            bucket = TokenBucket(
                limit.burst * SHARE, limit.rate * SHARE * self._scale, now=self.clock(), share=0.0 if shared else 1.0
            )
            self._lines[key] = Line(bucket, shared=shared)
            if shared:
                name = hashlib.blake2s("\n".join(key).encode(), digest_size=_KEY_BYTES).hexdigest()
                self._of_all[name] = self._lines[key]
        return self._lines[key]


class PacingPolicy(AsyncHTTPPolicy[Any, Any]):
    """A policy for Azure's SDKs that delays each request until its buckets have a token."""

    def __init__(self, buckets: Buckets) -> None:
        super().__init__()
        self._buckets = buckets

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Wait for a token, send the request, and empty the bucket after a 429."""
        http = request.http_request
        path = re.sub(r"^https?://[^/]+|\?.*$", "", http.url)
        async with self._buckets.turn(http.method, path) as lines:
            response = await self.next.send(request)
            headers = response.http_response.headers
            now = self._buckets.clock()
            lines[0].bucket.know(now, _remaining(http.method, headers))
            if response.http_response.status_code == _THROTTLED:
                refused = lines[0] if headers.get("x-ms-failure-cause") == "gateway" else lines[-1]
                refused.bucket.block(now, retry_after(headers, 1.0))
        return response


def _remaining(method: str, headers: Mapping[str, str]) -> float:
    """Return how many requests ARM says that the caller has left. `math.inf`: it does not say it."""
    kind = _REMAINING.get(method, "writes")
    said = (headers.get(f"x-ms-ratelimit-remaining-{scope}-{kind}", "") for scope in ("subscription", "tenant"))
    return min((float(one) for one in said if one.isdecimal()), default=math.inf)
