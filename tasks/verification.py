"""Proof from outside without a migration: one task per cluster, for the drift watch. Nothing here writes to Azure."""

from __future__ import annotations

from aks_entra import verifier
from aks_entra.core.evidence import Evidence
from aks_entra.core.verdict import Verdict, judge, unstarted
from aks_entra.executor import Job
from aks_entra.wiring import current_session
from tasks.observable import observable


@observable("verify")
async def verify_cluster(job: Job, kept: tuple[Evidence, ...]) -> Verdict:
    """Look at state, refusal, sign-in, nodes and workloads now, and judge it beside what was kept from before."""
    session = current_session()
    seen = await verifier.verify(session.ports, session.limits, job)
    return unstarted(job.plan) or judge(job.plan, (*kept, *seen))
