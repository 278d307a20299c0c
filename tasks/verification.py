"""Proof from outside without a migration: one task per cluster, for the drift watch. Nothing here writes to Azure."""

from __future__ import annotations

from aks_entra import verifier
from aks_entra.core.evidence import Evidence, GroupSeen
from aks_entra.core.plan import FleetPlan
from aks_entra.core.verdict import Verdict, judge, unstarted
from aks_entra.declared import groups_seen
from aks_entra.executor import Job
from aks_entra.wiring import current_session
from tasks.observable import observable


@observable("verify")
async def verify_cluster(job: Job, kept: tuple[Evidence, ...], groups: tuple[GroupSeen, ...] = ()) -> Verdict:
    """Look at state, refusal, sign-in, nodes and workloads now, and judge it beside what was kept from before.

    `groups` is what was seen of the groups that the fleet file declares for it.
    """
    session = current_session()
    seen = await verifier.verify(session.ports, session.limits, job)
    return unstarted(job.plan) or judge(job.plan, (*kept, *seen, *groups))


@observable("look at declared groups", of="plan.name")
async def look_at_groups(plan: FleetPlan) -> dict[str, GroupSeen]:
    """What of the groups that the fleet file declares is otherwise now, by how the plan names them."""
    return await groups_seen(current_session().ports, plan)
