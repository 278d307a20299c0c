"""Runs of the sweeps at the ends of openings and grants. So nothing has to look every few minutes.

A command or flow that opens something schedules the sweep for its end before the write. A sweep schedules the next one
itself if something stays open. The schedule in prefect.yaml is slow, and finds what was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.context import FlowRunContext
from prefect.states import Scheduled

from aks_entra.core.durations import stamp
from aks_entra.core.sweeps import first_sweep, missing_sweeps
from aks_entra.errors import Refused
from aks_entra.prefect_client import names
from aks_entra.prefect_client.deployments import read_deployment
from aks_entra.prefect_client.flow_run_list import all_runs

PATIENCE: Final = 15.0
"""Seconds to wait for Prefect's server before something is opened. It may be down on the day of a break-glass."""
_BEFORE_ITS_WORK: Final = (StateType.SCHEDULED, StateType.PENDING)


class EndNotScheduled(Refused):
    """Our record is stored, but no run of the sweep is scheduled for the end."""


async def schedule_sweep(deployment: str, at: datetime) -> FlowRun:
    """Schedule a run of a sweep, and return it. Does nothing if one is scheduled for the same second.

    Raises Refused if the sweep is not deployed, and the errors of Prefect's client if the server does not answer.
    """
    async with get_client() as client:
        return await schedule_in(client, await read_deployment(client, deployment), at)


async def announce_end(
    deployment: str, end: datetime | None, store: Callable[[], Awaitable[None]], *, attended: bool
) -> None:
    """Schedule the sweep for an end, then store our record of what ends. Call it before the write that opens.

    In this order, a process that dies leaves no record whose end is not scheduled. `end` None: it never ends.
    `attended`: a process or a flow run waits for the end.

    Raises:
        EndNotScheduled: the record is stored, but no sweep is scheduled for the end.
        Exception: the record is not stored.
    """
    trouble: Exception | None = None
    if end is not None:
        try:
            async with asyncio.timeout(PATIENCE):
                await schedule_sweep(deployment, first_sweep(end, attended=attended))
        except Exception as error:  # noqa: BLE001 - the record is stored all the same: it counts more
            trouble = error
    await store()
    if trouble is not None and end is not None:
        name = deployment.rpartition("/")[2]
        why = (str(trouble).splitlines() or [type(trouble).__name__])[0]
        raise EndNotScheduled(f"no run of {name} is scheduled for {stamp(end)} ({why})") from trouble


async def schedule_missing_sweeps(deployment: str, ends: Iterable[datetime]) -> None:
    """Schedule the runs of a sweep that are missing after these ends. Raises as `schedule_sweep` does."""
    async with get_client() as client:
        found = await read_deployment(client, deployment)
        runs = await all_runs(
            client,
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_BEFORE_ITS_WORK)))
            ),
        )
        times = [run.next_scheduled_start_time for run in runs if not run.auto_scheduled]
        for missing in missing_sweeps(ends, (at for at in times if at is not None), datetime.now(UTC)):
            await schedule_in(client, found, missing)


def at_an_end() -> bool:
    """Return whether the present run of a sweep was scheduled for an end, and not by the slow schedule or a person."""
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    return run is not None and names.AT_AN_END in run.tags


async def schedule_in(client: PrefectClient, deployment: DeploymentResponse, at: datetime) -> FlowRun:
    """Return the run of a deployment that is scheduled for a time. One that has begun or was cancelled is replaced."""
    key = f"end {stamp(at)}"
    while True:
        run = await client.create_flow_run_from_deployment(
            deployment.id,
            state=Scheduled(scheduled_time=at, message=f"waits for an end at {stamp(at)}"),
            name=f"{deployment.name} {stamp(at)}",
            tags=[names.AT_AN_END],
            idempotency_key=key,
        )
        if run.state is None or run.state.type in _BEFORE_ITS_WORK:
            return run
        key = f"{key} after {run.id}"
