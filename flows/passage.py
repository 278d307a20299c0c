"""Passing the gates of a stage: `core.gates` decides what is to be done now, and a run waits without a process."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import assert_never
from uuid import UUID

from aks_entra.core.gates import Ask, Gate, Go, Move, Side, WaitUntil, next_move, opening
from aks_entra.core.plan import FleetPlan
from aks_entra.core.rollout import Stage, StageResult
from aks_entra.core.windows import Window
from aks_entra.prefect_client import approvals, archive, notes, pages, runs
from aks_entra.prefect_client.waiting import postpone
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from flows.outcome import Halted, due
from tasks.surveys import plan_changes, read_windows

UNREAD = timedelta(minutes=15)
"""How long until maintenance windows that could not be read are looked at again."""


async def pass_gate(run: UUID, plan: FleetPlan, place: int, side: Side) -> FleetPlan:
    """Wait until a stage's gate is open: for its time at Prefect's server, for a person suspended. May end here.

    Returns the plan that is agreed: another one when the stage's clusters moved and the new plan was approved.
    """
    stage = plan.stages[place]
    gate = stage.gate(side)
    what = f"gate {side} stage {stage.name}"
    while gate is not None and (side == "after" or await due(plan, stage, to_write=True)):
        if side == "before" and gate.approval:
            plan = await as_it_is_now(run, plan, stage)
        known = await archive.approval(plan.digest, stage.name, side)
        match await next_at(plan, stage, side, gate, known):
            case Go():
                break
            case WaitUntil() as wait:
                await postpone(wait.at, f"{what}: {wait.because}")
            case Ask() as ask:
                decision = await approvals.ask_anew(
                    plan.digest,
                    (place, stage.name),
                    side,
                    partial(pages.gate_page, plan, stage, side, expired=ask.expired),
                    instead_of=known,
                    ticket=plan.ticket_required,
                )
                if decision.decision == "reject":
                    raise Halted(_rejected(stage, side, decision), rejected=True)
            case other:
                assert_never(other)
    return plan


async def as_it_is_now(run: UUID, plan: FleetPlan, stage: Stage) -> FleetPlan:
    """The plan, or a new one in its place where clusters of the stage moved: stored, noted, and not yet approved."""
    async with open_session(Settings(), prover=plan.prover.spec):
        fresh = await plan_changes(plan, tuple(await due(plan, stage)))
    if fresh is None:
        return plan
    await archive.store_plan(fresh)
    await archive.carry_over(plan.digest, fresh)
    await archive.note_plan(run, fresh.digest)
    await runs.tag_run(run, fresh.digest)
    await archive.show_plan(fresh)
    return fresh


async def next_at(plan: FleetPlan, stage: Stage, side: Side, gate: Gate, known: archive.Approval | None) -> Move:
    """What is to be done at a gate now; `known` is its newest approval. Halted when its windows never open together."""
    now = notes.now()
    windows = await _maintenance(plan, stage) if gate.maintenance_window else ()
    if windows is None:
        return WaitUntil(at=now + UNREAD, because="maintenance windows that could not be read")
    opens = opening(gate, reached=await notes.reached(plan.digest, stage.name, side), now=now, maintenance=windows)
    if opens is None:
        raise Halted(_never(stage, side), begun=side == "after")
    return next_move(gate, side, now=now, opens=opens, approved_at=archive.decided_at(known))


async def _maintenance(plan: FleetPlan, stage: Stage) -> tuple[tuple[Window, ...], ...] | None:
    """The windows of those members that have some; None when one could not be read."""
    members = tuple(await due(plan, stage))
    async with open_session(Settings(), prover=plan.prover.spec):
        found = await read_windows(members)
    if any(windows is None for windows in found):
        return None
    return tuple(windows for windows in found if windows)


def _rejected(stage: Stage, side: Side, decision: archive.Approval) -> StageResult:
    because = f"{side} stage {stage.name}: rejected by {decision.approver} ({decision.reason})"
    return StageResult(go_on=False, failures=0, because=because)


def _never(stage: Stage, side: Side) -> StageResult:
    because = (
        f"{side} stage {stage.name}: there is no time at which its window and the maintenance windows of all its "
        "clusters are open together: put them into different stages"
    )
    return StageResult(go_on=False, failures=0, because=because)
