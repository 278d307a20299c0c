"""A deployment that does not exist is refused with the server's address; push and managed work pools need no worker."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Worker, WorkerStatus, WorkPool
from prefect.exceptions import ObjectNotFound

from aks_entra.errors import Refused
from aks_entra.prefect_client.deployments import DEPLOY_ALL, find_deployment, read_deployment
from aks_entra.prefect_client.work_pools import has_workers, lacks_worker


class Server:
    """As much of Prefect's client as reads deployments (none is there) and workers."""

    api_url = httpx.URL("http://127.0.0.1:4200/api/")

    def __init__(self, *workers: WorkerStatus) -> None:
        self._workers = workers

    async def read_deployment_by_name(self, _name: str) -> Any:
        raise ObjectNotFound(http_exc=LookupError())

    async def read_workers_for_work_pool(self, _pool: str) -> list[Worker]:
        return [Worker(name="w", work_pool_id=uuid4(), status=status) for status in self._workers]


def client(*workers: WorkerStatus) -> PrefectClient:
    return cast("PrefectClient", Server(*workers))


async def test_a_missing_deployment_is_refused_with_the_remedy_of_who_asks() -> None:
    assert await find_deployment(client(), "a/b") is None
    with pytest.raises(Refused, match=r"server at http://127\.0\.0\.1:4200/api/ has no deployment a/b") as refused:
        await read_deployment(client(), "a/b")
    assert refused.value.remedy == DEPLOY_ALL
    with pytest.raises(Refused) as refused:
        await read_deployment(client(), "a/b", remedy="deploy the fleet")
    assert refused.value.remedy == "deploy the fleet"


@pytest.mark.parametrize(
    ("type_", "workers", "lacks"),
    [
        ("process", (), True),
        ("kubernetes", (WorkerStatus.OFFLINE,), True),
        ("kubernetes", (WorkerStatus.OFFLINE, WorkerStatus.ONLINE), False),
        ("cloud-run:push", (), False),
        ("prefect:managed", (), False),
    ],
)
async def test_only_a_pool_that_needs_a_worker_lacks_one(
    type_: str, workers: tuple[WorkerStatus, ...], lacks: bool
) -> None:
    pool = WorkPool(name="pool", type=type_, default_queue_id=uuid4())
    assert await lacks_worker(client(*workers), pool) is lacks
    assert has_workers(pool) is (":" not in type_)
