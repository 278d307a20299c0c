"""Runs the batches of a stage, each in its own process, as many at the same time as the stage allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import Stage, stage_result
from aks_entra.core.rollout.actions import FinishStage, RunStage
from aks_entra.core.rollout.next_action import RolloutState
from aks_entra.core.verdict.verdict import Reason
from aks_entra.prefect_client import (
    concurrency,
    events,
    migration_records,
    progress,
    progress_page,
    rollout_history,
    run_end,
    runs,
)
from aks_entra.prefect_client.run_log import tell
from aks_entra.prefect_client.waiting import postpone
from aks_entra.settings import Settings
from flows.rollout.gates import read
from flows.rollout.outcome import leave_out
from flows.rollout.signatures import check_signatures

NOT_TAKEN: Final = "not taken"
AGAIN: Final = timedelta(seconds=30)
"""A coordinator whose batches no worker takes may be in their place: it ends its process, and looks again then."""


async def run_stage(run: UUID, state: RolloutState, todo: RunStage) -> RolloutState:
    """Start the stage's batches, or find those that were started, and follow them to their ends."""
    plan, stage = state.plan, state.plan.stages[todo.place]
    before = await progress.work_of(run)
    await progress.work_on(run, plan, todo.place, writes=todo.writes)
    if before is None or (before.plan, before.place) != (plan.digest, todo.place):  # not after a wait for a worker
        await events.emit(events.stage_started(plan, stage, writes=todo.writes))

    underway = run_end.Underway()

    async def one(batch: tuple[int, tuple[ClusterId, ...]]) -> str:
        return await run_batch(run, plan, stage, *batch, underway)

    async with progress_page.shown(run, plan, state.verdicts, request_rate=Settings().request_rate):
        # a process without a free place would only wait
        ended = await bounded_gather(one, todo.batches, at_once=stage.max_concurrency)
    if NOT_TAKEN in ended:
        untaken = [members for (_, members), how in zip(todo.batches, ended, strict=True) if how == NOT_TAKEN]
        queues = sorted({group.work_queue for members in untaken for group in plan.groups_of(members)} - {""})
        where = f" on work queue {', '.join(queues)}" if queues else ""
        await postpone(progress.now() + AGAIN, f"no worker has a free place for a batch of stage {stage.name}{where}")
    await progress.rest(run)
    await concurrency.delete_limits(plan.digest, stage)
    found = await read(run, plan)
    await rollout_history.show_timeline_so_far(run, plan, found.began, found.verdicts, check_signatures)
    kept = {gate: at for gate, at in found.reached.items() if gate != (stage.name, "after") or not todo.writes}
    after = replace(found, ended={**state.ended, todo.place: ended}, reached=kept)
    result = after.result(todo.place)
    if not (result.go_on and after.left_for_later(stage)):
        await events.emit(events.stage_ended(plan, stage, result))
    return after


async def run_batch(
    run: UUID, plan: FleetPlan, stage: Stage, number: int, members: tuple[ClusterId, ...], underway: run_end.Underway
) -> str:
    """Start one batch, or find it, and follow it to its end.

    Returns the type of its final state. Returns "" if the failure budget is spent already, and `NOT_TAKEN` if no
    worker takes it.
    """
    failures = concurrency.Failures(plan.digest, stage, coordinator=str(run))
    so_far = stage_result(stage, await failures.count())
    if not so_far.go_on:
        await leave_out(plan, members, so_far.because, Reason.BUDGET_SPENT)
        return ""
    batch = await runs.start_batch(plan, stage, number, members, run)
    clusters = ", ".join(map(str, members))
    tell(f"stage {stage.name}: batch {number} of {len(stage.batches)} is the run {batch.name!r}: {clusters}")
    try:
        ended = await run_end.await_end(batch.id, every=runs.EVERY, underway=underway)
    except run_end.NotTaken:
        return NOT_TAKEN
    state = ended.state
    said = f"{state.name}{f': {state.message}' if state.message else ''}" if state else "without a state"
    tell(f"stage {stage.name}: batch {number} ended {said}")
    known = await migration_records.verdicts(plan.digest, members)
    for member in members:
        if member.key not in known:  # the process died before it stored a verdict
            await failures.note(member)
    return ended.state_type.value if ended.state_type else ""


async def finish_stage(run: UUID, state: RolloutState, todo: FinishStage) -> RolloutState:
    """Note that the run has passed a stage and its gates, and read what is known for the next one."""
    await progress.finish(run, todo.place, follows=state.plan.follows)
    return replace(await read(run, state.plan), ended=state.ended)
