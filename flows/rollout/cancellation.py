"""Cancels a run in order: its work ends, each cluster gets a verdict, and only then the run is Cancelled.

A cancelled process has seconds, so it waits for nothing. What Azure has begun continues there, and the next run reads
it from the cluster. The admin credential in memory is dropped.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from aks_entra import prefect_client
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.hooks.model import Hook
from aks_entra.core.hooks.results import STOPPED
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import Step
from aks_entra.core.verdict.verdict import stopped
from aks_entra.planning import recheck
from aks_entra.prefect_client.hooks import with_kept_runs
from aks_entra.prefect_client.migration_records import load_plan, store_verdict, surviving_evidence
from aks_entra.wiring import current_session

SECONDS = 20.0
"""Timeout for storing a verdict: a worker that cancels a run kills its process after thirty seconds."""


async def cancel_in_order(
    body: Coroutine[Any, Any, State[Any]], was_cancelled: Callable[[], Awaitable[bool]] = prefect_client.is_cancelled
) -> State[Any]:
    """Have SIGTERM cancel a flow's body, and let the body end before the run's state says that it is cancelled.

    Prefect's own handler raises in whatever code the main thread executes at that moment. When that is a task of one
    cluster, the task ends and the batch continues; when it is the flow itself, the run is Cancelled while the tasks of
    the clusters still store their verdicts.

    Args:
        body: what the flow does.
        was_cancelled: whether somebody cancelled the present run. If nobody did, the worker goes down and the run
            crashes.
    """
    loop, work = asyncio.get_running_loop(), asyncio.create_task(body)
    try:
        before = signal.getsignal(signal.SIGTERM)
        loop.add_signal_handler(signal.SIGTERM, lambda: work.cancelling() or work.cancel())
    except (NotImplementedError, RuntimeError, ValueError):  # not in the main thread, where no signal arrives
        return await work
    try:
        return await work
    except asyncio.CancelledError:
        if not work.cancelled() or not await was_cancelled():
            raise
        return Cancelled(message="cancelled: each cluster's verdict says how far it got")
    finally:
        if loop.remove_signal_handler(signal.SIGTERM):
            signal.signal(signal.SIGTERM, before)


async def store_stopped_verdict(
    job: Job, evidence: tuple[Evidence, ...], at: Step | None, after: tuple[Hook, ...]
) -> None:
    """Store the verdict of a cluster whose steps were stopped. A server that does not answer must not delay the end."""
    try:
        async with asyncio.timeout(SECONDS):
            so_far = tuple(dict.fromkeys((*await surviving_evidence(job.plan, job.digest), *evidence)))
            verdict = stopped(job.plan, so_far, at, await _logged(job))
            await store_verdict(job.digest, await with_kept_runs(job.digest, after, verdict, STOPPED.detail))
    except Exception:  # noqa: BLE001, S110 - the cancellation continues; without a verdict the report says "lost"
        pass


async def _logged(job: Job) -> tuple[str, ...] | None:
    """Return what Azure shows as written since the plan was made. None if it does not answer at once."""
    try:
        async with asyncio.timeout(SECONDS / 2):
            plan = await load_plan(job.digest)
            return await recheck.shown_writes(current_session().ports, job.plan, plan.created_at)
    except Exception:  # noqa: BLE001 - it is unknown, and the verdict says so
        return None


async def cancel_batches(run: UUID) -> None:
    """Cancel the batches of a cancelled coordinator. When a worker goes down, this is not called, and they continue."""
    try:
        async with asyncio.timeout(SECONDS):
            await prefect_client.stop_batches(run)
    except Exception:  # noqa: BLE001, S110 - the cancellation continues; a batch that still runs ends by itself, and says so
        pass


@asynccontextmanager
async def waiting_for_slot(
    place: AbstractAsyncContextManager[None], job: Job, after: tuple[Hook, ...]
) -> AsyncIterator[None]:
    """Wait for a place among the clusters. A cluster that is stopped while it waits gets the verdict "skipped"."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(place)
        except asyncio.CancelledError:
            await store_stopped_verdict(job, (), None, after)
            raise
        yield
