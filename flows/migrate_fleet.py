"""Migrate a fleet, stage by stage. The coordinator decides nothing: `core.rollout.next_action` says what comes next.

1. Freeze the plan, and read the rollout's state from Prefect's server.
2. At the gate before a stage: read from Azure what is left to write; wait for a time, a window or quiet audit logs;
   suspend for approval.
3. Start the stage's batches, or follow those that run, and stop if more clusters are not proven than the stage allows.
4. Pass the gate after the stage in the same way, and continue with the next stage.
5. Once the soak has ended, plan the rotations that are owed, and carry that plan out like the first one.
6. Store the report.

A suspended run has no process. The process that resumes it starts again from the top, so everything that it needs is
stored under the plan's digest before the first gate.
"""

from __future__ import annotations

import asyncio
from typing import Any, assert_never
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.access.approvers import stage_approvers
from aks_entra.core.planning.fleet import StageSpec
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import Soak, Stage, without_approval
from aks_entra.core.rollout.actions import (
    Action,
    ArriveAtGate,
    AskForApproval,
    End,
    FinishStage,
    ReadAuditLogs,
    ReadMaintenanceWindows,
    RecheckStage,
    RunStage,
    StartRotation,
    WaitUntil,
)
from aks_entra.core.rollout.next_action import RolloutState, next_action
from aks_entra.errors import AksEntraError, Refused
from aks_entra.fleet_file.model import FleetFile
from aks_entra.fleet_file.runs import RequestFile
from aks_entra.prefect_client import migration_records, names, progress
from aks_entra.prefect_client.batch_permission import require_accepted
from aks_entra.prefect_client.decisions import may_go_ungated
from aks_entra.prefect_client.fleet_runs import FleetBusy, require_only_migration
from aks_entra.prefect_client.hooks import require_deployments
from aks_entra.prefect_client.lineage import resumed
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.run_log import tell
from aks_entra.prefect_client.stored_documents import written_under
from aks_entra.prefect_client.waiting import postpone
from aks_entra.report.run_lines import line_of_action, line_of_plan
from aks_entra.settings import Settings
from flows.rollout import gates
from flows.rollout.cancellation import cancel_batches, cancel_in_order
from flows.rollout.outcome import close
from flows.rollout.rotation import start_rotation
from flows.rollout.stages import finish_stage, run_stage
from tasks.planning import plan_fleet
from tasks.session import open_session


@flow(name=names.COORDINATOR, persist_result=False)
async def migrate_fleet(
    fleet: FleetFile | None = None,
    plan: str | None = None,
    request: RequestFile | None = None,  # noqa: ARG001 - the gates read it from the run's parameters
) -> State[Any]:
    """Migrate a fleet to Microsoft Entra ID. Give a fleet, which is planned first, or the digest of a stored plan.

    Args:
        fleet: the fleet file's content.
        plan: digest of a stored plan, `sha256:…`.
        request: who asked for this run and why. Each gate shows it.
    """
    return await cancel_in_order(migrate(fleet, plan))


async def migrate(fleet: FleetFile | None, plan: str | None) -> State[Any]:
    """Freeze the plan and carry it out. A coordinator that is cancelled cancels its batches."""
    run = await register()
    try:
        agreed = await freeze(run, fleet, plan)
    except FleetBusy as busy:
        if busy.scheduled:
            return Completed(name=names.SKIPPED, message=f"nothing was begun: {busy}")
        return Failed(message=f"nothing was begun: {busy}")
    except AksEntraError as error:
        known = await migration_records.noted_plan(run) or plan
        return Failed(message=f"{await written_under(known) if known else 'nothing was written'}: {error}")
    try:
        return await carry_out(run, agreed)
    except asyncio.CancelledError:
        await cancel_batches(run)
        raise


async def carry_out(run: UUID, plan: FleetPlan) -> State[Any]:
    """Do what comes next until the rollout ends. A run that waits ends its process here, and starts again later."""
    tell(line_of_plan(plan))
    state = await gates.read(run, plan)
    while not isinstance(todo := next_action(state, progress.now()), WaitUntil | End):
        tell(line_of_action(state.plan, todo))
        state = await perform(run, state, todo)
    if isinstance(todo, End):
        return await close(run, state, todo)
    if todo.results:  # a soak: until it is over, the report says what is owed
        await close(run, state, todo)
    return await postpone(todo.at, todo.because)


async def perform(run: UUID, state: RolloutState, todo: Action) -> RolloutState:
    """Carry out one action. Returns what is known afterwards."""
    match todo:
        case RecheckStage():
            state = await gates.recheck(run, state, todo)
        case ReadMaintenanceWindows():
            state = await gates.read_maintenance(state, todo)
        case ReadAuditLogs():
            state = await gates.listen(run, state, todo)
        case ArriveAtGate():
            state = await gates.arrive(state, todo)
        case AskForApproval():
            state = await gates.ask(run, state, todo)
        case RunStage():
            state = await run_stage(run, state, todo)
        case FinishStage():
            state = await finish_stage(run, state, todo)
        case StartRotation():
            state = await start_rotation(run, state, todo)
        case other:
            assert_never(other)
    return state


async def freeze(run: UUID, fleet: FleetFile | None, plan: str | None) -> FleetPlan:
    """Return the plan that this run carries out. The first call notes it; later calls return the noted one."""
    frozen = await migration_records.frozen_plan(run)
    if frozen is not None:
        return frozen
    if plan is not None:
        agreed = await migration_records.load_plan_of(plan, *await resumed(run))
        if not (Settings().allow_ungated or await may_go_ungated(run, agreed)):
            require_gates(agreed.stages, agreed.rotation)
    elif fleet is not None:
        await require_only_migration()
        wanted = fleet.to_fleet()
        require_gates(wanted.stages, wanted.rotation)  # an event, a schedule or the UI's form cannot leave out gates
        agreed = await make_plan(fleet)
    else:
        raise Refused("neither a fleet nor a plan was given", remedy="give one of them as the run's parameter")
    require_accepted(agreed, stage_approvers(Settings()))
    await require_deployments(agreed)
    await gates.adopt(run, agreed)
    return agreed


def require_gates(stages: tuple[Stage, ...] | tuple[StageSpec, ...], rotation: Soak | None) -> None:
    """Raise Refused if a rollout lets stages begin without an approval."""
    missing = without_approval(stages, rotation)
    if missing:
        raise Refused(
            f"no approval is asked for before {', '.join(missing)}, and nobody with that right has allowed it",
            remedy="leave out `gate_before: false` (`gate: false` of the rotation), or type `aks-entra migrate … "
            "--without-gates`; a stored plan may also run where the worker has AKS_ENTRA_ALLOW_UNGATED=true",
        )


async def make_plan(fleet: FleetFile) -> FleetPlan:
    """Plan the fleet and store the plan under its digest."""
    wanted = fleet.to_fleet()
    async with open_session(Settings(), prover=wanted.prover):
        made = await plan_fleet(wanted)
    await migration_records.store_plan(made)
    return made
