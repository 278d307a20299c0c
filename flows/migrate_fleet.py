"""Migrate a fleet, stage by stage: freeze the plan, ask at each gate, start the stage's batch, weigh its verdicts.

The coordinator decides nothing about clusters. At a gate it is suspended, its process ends, and after the resume it
runs from the top again: so everything it needs is stored under the plan's digest before the first gate.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.plan import FleetPlan
from aks_entra.core.rollout import Stage, StageResult, stage_result
from aks_entra.errors import AksEntraError, Refused
from aks_entra.fleet_file import FleetFile
from aks_entra.prefect_client import archive, limits, names, notes, runs
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from flows.outcome import Halted, cancelled, close, due, leave_out, left_for_later, lost, weigh
from flows.passage import pass_gate
from flows.rotation import next_part
from flows.stopping import take_batches_along
from tasks.surveys import plan_fleet


@flow(name=names.COORDINATOR, persist_result=False)
async def migrate_fleet(fleet: FleetFile | None = None, plan: str | None = None) -> State[Any]:
    """Migrate a fleet to Microsoft Entra ID. Give a fleet (it is planned first) or the digest of a stored plan.

    Args:
        fleet: the fleet file's content.
        plan: digest of a stored plan, `sha256:…`.
    """
    run = await sign_on()
    try:
        agreed = await freeze(run, fleet, plan)
    except AksEntraError as error:
        return Failed(message=f"nothing was written: {error}")
    results: list[StageResult] = []
    try:
        while True:
            results = []
            for place in range(len(agreed.stages)):
                agreed, result = await pass_stage(run, agreed, place)
                results.append(result)
            second = await next_part(run, agreed, results)
            if second is None:
                return await close(run, agreed, results)
            agreed = second
    except Halted as halted:
        agreed = await freeze(run, None, agreed.digest)  # another one, where clusters moved at the gate
        return await close(run, agreed, [*results, halted.result], halted)
    except asyncio.CancelledError:
        await take_batches_along(run)
        raise


async def pass_stage(run: UUID, agreed: FleetPlan, place: int) -> tuple[FleetPlan, StageResult]:
    """A stage between its gates, once for a run; and the plan that is agreed from then on."""
    if await notes.left(run, place, follows=agreed.follows):
        return agreed, await weigh(agreed, agreed.stages[place])
    done = None
    while done is None:  # a window that closes in the middle leaves some for its next opening
        agreed = await pass_gate(run, agreed, place, "before")
        done = await carry_out(run, agreed, place)
    await pass_gate(run, agreed, place, "after")
    await notes.leave(run, place, follows=agreed.follows)
    return agreed, done


async def freeze(run: UUID, fleet: FleetFile | None, plan: str | None) -> FleetPlan:
    """The plan that this run carries out: noted once, and the same one ever after."""
    noted = await archive.noted_plan(run)
    if noted is not None:
        return await archive.load_plan(noted)
    if plan is not None:
        agreed = await archive.load_plan(plan)
    elif fleet is not None:
        agreed = await make_plan(fleet)
    else:
        raise Refused("neither a fleet nor a plan was given", remedy="give one of them as the run's parameter")
    await archive.note_plan(run, agreed.digest)
    await runs.tag_run(run, agreed.digest)
    await archive.show_plan(agreed)
    return agreed


async def make_plan(fleet: FleetFile) -> FleetPlan:
    """Plan the fleet and store the plan under its digest."""
    wanted = fleet.to_fleet()
    async with open_session(Settings(), prover=wanted.prover):
        made = await plan_fleet(wanted)
    await archive.store_plan(made)
    return made


async def carry_out(run: UUID, plan: FleetPlan, place: int) -> StageResult | None:
    """Start the stage's batches, or find those that were started, follow them to their ends and weigh the verdicts.

    None: a window closed before the turn of some.
    """
    stage = plan.stages[place]
    waiting = {member.key for member in await due(plan, stage)}
    if waiting:
        await notes.begin(plan.digest, stage.name)
        batches = [tuple(one for one in batch if one.key in waiting) for batch in stage.batches]
        turn = asyncio.Semaphore(stage.max_concurrency)  # more processes than places would only wait
        numbered = [(number, members) for number, members in enumerate(batches, 1) if members]
        ended = await asyncio.gather(
            *(carry_out_batch(run, plan, stage, number, members, turn) for number, members in numbered)
        )
        await limits.tidy(plan.digest, stage)
        if "CANCELLED" in ended:
            raise Halted(cancelled(stage))
        await notes.reached(plan.digest, stage.name, "after", anew=True)
    result = await weigh(plan, stage)
    if not result.go_on:
        raise Halted(result)
    return None if await left_for_later(plan, stage) else result


async def carry_out_batch(
    run: UUID, plan: FleetPlan, stage: Stage, number: int, members: tuple[ClusterId, ...], turn: asyncio.Semaphore
) -> str:
    """Start one batch when it is its turn, or find it, and follow it to its end; none is begun past the budget.

    Returns the type of its final state; empty: not begun.
    """
    failures = limits.Failures(plan.digest, stage, coordinator=str(run))
    async with turn:
        so_far = stage_result(stage, await failures.count())
        if not so_far.go_on:
            await leave_out(plan, members, so_far.because)
            return ""
        ids = tuple(member.resource_id for member in members)
        batch = await runs.start_batch(plan.digest, stage.name, (number, len(stage.batches)), ids, run)
        ended = await runs.await_end(batch.id, every=runs.EVERY)
        for member in await lost(plan, members):
            await failures.note(member)
        return ended.state_type or ""
