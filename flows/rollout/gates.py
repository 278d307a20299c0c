"""Reads what a gate depends on, and asks at a gate. `core.rollout` decides whether the gate is open."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import UUID

from aks_entra.access.approvers import sign_in_application
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.signed_approval import Count
from aks_entra.core.rollout.actions import (
    ArriveAtGate,
    AskForApproval,
    ReadAuditLogs,
    ReadMaintenanceWindows,
    RecheckStage,
)
from aks_entra.core.rollout.next_action import RolloutState
from aks_entra.core.rollout.quiet import CallersAtGate, not_quiet
from aks_entra.prefect_client import (
    approvals,
    events,
    fleet_runs,
    gate_callers,
    migration_records,
    pages,
    progress,
    rollout,
    runs,
)
from aks_entra.prefect_client.decisions import question_of
from aks_entra.prefect_client.signed_approvals import asked_at_stage, count_stored, with_voluntary
from aks_entra.settings import Settings
from flows.rollout.parts import plan_what_changed
from flows.rollout.signatures import read_signatures
from tasks.planning import due_to_write, read_logs, read_owners, read_windows
from tasks.session import open_session


async def read(run: UUID, plan: FleetPlan) -> RolloutState:
    """Read the rollout's state from Prefect's server."""
    return await rollout.read_rollout(run, plan, allow_ungated=Settings().allow_ungated)


async def recheck(run: UUID, state: RolloutState, todo: RecheckStage) -> RolloutState:
    """Read from Azure what is left to write. If clusters changed, adopt a new plan, which nobody has approved yet.

    Hooks that are not done are left to write as well.
    """
    plan, fresh = state.plan, None
    async with open_session(Settings(), prover=plan.prover.spec):
        to_write = frozenset(await due_to_write(plan, todo.clusters))
    hooks = frozenset(one for one in todo.clusters if (known := state.verdicts.get(one.key)) and known.hooks_left)
    if to_write and todo.for_changes:
        fresh = await plan_what_changed(plan, todo.clusters)
    if fresh is None:
        return replace(state, to_write=to_write | hooks)
    await migration_records.store_plan(fresh)
    await migration_records.carry_over(plan.digest, fresh)
    await adopt(run, fresh)
    return replace(await read(run, fresh), ended=state.ended, to_write=to_write | hooks, replanned=True)


async def adopt(run: UUID, plan: FleetPlan) -> None:
    """Note a stored plan as the one that the run carries out from now on."""
    await migration_records.note_plan(run, plan.digest, plan.facts_digest)
    await runs.tag_run(run, plan.digest, plan.name)
    await migration_records.show_plan(plan)


async def read_maintenance(state: RolloutState, todo: ReadMaintenanceWindows) -> RolloutState:
    """Read the maintenance windows of the stage's clusters."""
    async with open_session(Settings(), prover=state.plan.prover.spec):
        found = await read_windows(todo.clusters)
    return replace(state, maintenance={one.key: windows for one, windows in zip(todo.clusters, found, strict=True)})


async def listen(run: UUID, state: RolloutState, todo: ReadAuditLogs) -> RolloutState:
    """Read the audit logs of the stage's clusters, and store which callers keep its gate shut."""
    async with open_session(Settings(), prover=state.plan.prover.spec):
        heard = await read_logs(todo.clusters, todo.quiet)
        now = progress.now()
        shut = not_quiet(todo.clusters, heard, todo.quiet, now)
        owners = await read_owners(shut) if shut else {}
    shut = tuple(replace(one, owners=owners[one.cluster.key]) for one in shut)
    stage = state.plan.stages[state.current].name
    await gate_callers.store(run, CallersAtGate(stage=stage, quiet=todo.quiet, at=stamp(now), shut=shut))
    return replace(state, heard=heard)


async def arrive(state: RolloutState, gate: ArriveAtGate) -> RolloutState:
    """Note that a gate is reached now."""
    stage = state.plan.stages[gate.place].name
    at = await progress.reached(state.plan.digest, stage, gate.side, anew=True)
    return replace(state, reached={**state.reached, (stage, gate.side): at})


async def ask(run: UUID, state: RolloutState, gate: AskForApproval) -> RolloutState:
    """Suspend the run: its process ends, and the process that resumes it reads the answer here."""
    plan, requested = state.plan, fleet_runs.requested()
    asked = plan.stages[gate.place].gate(gate.side)
    approvers = asked.approvers if asked else None

    async def count_signatures(approval: Approval) -> Count:
        assert asked is not None  # noqa: S101 - approvers belong to a gate
        assert approvers is not None  # noqa: S101 - it is called only if there are some
        question = await asked_at_stage(approval, approvers)
        return await count_stored(read_signatures, asked, question, at=[progress.now()])

    async def with_signatures(approval: Approval) -> Approval:
        assert asked is not None  # noqa: S101 - a stage that asks has a gate
        known = partial(sign_in_application, Settings())
        return await with_voluntary(read_signatures, asked, approval, known, at=[progress.now()])

    answer = await approvals.ask_anew(
        question_of(plan, gate.place, gate.side),
        partial(
            pages.gate_page,
            plan,
            plan.stages[gate.place],
            gate.side,
            expired=gate.expired,
            requested=requested,
        ),
        about=events.stage_subject(plan, gate.place, gate.side, requested=requested),
        instead_of=gate.instead_of,
        ticket=plan.ticket_required,
        signatures=count_signatures if approvers else None,
        voluntary=with_signatures,
    )
    return state.answered(await read(run, plan), answer)
