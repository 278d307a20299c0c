"""The runs of a sweep that openings and grants scheduled for their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType

from aks_entra.prefect_client import names

if TYPE_CHECKING:
    from datetime import datetime


async def sweeps_ahead(deployment: str) -> list[datetime]:
    """Return when the runs begin that are scheduled for ends, the soonest first."""
    async with get_client() as client:
        runs = await client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment.rpartition("/")[2]])),
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[names.AT_AN_END]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            ),
        )
    return sorted(run.next_scheduled_start_time for run in runs if run.next_scheduled_start_time is not None)
