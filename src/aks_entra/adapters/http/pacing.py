"""Keeps requests below Azure's published limits, with one token bucket for each limit.

The first plan of a fleet needs more requests than Azure allows a subscription at once. If Azure refused them, all would
be repeated in the same second, so requests wait here before they are sent. If Azure still answers 429 because somebody
else uses the limit too, the bucket stays empty as long as Azure asks. A fifth of each limit is left to others.
`core.estimate.limits` has the limits and their sources.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

from aks_entra.adapters.http.failures import retry_after
from aks_entra.adapters.http.retry_after import say
from aks_entra.core.estimate.limits import SHARE, Key, Limit, limits_of

_THROTTLED: Final = 429


@dataclass(slots=True)
class Bucket:
    """A token bucket: `burst` requests at once, and `rate` more each second."""

    burst: float
    rate: float
    _full_at: float = field(default=0.0)  # the clock's time at which the bucket is full again

    def turn(self, now: float) -> float:
        """Take a token, now or as soon as one is there. Returns the seconds to wait for it."""
        start = max(now, self._full_at - (self.burst - 1) / self.rate)
        self._full_at = max(start, self._full_at) + 1 / self.rate
        return start - now

    def empty(self, now: float, wait: float) -> None:
        """Keep the bucket empty for `wait` seconds, because Azure asked for it."""
        self._full_at = max(self._full_at, now + wait + (self.burst - 1) / self.rate)


class Buckets:
    """The buckets of one process. `scale` multiplies the published rates, for a subscription with higher limits."""

    def __init__(self, scale: float, clock: Callable[[], float]) -> None:
        self._scale = scale
        self.clock = clock
        self._buckets: dict[tuple[str, ...], Bucket] = {}

    def of(self, method: str, path: str) -> tuple[Bucket, ...]:
        """Return the buckets of a request: first ARM's, then that of AKS if the request is for AKS."""
        return tuple(self._bucket(key, limit) for key, limit in limits_of(method, path))

    def _bucket(self, key: Key, limit: Limit) -> Bucket:
        if key not in self._buckets:
            self._buckets[key] = Bucket(limit.burst * SHARE, limit.rate * SHARE * self._scale)
        return self._buckets[key]


class PacingPolicy(AsyncHTTPPolicy[Any, Any]):
    """A policy for Azure's SDKs that delays each request until its buckets have a token."""

    def __init__(self, buckets: Buckets) -> None:
        super().__init__()
        self._buckets = buckets

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Wait for a token, send the request, and empty the bucket after a 429."""
        http = request.http_request
        path = re.sub(r"^https?://[^/]+|\?.*$", "", http.url)
        buckets = self._buckets.of(http.method, path)
        now = self._buckets.clock()
        wait = max(bucket.turn(now) for bucket in buckets)
        if wait > 0:
            say("requests of this process wait, so that Azure does not throttle them", wait)
            await asyncio.sleep(wait)
        response = await self.next.send(request)
        if response.http_response.status_code == _THROTTLED:
            headers = response.http_response.headers
            refused = buckets[0] if headers.get("x-ms-failure-cause") == "gateway" else buckets[-1]
            refused.empty(self._buckets.clock(), retry_after(headers, 1.0))
        return response
