"""Starts the batches of a stage, each once, on the work queue of its clusters."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import arun_deployment

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import Stage
from aks_entra.prefect_client import names, runs
from aks_entra.prefect_client.deployments import TAG


async def start_batch(
    plan: FleetPlan, stage: Stage, number: int, members: tuple[ClusterId, ...], coordinator: UUID
) -> FlowRun:
    """Start a batch of a stage, or find the one that runs already: its key is digest, stage, batch and attempt.

    The attempt counts the ended batches of *other* coordinators, and own batches that a closed window cut short. So a
    coordinator that starts again from the top finds its own batch; a new coordinator finds an orphan that still lives,
    and starts a new batch after one that died. A worker of the clusters' work queue takes it.
    """
    digest, count, own = plan.digest, len(stage.batches), names.coordinator_tag(coordinator)
    (group,) = plan.groups_of(members)
    async with get_client() as client:
        batches = await runs.runs_of(client, digest, stage=stage.name, batch=number)
    over = [run for run in batches if run.state and run.state.is_final()]
    ended = [run for run in over if own not in run.tags or (run.state and run.state.name == names.WINDOW_CLOSED)]
    which = f"{stage.name} {number} of {count}" if count > 1 else stage.name
    return await arun_deployment(
        names.MIGRATE_BATCH,
        parameters={"plan": digest, "stage": stage.name, "members": [member.resource_id for member in members]},
        timeout=0,
        work_queue_name=group.work_queue or None,
        idempotency_key=f"{digest}-{stage.name}-{number}-{len(ended) + 1}",
        flow_run_name=f"{which} · plan {names.short(digest)} · attempt {len(ended) + 1}",
        tags=[
            TAG,
            names.plan_tag(digest),
            names.fleet_tag(plan.name),
            names.stage_tag(stage.name),
            names.batch_tag(number),
            own,
        ],
        as_subflow=True,
    )
