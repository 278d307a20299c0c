"""How many clusters of a stage are worked on at a time, and how many have failed, also across several processes.

One process counts both in memory. With several batches, places are slots of concurrency limits at Prefect's server, and
each failure is noted there. A place spares Azure; it is no lock. A cluster that loses its place continues.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.rollout import Stage
from aks_entra.prefect_client import artifacts, leases
from aks_entra.prefect_client.names import coordinator_tag, hexadecimal, key, short, slug, stage_key

ASKED_EVERY: Final = 2.0


class ConcurrencySlots:
    """Where a cluster waits for its turn."""

    def __init__(self, digest: str, stage: Stage) -> None:
        self._digest = digest
        self._stage = stage
        self._shared = len(stage.batches) > 1
        per = stage.max_concurrency_per_subscription or stage.max_concurrency
        self._here = asyncio.Semaphore(stage.max_concurrency)
        self._of: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(per))
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def of(self, cluster: ClusterId) -> AsyncIterator[None]:
        """Wait for a place, and keep it until the cluster is done."""
        subscription = cluster.subscription_id.lower()
        async with self._of[subscription], self._here:
            if not self._shared:
                yield
                return
            async with get_client() as client, self._slots(client, cluster):
                yield

    @asynccontextmanager
    async def _slots(self, client: PrefectClient, cluster: ClusterId) -> AsyncIterator[None]:
        """Take a slot of the stage and one of the subscription together: waiting for one never holds the other."""
        wanted = limits_of(self._digest, self._stage, cluster)
        async with self._asking[cluster.subscription_id.lower()]:  # one cluster of a process asks at a time
            await leases.ensure_limits(client, wanted)
            lease = await leases.acquire(client, list(wanted), patience=math.inf, every=ASKED_EVERY)
        if lease is None:
            raise AssertionError  # pragma: no cover - it waits without end
        async with leases.held(client, lease, f"a place for {cluster}", vital=False):
            yield


def limits_of(digest: str, stage: Stage, cluster: ClusterId) -> dict[str, int]:
    """Return the concurrency limits that a cluster needs a slot of, with their numbers of slots."""
    name = f"{short(digest)} {stage_key(stage.name)}"
    found = {f"aks-entra stage {name}": stage.max_concurrency}
    if stage.max_concurrency_per_subscription:
        subscription = cluster.subscription_id.lower()
        found[f"aks-entra stage {name} {subscription}"] = stage.max_concurrency_per_subscription
    return found


async def delete_limits(digest: str, stage: Stage) -> None:
    """Delete the concurrency limits of a stage that ended."""
    wanted = {name for cluster in stage.members for name in limits_of(digest, stage, cluster)}
    async with get_client() as client:
        for name in sorted(wanted) if len(stage.batches) > 1 else ():
            with contextlib.suppress(ObjectNotFound, httpx.HTTPStatusError):  # never created, or deleted already
                await client.delete_global_concurrency_limit_by_name(name)


class Failures:
    """Counts the clusters of a stage that failed under one coordinator, in all processes. None: started by hand."""

    def __init__(self, digest: str, stage: Stage, *, coordinator: str | None) -> None:
        self._here: set[str] = set()
        self._prefix = ""
        if coordinator and len(stage.batches) > 1:
            self._prefix = key("failed", hexadecimal(digest), coordinator, stage_key(stage.name))

    async def note(self, cluster: ClusterId) -> None:
        """Count one more failure."""
        self._here.add(cluster.key)
        if self._prefix:
            await artifacts.put(key(self._prefix, slug(cluster)), cluster.key, kind="note")

    async def count(self) -> int:
        """Return the number of failures so far."""
        return len(await artifacts.newest(self._prefix)) if self._prefix else len(self._here)


def coordinator() -> str | None:
    """Return the coordinator that started the present run, or None if a person started it."""
    context = FlowRunContext.get()
    tags = context.flow_run.tags if context is not None and context.flow_run is not None else []
    return next((tag.removeprefix(coordinator_tag("")) for tag in tags if tag.startswith(coordinator_tag(""))), None)
