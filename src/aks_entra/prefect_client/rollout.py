"""A rollout's state, read from Prefect's server once: before a stage, after an answer and after the batches.

It also reads why batches failed, for the report.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.next_action import RolloutState
from aks_entra.prefect_client import decisions, lineage, migration_records, progress, runs, skips
from aks_entra.prefect_client.flow_run_list import all_runs
from aks_entra.prefect_client.names import coordinator_tag, slug


async def read_rollout(run: UUID, plan: FleetPlan, *, allow_ungated: bool) -> RolloutState:
    """Read what is stored of a plan and of the run that carries it out. `allow_ungated`: the worker's setting."""
    async with get_client() as client:
        *_, first = await lineage.lineage(client, run)
    skipped = await skips.all_left_out(plan.digest)
    state = RolloutState(
        plan=plan,
        began=runs.began_at(first),
        verdicts=await migration_records.verdicts(plan.digest),
        skipped=frozenset(one.cluster for one in plan.clusters if slug(one.cluster) in skipped),
        finished=await progress.finished(run, follows=plan.follows),
        reached=await progress.all_reached(plan),
    )
    return await _with_decisions(run, state, allow_ungated=allow_ungated)


async def _with_decisions(run: UUID, state: RolloutState, *, allow_ungated: bool) -> RolloutState:
    """Add who approved the gates of the current stage, and whether it may begin without an approval."""
    plan, place = state.plan, state.current
    if place == len(plan.stages):
        return state
    typed = not allow_ungated and plan.stages[place].ungated and await decisions.may_go_ungated(run, plan)
    state = replace(state, ungated=allow_ungated or typed)
    approvals: dict[Side, Approval] = {}
    for side in progress.SIDES:
        gate = state.gate(place, side)
        if gate is not None and gate.approval:
            found = await decisions.decided(run, decisions.question_of(plan, place, side))
            approvals |= {side: found} if found else {}
    return replace(state, approvals=approvals)


async def batch_failures(run: UUID) -> dict[str, str]:
    """Return what the failed batches of a coordinator said, on one line, by the clusters (`ClusterId.key`) they had."""
    async with get_client() as client:
        batches = await all_runs(
            client, flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[coordinator_tag(run)]))
        )
    found: dict[str, str] = {}
    for batch in batches:  # the newest first
        if batch.state is not None and (batch.state.is_failed() or batch.state.is_crashed()):
            said = " ".join((batch.state.message or "").split())
            members = (str(one).lower().rstrip("/") for one in batch.parameters.get("members", ()))
            found = {**dict.fromkeys(members, said), **found}
    return found
