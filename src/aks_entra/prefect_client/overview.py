"""Which runs wait, for whom or for what, and until when: every gate of a Prefect server at one look."""

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
from aks_entra.errors import Refused
from aks_entra.prefect_client import approvals, archive, names
from aks_entra.prefect_client.approvals import Gate
from aks_entra.prefect_client.waiting import WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One run that waits. `until` (ISO 8601) is empty for one that waits for a person; `plan`: short, empty: none."""

    run: UUID
    plan: str
    because: str
    until: str = ""

    @property
    def page(self) -> str:
        """Its page in Prefect's UI."""
        return names.run_page(self.run)


async def waiting() -> tuple[Waiting, ...]:
    """Everything that waits now: for a person first, then for a time, the nearest first."""
    people = [
        Waiting(run=gate.run, plan=names.short(gate.plan), because=await _question(gate))
        for gate in await approvals.gates()
    ]
    async with get_client() as client:
        put_off = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(names.GATED))),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=[WAITING]))),
        )
    timed = [
        Waiting(
            run=run.id,
            plan=next((tag.removeprefix("plan:") for tag in run.tags if tag.startswith("plan:")), ""),
            because=(run.state.message or "").partition(": ")[2],
            until=stamp(run.state.state_details.scheduled_time),
        )
        for run in put_off
        if run.state is not None and run.state.state_details.scheduled_time is not None
    ]
    return (*people, *sorted(timed, key=lambda one: one.until))


async def _question(gate: Gate) -> str:
    """What is to be approved: a stage of a plan, or something that has none."""
    try:
        stage = (await archive.load_plan(gate.plan)).stages[gate.stage].name
    except Refused:
        return f"an approval of {gate.run_name}"
    return f"gate {gate.moment} stage {stage}: an approval"
