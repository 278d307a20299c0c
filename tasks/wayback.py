"""Planning a rollback, and looking for break-glass openings whose time is over: one task each."""

from __future__ import annotations

from aks_entra import wayback
from aks_entra.break_glass import BreakGlass
from aks_entra.core.cluster import ClusterId
from aks_entra.core.debt import Record
from aks_entra.core.opening import Opening
from aks_entra.core.plan import FleetPlan, Prover
from aks_entra.core.verdict import Verdict
from aks_entra.wiring import current_session
from tasks.observable import observable


@observable("plan rollback", of="done.name")
async def plan_way_back(done: FleetPlan, clusters: tuple[ClusterId, ...], records: tuple[Record, ...]) -> FleetPlan:
    """Read the clusters as they are now and decide the way back. Writes nothing."""
    return await wayback.plan_way_back(current_session().ports, done, clusters, records)


@observable("look for openings", of="subscription")
async def look_for_openings(subscription: str) -> tuple[tuple[ClusterId, Opening], ...]:
    """The clusters of a subscription whose tags say that local accounts are open for a time."""
    return tuple([one async for one in _glass().openings(subscription)])


@observable("close break-glass", of="cluster")
async def close_opening(cluster: ClusterId) -> Verdict:
    """Prove sign-in and close. Where it fails accounts stay open, and the verdict is "failed"."""
    prover = await current_session().ports.callers.prover()
    return await _glass().close(cluster, Prover(object_id=prover.object_id))


def _glass() -> BreakGlass:
    session = current_session()
    return BreakGlass(session.ports, session.watch, session.executor, session.limits)
