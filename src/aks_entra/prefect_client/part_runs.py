"""Has clusters planned and verified inside of their network: by runs on their work queue.

A run stores its answer as an artifact of its own, which only the process that started it reads. Nothing in it is a
secret. The plan of a part is no plan of the fleet: nobody can approve it or carry it out.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Cancelled

from aks_entra import documents
from aks_entra.core.planning.parts import FleetPart
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import MemberGroup
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.errors import Refused, Rejected, TryLater
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


async def verify_elsewhere(plan: FleetPlan, group: MemberGroup, *, anew: bool) -> tuple[Verdict, ...]:
    """Have a worker of the group's work queue verify its clusters. `anew`: the plan was made just now.

    Call it in a flow run, which stores the plan for the worker. Raises as `plan_elsewhere`.
    """
    await store_part(plan)
    members = [one.resource_id for one in group.members]
    parameters = {"plan_of": str(artifacts.own_flow_run()), "members": members, "anew": anew}
    run = await _await_run(names.VERIFY_PART, parameters, group.work_queue, f"{plan.name} on {group.work_queue}")
    text = await artifacts.own_text(run, names.key("verify-part", str(run)))
    found = {one.cluster.key: one for one in documents.load_report(text).verdicts} if text else {}
    if missing := [one for one in group.members if one.key not in found]:
        raise Rejected(f"the run on work queue {group.work_queue} stored no verdict of {missing[0]}")
    return tuple(found[one.key] for one in group.members)


async def plan_of(run: UUID) -> FleetPlan:
    """Return the plan that a run stored for those that it asks. Raises Refused if it stored none."""
    text = await artifacts.own_text(run, names.key("plan-part", str(run)))
    if text is None:
        raise Refused(f"run {run} stored no plan", remedy="verify-fleet starts these runs itself")
    return documents.load_plan(text)


async def store_verdicts(report: FleetReport) -> None:
    """Store the verdicts of the present run, for the process that started it."""
    run = artifacts.own_flow_run()
    await artifacts.put(names.key("verify-part", str(run)), documents.dump_report(report), kind="verify-part")


async def _answer(parameters: dict[str, Any], work_queue: str, name: str) -> FleetPlan | None:
    """Have a worker of a work queue plan something. Returns the plan that the run stored, or None."""
    run = await _await_run(names.PLAN_PART, parameters, work_queue, name)
    text = await artifacts.own_text(run, names.key("plan-part", str(run)))
    return documents.load_plan(text) if text else None


async def _await_run(deployment: str, parameters: dict[str, Any], work_queue: str, name: str) -> UUID:
    """Start a run on a work queue, and follow it to its end. Raises Rejected unless it is completed."""
    async with get_client() as client:
        found = await read_deployment(client, deployment)
        pool = await read_work_pool(client, found.work_pool_name or names.WORK_POOL)
        unpolled = await unpolled_work_queues(client, pool, (work_queue,))
        run = await client.create_flow_run_from_deployment(
            found.id, parameters=parameters, tags=[TAG], name=name, work_queue_name=work_queue
        )
    patience = BRIEFLY if unpolled else run_end.PATIENCE
    try:
        ended = await run_end.await_end(run.id, every=EVERY, underway=run_end.Underway(patience=patience))
    except run_end.NotTaken:
        await _cancel(run.id)
        raise _nobody(work_queue, pool.name) from None
    state = ended.state
    if state is None or not state.is_completed():
        said = f"{state.name}: {state.message}" if state else "without a state"
        raise Rejected(
            f"the run {run.name!r} on work queue {work_queue} ended {said}", remedy=f"see {names.run_page(run.id)}"
        )
    return run.id


async def _cancel(run: UUID) -> None:
    """End a run that no worker took, so that no worker plans it when nobody waits for it any more."""
    async with get_client() as client:
        await client.set_flow_run_state(run, Cancelled(message="no worker took it in time"), force=True)


def _nobody(work_queue: str, pool: str) -> TryLater:
    return TryLater(
        f"no worker polls the work queue {work_queue} of pool {pool}",
        remedy=f"prefect worker start --pool {pool} --work-queue {work_queue}, in the network of these clusters",
    )
