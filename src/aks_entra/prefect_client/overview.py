"""Which runs wait, for whom or for what, and until when: every gate of a Prefect server in one list."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
)

from aks_entra.core.durations import stamp
from aks_entra.core.rollout.quiet import CallersAtGate
from aks_entra.errors import Refused
from aks_entra.prefect_client import approvals, gate_callers, migration_records, names
from aks_entra.prefect_client.approvals import Gate
from aks_entra.prefect_client.flow_run_list import all_runs
from aks_entra.prefect_client.waiting import REASON, WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One run that waits. `until` (ISO 8601) is empty if it waits for a person; `plan` (short) if it has no plan."""

    run: UUID
    plan: str
    because: str
    until: str = ""
    callers: CallersAtGate | None = None  # who keeps a gate shut that waits for quiet audit logs

    @property
    def page(self) -> str:
        """Its page in Prefect's UI."""
        return names.run_page(self.run)


async def waiting() -> tuple[Waiting, ...]:
    """Return the runs that wait now: first those that wait for a person, then the others, soonest first."""
    people = [
        Waiting(run=gate.run, plan=names.short(gate.plan), because=await _question(gate))
        for gate in await approvals.gates()
    ]
    async with get_client() as client:
        put_off = await all_runs(
            client,
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(names.GATED))),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=[WAITING]))),
        )
    timed = [
        Waiting(
            run=run.id,
            plan=next((tag.removeprefix("plan:") for tag in run.tags if tag.startswith("plan:")), ""),
            because=str(run.labels.get(REASON) or run.state.message or ""),  # runs of earlier versions have no label
            until=stamp(run.state.state_details.scheduled_time),
            callers=await gate_callers.stored(run.id),
        )
        for run in put_off
        if run.state is not None and run.state.state_details.scheduled_time is not None
    ]
    return (*people, *sorted(timed, key=lambda one: one.until))


async def _question(gate: Gate) -> str:
    """Say what has to be approved: a stage of a plan, or a request that has no plan."""
    about = await asked_about(gate)
    if about is None:
        return f"an approval of {gate.run_name}"
    return f"gate {gate.moment} stage {about[1]}: an approval"


async def asked_about(gate: Gate) -> tuple[str, str] | None:
    """Return the fleet and the stage of a gate. None if it asks about a request, or if its plan cannot be read."""
    try:
        plan = await migration_records.load_plan(gate.plan)
    except Refused:
        return None
    return plan.name, plan.stages[gate.stage].name
