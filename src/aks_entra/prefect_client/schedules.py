"""Read from Prefect's server when the scheduled deployments ran last. `core.schedules` says which are overdue."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from aks_entra.core.schedules import MISSED, Overdue, Schedule, overdue
from aks_entra.prefect_client import names

_RAN: Final = (StateType.RUNNING, StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CANCELLING)
"""States of a run that began its work. A crashed run does not count."""
_WAITING: Final = 50


async def overdue_schedules(
    deployments: tuple[str, ...] = names.SCHEDULED, *, now: datetime | None = None
) -> tuple[Overdue, ...]:
    """Return the scheduled deployments (`flow/deployment`) that are overdue. `now` is the present, in UTC.

    Sends three requests for each. Raises the errors of Prefect's client if the server does not answer.
    """
    now = now or datetime.now(UTC)
    async with get_client() as client:
        return overdue([await _schedule(client, one, now) for one in deployments], now)


async def _schedule(client: PrefectClient, name: str, now: datetime) -> Schedule:
    shown = name.rpartition("/")[2]
    try:
        found = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return Schedule(deployment=shown, found=False)
    own = DeploymentFilter(id=DeploymentFilterId(any_=[found.id]))
    ran = await client.read_flow_runs(
        deployment_filter=own,
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_RAN))),
            start_time=FlowRunFilterStartTime.model_validate({"before_": now}),
        ),
        sort=FlowRunSort.START_TIME_DESC,
        limit=1,
    )
    waiting = await client.read_flow_runs(
        deployment_filter=own,
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING]))
        ),
        limit=_WAITING,
    )
    last = next((run.start_time for run in ran), None)
    active = [one.schedule for one in found.schedules if one.active]
    return Schedule(
        deployment=shown,
        last=last,
        due=await _due(active, last or found.created or now),
        waiting=len(waiting),
        active=bool(active) and not found.paused,
    )


async def _due(schedules: Iterable[Any], since: datetime) -> tuple[datetime, ...]:
    """Return the next planned times after a moment, of all schedules of a deployment."""
    from prefect.server.schemas import schedules as server  # noqa: PLC0415 - the client cannot compute them; 0.2 s

    start = since + timedelta(seconds=1)
    times: set[datetime] = set()
    for one in schedules:
        kind = getattr(server, type(one).__name__)
        times.update(await kind.model_validate(one.model_dump()).get_dates(MISSED, start=start))
    return tuple(sorted(times))
