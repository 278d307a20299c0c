"""How many clusters of a stage are worked on at a time, and how many have failed, also across several processes.

In one process both are counted in memory. With several batches the places are slots of concurrency limits at Prefect's
server, and each failure is noted there. A place is a courtesy to Azure, not a lock: whoever loses its lease goes on.
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
from aks_entra.core.rollout import Stage
from aks_entra.prefect_client import claims, store
from aks_entra.prefect_client.names import coordinator_tag, hexadecimal, key, short, slug, stage_key

ASKED_EVERY: Final = 2.0


class Places:
    """Where a member waits for its turn."""

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
        """Wait for a place, and keep it for a cluster's whole way."""
        subscription = cluster.subscription_id.lower()
        async with self._of[subscription], self._here:
            if not self._shared:
                yield
                return
            async with get_client() as client, self._slots(client, cluster):
                yield

    @asynccontextmanager
    async def _slots(self, client: PrefectClient, cluster: ClusterId) -> AsyncIterator[None]:
        """A slot of the stage and one of the subscription, together: who waits for one does not hold the other."""
        wanted = limits_of(self._digest, self._stage, cluster)
        async with self._asking[cluster.subscription_id.lower()]:  # one of a process asks, the others wait behind it
            await claims.ensure_limits(client, wanted)
            lease = await claims.acquire(client, list(wanted), patience=math.inf, every=ASKED_EVERY)
        if lease is None:
            raise AssertionError  # pragma: no cover - patience has no end
        async with claims.held(client, lease, f"a place for {cluster}", vital=False):
            yield


def limits_of(digest: str, stage: Stage, cluster: ClusterId) -> dict[str, int]:
    """The concurrency limits that a cluster needs a slot of, and how many each has."""
    name = f"{short(digest)} {stage_key(stage.name)}"
    found = {f"aks-entra stage {name}": stage.max_concurrency}
    if stage.max_concurrency_per_subscription:
        subscription = cluster.subscription_id.lower()
        found[f"aks-entra stage {name} {subscription}"] = stage.max_concurrency_per_subscription
    return found


async def tidy(digest: str, stage: Stage) -> None:
    """Take away the concurrency limits of a stage that ended."""
    wanted = {name for cluster in stage.members for name in limits_of(digest, stage, cluster)}
    async with get_client() as client:
        for name in sorted(wanted) if len(stage.batches) > 1 else ():
            with contextlib.suppress(ObjectNotFound, httpx.HTTPStatusError):  # never made, or taken away already
                await client.delete_global_concurrency_limit_by_name(name)


class Failures:
    """How many members failed under one coordinator, whichever process they were worked on in. None: by hand."""

    def __init__(self, digest: str, stage: Stage, *, coordinator: str | None) -> None:
        self._here: set[str] = set()
        self._prefix = ""
        if coordinator and len(stage.batches) > 1:
            self._prefix = key("failed", hexadecimal(digest), coordinator, stage_key(stage.name))

    async def note(self, cluster: ClusterId) -> None:
        """One more."""
        self._here.add(cluster.key)
        if self._prefix:
            await store.put(key(self._prefix, slug(cluster)), cluster.key, kind="note")

    async def count(self) -> int:
        """How many there are by now."""
        return len(await store.newest(self._prefix)) if self._prefix else len(self._here)


def coordinator() -> str | None:
    """The coordinator that started the present run; None: somebody by hand."""
    context = FlowRunContext.get()
    tags = context.flow_run.tags if context is not None and context.flow_run is not None else []
    return next((tag.removeprefix(coordinator_tag("")) for tag in tags if tag.startswith(coordinator_tag(""))), None)
