"""A deployment that does not exist is refused with the server's address; push and managed work pools need no worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Worker, WorkerStatus, WorkPool, WorkQueue
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from aks_entra.errors import Refused
from aks_entra.prefect_client.deployments import DEPLOY_ALL, find_deployment, read_deployment
from aks_entra.prefect_client.work_pools import has_workers, lacks_worker, unpolled_work_queues


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


NOW_AND_LATER = (None, timedelta(minutes=-2), timedelta(seconds=-5))


class Queues(Server):
    """As much of Prefect's client as makes and reads work queues. `polls`: when each was polled, from now."""

    def __init__(self, polls: dict[str, timedelta | None]) -> None:
        super().__init__()
        self.polls = polls
        self.made: list[str] = []
        self.too_late = False

    async def read_work_queue_by_name(self, name: str, work_pool_name: str | None = None) -> WorkQueue:
        if name not in self.polls:
            raise ObjectNotFound(http_exc=LookupError())
        ago = self.polls[name]
        polled = None if ago is None else datetime.now(UTC) + ago
        said = {"name": name, "work_pool_id": uuid4(), "work_pool_name": work_pool_name, "last_polled": polled}
        return WorkQueue.model_validate(said)

    async def create_work_queue(self, name: str, work_pool_name: str) -> None:
        self.made.append(f"{work_pool_name}/{name}")
        self.polls[name] = None
        if self.too_late:
            raise ObjectAlreadyExists(http_exc=LookupError())


async def test_work_queues_that_no_worker_polled_in_the_last_minute_are_named_and_missing_ones_are_made() -> None:
    queues = Queues(dict(zip("abc", NOW_AND_LATER, strict=True)))
    pool = WorkPool(name="aks-entra", type="process", default_queue_id=uuid4())
    client = cast("PrefectClient", queues)
    assert await unpolled_work_queues(client, pool, ("d", "c", "b", "a", "a")) == ("a", "b", "d")
    assert queues.made == ["aks-entra/d"]
    queues.too_late = True
    assert await unpolled_work_queues(client, pool, ("e",)) == ("e",)
    pushed = WorkPool(name="aks-entra", type="cloud-run:push", default_queue_id=uuid4())
    assert await unpolled_work_queues(client, pushed, ("a",)) == ()
