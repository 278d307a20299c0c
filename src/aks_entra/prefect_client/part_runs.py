"""Has clusters planned inside of their network: by a run of `plan-part` on their work queue.

The run stores its plan as an artifact of its own, which only the process that started it reads. Nothing in it is a
secret. It is no plan of the fleet: nobody can approve it or carry it out.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled

from aks_entra import documents
from aks_entra.core.planning.parts import FleetPart
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import MemberGroup
from aks_entra.errors import Rejected, TryLater
from aks_entra.prefect_client import artifacts, names, run_end
from aks_entra.prefect_client.deployments import TAG, read_deployment
from aks_entra.prefect_client.runs import EVERY
from aks_entra.prefect_client.work_pools import read_work_pool, unpolled_work_queues

BRIEFLY: Final = 20.0
"""Seconds until a worker has asked for the runs of a work queue that was just made, or that nobody polled."""


async def plan_elsewhere(part: FleetPart) -> FleetPlan:
    """Have a worker of the part's work queue plan it.

    Raises:
        TryLater: no worker of the work queue took the run.
        Rejected: the run failed. The message is the run's.
        Refused: the runbooks are not deployed.
    """
    parameters = {"fleet": documents.dump_fleet(part.fleet)}
    found = await _answer(parameters, part.work_queue, f"{part.fleet.name} on {part.work_queue}")
    if found is None:
        raise Rejected(f"the run that planned {part.fleet.name} on work queue {part.work_queue} stored no plan")
    return found


async def plan_again_elsewhere(plan: FleetPlan, group: MemberGroup, *, rotations: bool) -> FleetPlan | None:
    """Have a worker of the group's work queue plan its clusters again where they changed, or their owed rotations.

    None if nothing changed. Raises as `plan_elsewhere`.
    """
    parameters = {
        "plan": plan.digest,
        "facts": plan.facts_digest,
        "members": [one.resource_id for one in group.members],
        "rotations": rotations,
    }
    return await _answer(parameters, group.work_queue, f"{plan.name} on {group.work_queue} · plan {plan.digest[7:19]}")


async def store_part(plan: FleetPlan) -> None:
    """Store what the present run planned, for the process that started it."""
    run = artifacts.own_flow_run()
    await artifacts.put(names.key("plan-part", str(run)), documents.dump_plan(plan), kind="plan-part")


async def _answer(parameters: dict[str, Any], work_queue: str, name: str) -> FleetPlan | None:
    """Start a run on a work queue, follow it to its end, and return the plan that it stored."""
    async with get_client() as client:
        deployment = await read_deployment(client, names.PLAN_PART)
        pool = await read_work_pool(client, deployment.work_pool_name or names.WORK_POOL)
        unpolled = await unpolled_work_queues(client, pool, (work_queue,))
        run = await client.create_flow_run_from_deployment(
            deployment.id, parameters=parameters, tags=[TAG], name=name, work_queue_name=work_queue
        )
    patience = BRIEFLY if unpolled else run_end.PATIENCE
    try:
        ended = await run_end.await_end(run.id, every=EVERY, underway=run_end.Underway(patience=patience))
    except run_end.NotTaken:
        await _cancel(run.id)
        raise _nobody(work_queue, pool.name) from None
    return await _plan_of(ended, work_queue)


async def _plan_of(run: FlowRun, work_queue: str) -> FleetPlan | None:
    state = run.state
    if state is None or not state.is_completed():
        said = f"{state.name}: {state.message}" if state else "without a state"
        raise Rejected(
            f"the run {run.name!r} on work queue {work_queue} ended {said}", remedy=f"see {names.run_page(run.id)}"
        )
    text = await artifacts.own_text(run.id, names.key("plan-part", str(run.id)))
    return documents.load_plan(text) if text else None


async def _cancel(run: UUID) -> None:
    """End a run that no worker took, so that no worker plans it when nobody waits for it any more."""
    async with get_client() as client:
        await client.set_flow_run_state(run, Cancelled(message="no worker took it in time"), force=True)


def _nobody(work_queue: str, pool: str) -> TryLater:
    return TryLater(
        f"no worker polls the work queue {work_queue} of pool {pool}",
        remedy=f"prefect worker start --pool {pool} --work-queue {work_queue}, in the network of these clusters",
    )
