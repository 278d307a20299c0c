"""What a batch may do: only what its coordinator was approved for, as Prefect's server shows it.

A batch is refused if somebody started it by hand, or if the run that its tag names is not at that stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from aks_entra import __version__
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import decided_at
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import Stage
from aks_entra.core.planning.signed_approval import not_accepted
from aks_entra.core.rollout.versions import version_mismatch
from aks_entra.core.steps import writes
from aks_entra.errors import Refused
from aks_entra.prefect_client import decisions, migration_records, names, progress, runs
from aks_entra.prefect_client.lineage import lineage, named
from aks_entra.prefect_client.names import short
from aks_entra.prefect_client.signed_approvals import Read, asked_at_stage, count_recorded
from aks_entra.prefect_client.waiting import WAITING

_REMEDY: Final = "start migrate-fleet with this plan: it waits at the gate and starts its batches itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """The coordinator of a batch, and whether the batch may write. If not, it only reads."""

    coordinator: UUID
    writes: bool


async def permission(
    plan: FleetPlan, place: int, coordinator: str | None, *, allow_ungated: bool, read: Read, accepted: frozenset[str]
) -> Permission:
    """Return what a batch of a stage may do.

    Args:
        plan: the plan of the batch.
        place: the place of the stage in the plan.
        coordinator: the run that the batch names.
        allow_ungated: the worker's setting.
        read: checks signatures, where the approval has to be signed.
        accepted: the approvers that the worker accepts, by its setting. Empty: any.

    Raises:
        Refused: no coordinator that runs now was approved for exactly this stage of this plan, or it runs another
            version of aks-entra, or too few of the approvers signed.
    """
    stage = plan.stages[place]
    what = f"stage {stage.name} of plan {short(plan.digest)}"
    if coordinator is None:
        raise Refused(
            f"{what} was not approved for this run, or waits for its time: no coordinator started it", remedy=_REMEDY
        )
    async with get_client() as client:
        why = ""
        for run in await _candidates(client, plan, coordinator):
            trouble = await _not_at_work(client, run, plan, place)
            if not trouble:
                return await _approved(run.id, plan, place, allow_ungated=allow_ungated, read=read, accepted=accepted)
            why = why or trouble
    raise Refused(f"{what} was not approved for this run: {why or 'its coordinator is not known'}", remedy=_REMEDY)


async def _candidates(client: PrefectClient, plan: FleetPlan, coordinator: str) -> list[FlowRun]:
    """Return the run that the batch names, and living runs that resume it: they adopt the batches that it started."""
    try:
        (own,) = [await client.read_flow_run(run) for run in named(coordinator)]
    except (ObjectNotFound, ValueError):  # none, or not the id of a run
        return []
    living = await runs.runs_of(client, plan.digest, coordinators=True, live=True)
    others = [run for run in living if run.id != own.id]
    return [own, *[run for run in others if own.id in {one.id for one in await lineage(client, run.id)}]]


async def _not_at_work(client: PrefectClient, run: FlowRun, plan: FleetPlan, place: int) -> str:
    """Say why a run is not the coordinator that works on this stage of this plan now. Empty if it is."""
    stage = plan.stages[place]
    flow = await client.read_flow(run.flow_id)
    if flow.name != names.COORDINATOR:
        return f"run {run.name} is no coordinator"
    if run.state is None or not (run.state.is_running() or run.state.name == WAITING):  # it may wait for this batch
        return f"its coordinator {run.name} is {run.state.name if run.state else 'unknown'}, not running"
    if await migration_records.noted_plan(run.id) != plan.digest:
        return f"its coordinator {run.name} carries out another plan"
    work = await progress.work_of(run.id)
    if work is None or (work.plan, work.place, work.facts) != (plan.digest, place, plan.facts_digest):
        return f"its coordinator {run.name} does not work on this stage now"
    finished = await progress.finished(run.id, follows=plan.follows)
    for earlier in range(place):
        if earlier not in finished:
            return f"stage {plan.stages[earlier].name}, which is before {stage.name}, is not finished"
    return ""


async def _approved(
    run: UUID, plan: FleetPlan, place: int, *, allow_ungated: bool, read: Read, accepted: frozenset[str]
) -> Permission:
    """Return what the coordinator was approved for. Raises Refused if its approval does not count."""
    stage, work = plan.stages[place], await progress.work_of(run)
    if work is None:
        return Permission(coordinator=run, writes=False)
    if differ := version_mismatch(work.version, __version__):
        raise Refused(
            f"stage {stage.name} of plan {short(plan.digest)} is not begun: {differ}",
            remedy="install one version of aks-entra on all workers (`aks-entra version`), then run "
            f"`aks-entra migrate --resume {str(run)[:8]}`",
            code="VersionMismatch",
        )
    if not work.writes:
        return Permission(coordinator=run, writes=False)
    gate = await gate_before(run, plan, place, allow_ungated=allow_ungated, began=work.began)
    _require_accepted(plan, stage, gate, accepted)
    if gate is None or not gate.approval:
        return Permission(coordinator=run, writes=True)
    approval = await decisions.decided(run, decisions.question_of(plan, place, "before"))
    given, moments = decided_at(approval), (progress.now(), work.began)
    if given is None or not any(gate.counts(given, at) for at in moments):
        late = f", or too long ago ({stamp(given)})" if given else ""
        raise Refused(f"stage {stage.name} of plan {short(plan.digest)} was not approved{late}", remedy=_REMEDY)
    if gate.approvers is not None and approval is not None:
        asked = await asked_at_stage(approval, gate.approvers)
        found = await count_recorded(read, gate, asked, approval, at=moments)
        if found.missing:
            why = "; ".join((found.missing, *found.refused))
            raise Refused(f"stage {stage.name} of plan {short(plan.digest)} was not approved: {why}", remedy=_REMEDY)
    return Permission(coordinator=run, writes=True)


def require_accepted(plan: FleetPlan, accepted: frozenset[str]) -> None:
    """Raise Refused if a batch of the plan would be refused for its approvers: nobody then signs for nothing.

    `accepted`: the approvers that this worker accepts, by its setting. Empty: any.
    """
    for stage in plan.stages:
        plans = [plan.plan_for(one) for one in stage.members]
        if any(writes(step) for one in plans if one.disposition == "migrate" for step in one.steps):
            _require_accepted(plan, stage, stage.gate("before"), accepted)
        if plan.rotation and any(one.rotation_planned for one in plans if one.disposition == "migrate"):
            _require_accepted(plan, stage, plan.rotation.before, accepted)


def _require_accepted(plan: FleetPlan, stage: Stage, gate: Gate | None, accepted: frozenset[str]) -> None:
    if why := not_accepted(gate, accepted):
        remedy = "name the approvers of AKS_ENTRA_APPROVERS under `rollout.approvers` of the fleet file, and plan again"
        raise Refused(f"stage {stage.name} of plan {short(plan.digest)} is not begun: {why}", remedy=remedy)


async def gate_before(
    run: UUID, plan: FleetPlan, place: int, *, allow_ungated: bool, began: datetime | None = None
) -> Gate | None:
    """Return what a run waits for before a stage. An approval is left out only if both the plan and a person say so.

    A person says so for all runs of a worker (`allow_ungated`), or for one run by typing `--without-gates`. `began`:
    when the stage began, if it did.
    """
    stage = plan.stages[place]
    if not stage.ungated:
        return stage.gate("before")
    return stage.gate("before", ungated=allow_ungated or await decisions.may_go_ungated(run, plan, began=began))
