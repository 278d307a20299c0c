"""One task each to plan a rollback, to find break-glass tags, and to close an expired opening."""

from __future__ import annotations

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.planning import rollback
from aks_entra.wiring import current_session
from tasks.azure_task import observable


@observable("plan rollback", of="done.name")
async def plan_way_back(done: FleetPlan, clusters: tuple[ClusterId, ...], records: tuple[Record, ...]) -> FleetPlan:
    """Read the clusters as they are now, and plan the way back. Writes nothing."""
    return await rollback.plan_way_back(current_session().ports, done, clusters, records)


@observable("look for openings", of="subscription")
async def look_for_openings(subscription: str) -> tuple[tuple[ClusterId, Opening], ...]:
    """Return the clusters of a subscription whose tags show a break-glass opening."""
    return tuple([one async for one in _glass().openings(subscription)])


@observable("look at an opening", of="cluster")
async def look_at_opening(cluster: ClusterId) -> Opening | None:
    """Return the opening in the break-glass tags of one cluster. None if it has no such tags."""
    return (await _glass().current(cluster))[0]


@observable("close break-glass", of="record.cluster")
async def close_opening(record: OpeningRecord) -> Verdict:
    """Prove sign-in and close the opening in our own record. If that fails, accounts stay open: "failed"."""
    prover = Prover(object_id=(await current_session().ports.callers.prover()).object_id)
    return await _glass().close(ClusterId.parse(record.cluster), prover, record.opening, uid=record.uid)


def _glass() -> BreakGlass:
    session = current_session()
    return BreakGlass(session.ports, session.watch, session.executor, session.timeouts)
