"""What a batch leaves behind when it is cancelled: for each member a verdict that says where it stands.

A cancelled process has seconds. So nothing is waited for: what Azure has begun goes on there, and the next look at the
cluster finds it. The credential held in memory is dropped, as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from uuid import UUID

from aks_entra import prefect_client
from aks_entra.core.evidence import Evidence
from aks_entra.core.steps import Step
from aks_entra.core.verdict import stopped
from aks_entra.executor import Job
from aks_entra.prefect_client.archive import store_verdict

SECONDS = 10.0
"""Patience with Prefect's server: a worker that cancels kills after thirty."""


async def tell_stopped(job: Job, evidence: tuple[Evidence, ...], at: Step | None) -> None:
    """Store the verdict of a member whose way was stopped; a server that does not answer must not hold it up."""
    try:
        async with asyncio.timeout(SECONDS):
            await store_verdict(job.digest, stopped(job.plan, evidence, at))
    except Exception:  # noqa: BLE001, S110 - the cancellation goes on; without a verdict the report says "lost"
        pass


async def take_batches_along(run: UUID) -> None:
    """Cancel the batches of a coordinator that is cancelled itself; a worker that goes down leaves them alone."""
    try:
        async with asyncio.timeout(SECONDS):
            await prefect_client.stop_batches(run)
    except Exception:  # noqa: BLE001, S110 - the cancellation goes on; a batch that lives on ends by itself, and says so
        pass


@asynccontextmanager
async def in_line(place: AbstractAsyncContextManager[None], job: Job) -> AsyncIterator[None]:
    """Wait for a place among the members; stopped while waiting, the member is skipped, and it is said."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(place)
        except asyncio.CancelledError:
            await tell_stopped(job, (), None)
            raise
        yield
