"""One cluster's way through an approved plan: claimed, step by step, to a verdict. Its failure is a value."""

from __future__ import annotations

import asyncio

from aks_entra import proofs
from aks_entra.core.steps import Step
from aks_entra.core.verdict import Verdict, judge
from aks_entra.executor import Job, failure
from aks_entra.prefect_client.archive import store_evidence, store_verdict, surviving_evidence
from aks_entra.prefect_client.claims import Claims
from aks_entra.wiring import current_session
from flows.stopping import tell_stopped
from tasks.steps import look, perform


async def migrate_member(job: Job, claims: Claims) -> Verdict:
    """Look what is left of the plan, do it, judge what was seen. What a step did is stored before the next."""
    session, cluster = current_session(), job.plan.cluster
    at: Step | None = None
    evidence = await surviving_evidence(job.plan, job.digest)
    try:
        async with claims.of(cluster):
            for step in await look(job):
                at = step
                seen = await perform(job, step)
                await store_evidence(job.digest, cluster, step.kind, seen)
                evidence += seen
    except asyncio.CancelledError:
        await tell_stopped(job, evidence, at)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was, it is this cluster's result and nobody else's
        evidence += (failure(error, proofs.stamp(session.ports.clock)),)
    finally:
        session.executor.forget(cluster)
    verdict = judge(job.plan, evidence)
    await store_verdict(job.digest, verdict)
    return verdict
