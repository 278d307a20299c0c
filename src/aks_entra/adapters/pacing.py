"""Asking Azure no faster than it answers: its published token buckets, kept on this side, one request after the other.

A first plan of a fleet asks more at once than a subscription's bucket holds. Refused, all would come back in the same
second; so requests wait for their turn here, before they are sent. A 429 all the same (somebody else drinks from the
bucket) empties ours for as long as Azure says. Sources: "Understand how Azure Resource Manager throttles requests" and
"Quotas, SKUs and region availability in AKS"; a fifth of each bucket is left to others.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

from aks_entra.adapters.failures import retry_after

SHARE: Final = 0.8
_THROTTLED: Final = 429
_NAME: Final = r"[^/]+"
_SUBSCRIPTION: Final = rf"/subscriptions/{_NAME}"
_GROUP: Final = rf"{_SUBSCRIPTION}/resourcegroups/{_NAME}"
_CLUSTERS: Final = r"/providers/microsoft\.containerservice/managedclusters"
_ARM: Final = {"GET": (250.0, 25.0), "HEAD": (250.0, 25.0)}
_ARM_WRITES: Final = (200.0, 10.0)
_AKS: Final = tuple(
    (method, re.compile(path), limit)
    for method, path, limit in (
        ("GET", f"({_SUBSCRIPTION}){_CLUSTERS}", (500.0, 1.0)),
        ("GET", f"({_GROUP}){_CLUSTERS}", (60.0, 1.0)),
        ("GET", f"({_GROUP}{_CLUSTERS}/{_NAME})", (60.0, 1.0)),
        ("PUT", f"({_GROUP}{_CLUSTERS}/{_NAME})", (20.0, 1 / 60)),
        (
            "GET",
            f"({_SUBSCRIPTION})/providers/microsoft\\.containerservice/locations/{_NAME}/operations/{_NAME}",
            (200.0, 2.0),
        ),
    )
)
_AKS_REST: Final = (60.0, 1.0)


@dataclass(slots=True)
class Bucket:
    """`burst` requests at once, `rate` more a second: when the next one may go."""

    burst: float
    rate: float
    _full_at: float = field(default=0.0)  # when the bucket would be full again

    def turn(self, now: float) -> float:
        """Take one out, now or as soon as there is one; returns how many seconds to wait for it."""
        start = max(now, self._full_at - (self.burst - 1) / self.rate)
        self._full_at = max(start, self._full_at) + 1 / self.rate
        return start - now

    def empty(self, now: float, wait: float) -> None:
        """It is empty for so many seconds, says Azure."""
        self._full_at = max(self._full_at, now + wait + (self.burst - 1) / self.rate)


class Buckets:
    """The buckets of one process. `scale`: how much more than the published rates Azure grants here."""

    def __init__(self, scale: float, clock: Callable[[], float]) -> None:
        self._scale = scale
        self.clock = clock
        self._buckets: dict[tuple[str, ...], Bucket] = {}

    def of(self, method: str, path: str) -> tuple[Bucket, ...]:
        """The buckets that a request drinks from: of ARM's front door, and of AKS behind it."""
        path = path.rstrip("/").lower()
        subscription = (re.match(_SUBSCRIPTION, path) or [""])[0]
        front = self._bucket(
            ("arm", "read" if method in _ARM else "write", subscription), _ARM.get(method, _ARM_WRITES)
        )
        if "/providers/microsoft.containerservice" not in path:
            return (front,)
        for its, pattern, limit in _AKS:
            if its == method and (found := pattern.fullmatch(path)):
                return front, self._bucket(("aks", method, pattern.pattern, found[1]), limit)
        return front, self._bucket(("aks", subscription), _AKS_REST)

    def _bucket(self, key: tuple[str, ...], limit: tuple[float, float]) -> Bucket:
        if key not in self._buckets:
            burst, rate = limit
            self._buckets[key] = Bucket(burst * SHARE, rate * SHARE * self._scale)
        return self._buckets[key]


class InTurn(AsyncHTTPPolicy[Any, Any]):
    """For Azure's SDKs: a request waits for its turn."""

    def __init__(self, buckets: Buckets) -> None:
        super().__init__()
        self._buckets = buckets

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Wait, send, and believe a 429."""
        http = request.http_request
        path = re.sub(r"^https?://[^/]+|\?.*$", "", http.url)
        buckets = self._buckets.of(http.method, path)
        now = self._buckets.clock()
        wait = max(bucket.turn(now) for bucket in buckets)
        if wait > 0:
            await asyncio.sleep(wait)
        response = await self.next.send(request)
        if response.http_response.status_code == _THROTTLED:
            headers = response.http_response.headers
            refused = buckets[0] if headers.get("x-ms-failure-cause") == "gateway" else buckets[-1]
            refused.empty(self._buckets.clock(), retry_after(headers, 1.0))
        return response
