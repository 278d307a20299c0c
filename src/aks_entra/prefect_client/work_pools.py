"""Work pools and work queues at Prefect's server, and whether something begins their runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import WorkerStatus, WorkPool, WorkQueue
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from aks_entra.errors import Refused

POLLED: Final = timedelta(seconds=60)
"""A worker asks for the runs of its work queues several times in this time."""


async def read_work_pool(client: PrefectClient, name: str) -> WorkPool:
    """Return a work pool. Raises Refused if it does not exist."""
    try:
        return await client.read_work_pool(name)
    except ObjectNotFound:
        raise Refused(
            f"the Prefect server has no work pool {name}",
            remedy=f"prefect work-pool create {name} --type process, or name another one with --pool",
        ) from None


def has_workers(pool: WorkPool) -> bool:
    """Return whether workers begin the runs of a pool. Prefect itself begins those of push and managed work pools."""
    return not (pool.is_push_pool or pool.is_managed_pool)


async def lacks_worker(client: PrefectClient, pool: WorkPool) -> bool:
    """Return whether a pool needs a worker and has none online."""
    if not has_workers(pool):
        return False
    workers = await client.read_workers_for_work_pool(pool.name)
    return not any(worker.status is WorkerStatus.ONLINE for worker in workers)


async def ensure_work_queue(client: PrefectClient, pool: str, name: str) -> WorkQueue:
    """Return a work queue of a pool. It is made if it does not exist: workers ask only for queues that exist."""
    try:
        return await client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        with contextlib.suppress(ObjectAlreadyExists):  # somebody else made it at this moment
            await client.create_work_queue(name, work_pool_name=pool)
        return await client.read_work_queue_by_name(name, work_pool_name=pool)


def is_polled(work_queue: WorkQueue) -> bool:
    """Return whether a worker asked for the runs of a work queue in the last minute."""
    polled = work_queue.last_polled
    return polled is not None and datetime.now(UTC) - polled < POLLED


async def unpolled_work_queues(client: PrefectClient, pool: WorkPool, names: Iterable[str]) -> tuple[str, ...]:
    """Return the work queues of a pool that no worker polls. They are made if they do not exist."""
    found = [await ensure_work_queue(client, pool.name, name) for name in sorted(set(names))]
    return tuple(one.name for one in found if has_workers(pool) and not is_polled(one))
