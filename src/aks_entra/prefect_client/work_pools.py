"""Work pools at Prefect's server, and whether something begins their runs."""

from __future__ import annotations

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import WorkerStatus, WorkPool
from prefect.exceptions import ObjectNotFound

from aks_entra.errors import Refused


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
