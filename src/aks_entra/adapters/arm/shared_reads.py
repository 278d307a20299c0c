"""Reads that are the same for many clusters: one request answers all that ask within a minute.

Locks, policy assignments, deny assignments and the activity log belong to a subscription, permissions to a resource
group. Each is read when the first cluster asks. Others that ask meanwhile wait for the same answer, and those that ask
soon after it get it too. A read that fails is not kept: it costs only the clusters that waited for it.

An answer is never older than a write of this process that could have changed it: `ForgetAfterWrites` sees every request
to ARM, and a write ends what is kept of its kind.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar, cast

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

_T = TypeVar("_T")

FRESH: Final = 60.0
"""Seconds since the begin of a read for which its answer serves others.

The clusters that a batch closes at the same time ask the same just before their writes. Azure itself needs longer until
a new role or policy assignment counts: up to 10 and about 5 minutes (sources: "Troubleshoot Azure RBAC" and "Get
compliance data of Azure resources").
"""

MANY: Final = 20
"""The number of clusters in listed resource groups from which on a session is about many clusters of a subscription.

A list of the whole subscription then costs less than a request for each of them.
"""

_OPERATIONS: Final = re.compile(r"/providers/microsoft\.containerservice/locations/[^/]+/operation", re.IGNORECASE)
_ONLY_ASKS: Final = re.compile(
    r"/(checkpolicyrestrictions|listclusterusercredential|microsoft\.resourcegraph/resources)$", re.IGNORECASE
)
_HANDS_OUT: Final = re.compile("/listclusteradmincredential$", re.IGNORECASE)


class ChangedBy(Enum):
    """Which requests of this process can change what a read shows."""

    AUTHORIZATION = re.compile(r"/providers/microsoft\.authorization/", re.IGNORECASE)
    """Locks, permissions and assignments of roles, policies and denials."""
    CLUSTERS = re.compile(r"/providers/microsoft\.containerservice/", re.IGNORECASE)
    """Clusters and what AKS makes for them, also while an operation runs."""
    EVERY_WRITE = re.compile("")
    """The activity log."""


@dataclass(frozen=True, slots=True)
class _Read:
    began: float
    answer: asyncio.Task[Any]

    def serves(self, now: float) -> bool:
        lost = self.answer.done() and (self.answer.cancelled() or self.answer.exception() is not None)
        return not lost and now - self.began < FRESH


class SharedReads:
    """The shared reads of one session. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reads: dict[tuple[ChangedBy, str], _Read] = {}
        self._listed: dict[str, int] = {}
        self.too_long: set[str] = set()
        """The reads that would take more requests than they save. They are not tried again."""
        self.wrote_clusters = False
        """Whether this session sent a write to a cluster. Then a list of clusters would not be kept for long."""

    async def once(self, changed_by: ChangedBy, what: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `call` returned for the first that asked. `what` names the read, and ignores case.

        A caller that is cancelled does not cancel the read of the others.
        """
        key, now = (changed_by, what.casefold()), self._clock()
        read = self._reads.get(key)
        if read is None or not read.serves(now):
            read = _Read(began=now, answer=asyncio.ensure_future(_awaited(call)))
            read.answer.add_done_callback(_heard)
            self._reads[key] = read
        return cast("_T", await asyncio.shield(read.answer))

    def asked(self, method: str, path: str) -> None:
        """Forget what a request may have changed, before it is sent and when it was answered."""
        reads = method in {"GET", "HEAD"}
        ended = _OPERATIONS.search(path)  # it may have ended since it was looked at last
        if (reads and not ended) or (not reads and _ONLY_ASKS.search(path)):
            return
        changed = {one for one in ChangedBy if one.value.search(path)}
        if _HANDS_OUT.search(path):  # it changes no cluster, but the log has it
            changed = {ChangedBy.EVERY_WRITE}
        self.wrote_clusters = self.wrote_clusters or ChangedBy.CLUSTERS in changed
        self._reads = {key: read for key, read in self._reads.items() if key[0] not in changed}

    def listed(self, scope: str, clusters: int = 0) -> None:
        """Record that the clusters of a scope were listed, and how many there are."""
        self._listed[scope.casefold()] = clusters

    def widest(self, *scopes: str) -> str | None:
        """Return the first of the scopes whose clusters were listed. None if none of them was."""
        return next((scope for scope in scopes if scope.casefold() in self._listed), None)

    def about_many(self, subscription: str) -> bool:
        """Whether this session listed all clusters of a subscription (`/subscriptions/…`), or many in its groups."""
        key = subscription.casefold()
        inside = sum(number for scope, number in self._listed.items() if scope.startswith(f"{key}/"))
        return key in self._listed or inside >= MANY

    async def close(self) -> None:
        """End the reads that nobody waits for any more."""
        running = [read.answer for read in self._reads.values() if not read.answer.done()]
        for answer in running:
            answer.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._reads.clear()


async def _awaited(call: Callable[[], Awaitable[_T]]) -> _T:
    return await call()


def _heard(answer: asyncio.Task[Any]) -> None:
    """Take the error of a read, also if all that waited for it were cancelled."""
    if not answer.cancelled():
        answer.exception()


class ForgetAfterWrites(AsyncHTTPPolicy[Any, Any]):
    """A policy for Azure's SDKs that ends what is kept of a kind when a request may change it."""

    def __init__(self, shared: SharedReads) -> None:
        super().__init__()
        self._shared = shared

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Send the request. A read that began while a write was on its way may show what was before it."""
        http = request.http_request
        path = re.sub(r"^https?://[^/]+|\?.*$", "", http.url)
        self._shared.asked(http.method, path)
        try:
            return await self.next.send(request)
        finally:
            self._shared.asked(http.method, path)
