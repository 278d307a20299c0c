"""Read from Prefect's server when the scheduled deployments ran last. `core.schedules` says which are overdue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.schedules import MISSED, Overdue, Schedule, overdue
from aks_entra.prefect_client import names
from aks_entra.prefect_client.deployments import find_deployment, our_deployments
from aks_entra.prefect_client.work_pools import has_workers, lacks_worker, read_work_pool

_WAITING: Final = 50
_AT_ONCE: Final = 5
_IN_LINE: Final = "AwaitingConcurrencySlot"
"""Name of the state of a run that waits for another run of its deployment, and not for a worker."""


async def overdue_schedules(
    deployments: tuple[str, ...] | None = None, *, now: datetime | None = None
) -> tuple[Overdue, ...]:
    """Return the scheduled deployments (`flow/deployment`) that are overdue, as `read_schedules` finds them."""
    now = now or datetime.now(UTC)
    return overdue(await read_schedules(deployments, now=now), now)


async def read_schedules(deployments: tuple[str, ...] | None = None, *, now: datetime) -> tuple[Schedule, ...]:
    """Return what the server knows of scheduled deployments (`flow/deployment`). `now` is the present, in UTC.

    None: those of prefect.yaml, and those of the deployed fleets that have a schedule. Sends two or three requests for
    each. Raises the errors of Prefect's client if the server does not answer.
    """
    async with get_client() as client:
        named = names.SCHEDULED if deployments is None else deployments
        found = [(name, await find_deployment(client, name)) for name in named]
        if deployments is None:
            found += await _of_fleets(client)

        pools = {one.work_pool_name for _, one in found if one is not None and one.work_pool_name}
        known = {name: await _pool(client, name) for name in sorted(pools)}

        async def look(one: tuple[str, DeploymentResponse | None]) -> Schedule:
            return await _schedule(client, *one, known, now)

        return await bounded_gather(look, found, at_once=_AT_ONCE)


async def _pool(client: PrefectClient, name: str) -> dict[str, Any]:
    """Return what a schedule says about its work pool."""
    pool = await read_work_pool(client, name)
    online = not await lacks_worker(client, pool)
    return {"pool": pool.name, "pool_type": pool.type, "workers": has_workers(pool), "online": online}


async def _of_fleets(client: PrefectClient) -> list[tuple[str, DeploymentResponse | None]]:
    """Return the deployments of fleets that have a schedule, by full name."""
    fleets = [one for one in await our_deployments(client) if names.fleet_of(one.tags) == one.name and one.schedules]
    flows: dict[UUID, str] = {}
    for one in fleets:
        if one.flow_id not in flows:
            flows[one.flow_id] = (await client.read_flow(one.flow_id)).name
    return sorted((f"{flows[one.flow_id]}/{one.name}", one) for one in fleets)


async def _schedule(
    client: PrefectClient,
    name: str,
    found: DeploymentResponse | None,
    pools: Mapping[str, dict[str, Any]],
    now: datetime,
) -> Schedule:
    if found is None:
        return Schedule(deployment=name, found=False)
    own = DeploymentFilter(id=DeploymentFilterId(any_=[found.id]))
    ran = await client.read_flow_runs(
        deployment_filter=own,
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(not_any_=[StateType.CRASHED])),
            start_time=FlowRunFilterStartTime.model_validate({"before_": now, "is_null_": False}),
        ),
        sort=FlowRunSort.START_TIME_DESC,
        limit=1,
    )
    waiting = await client.read_flow_runs(
        deployment_filter=own,
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])),
            start_time=FlowRunFilterStartTime(is_null_=True),
            expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"before_": now}),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=_WAITING,
    )
    last = next((run.start_time for run in ran), None)
    active = [one.schedule for one in found.schedules if one.active]
    return Schedule(
        deployment=name,
        last=last,
        due=await _due(active, last or found.created or now),
        late=tuple(at for run in waiting if not _in_line(run) and (at := run.expected_start_time) is not None),
        active=bool(active) and not found.paused,
        **pools.get(found.work_pool_name or "", {}),
    )


def _in_line(run: FlowRun) -> bool:
    return run.state is not None and run.state.name == _IN_LINE


async def _due(schedules: Iterable[Any], since: datetime) -> tuple[datetime, ...]:
    """Return the next planned times after a moment, of all schedules of a deployment."""
    from prefect.server.schemas import schedules as server  # noqa: PLC0415 - the client cannot compute them; 0.2 s

    start = since + timedelta(seconds=1)
    times: set[datetime] = set()
    for one in schedules:
        kind = getattr(server, type(one).__name__)
        times.update(await kind.model_validate(one.model_dump()).get_dates(MISSED, start=start))
    return tuple(sorted(times))
