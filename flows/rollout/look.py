"""Verifies several clusters. An error of one cluster changes only the verdict of that cluster."""

from __future__ import annotations

from collections.abc import Iterable

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.evidence.observations import GroupSeen
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.planning.group_drift import of_cluster
from aks_entra.planning.unreadable_cluster import words
from aks_entra.verification.fleet import Known
from tasks.verification import verify_cluster

AT_A_TIME = 20


async def verify_each(jobs: Iterable[Job], known: Known, groups: dict[str, GroupSeen]) -> tuple[Verdict, ...]:
    """Return the verdict of each cluster, in the order of the jobs. `groups` is what `look_at_groups` returned."""

    async def one(job: Job) -> Verdict:
        return await _verify_or_say(job, known.of(job.plan.cluster), of_cluster(job.plan, groups))

    return await bounded_gather(one, jobs, at_once=AT_A_TIME)


async def _verify_or_say(job: Job, known: Known, groups: tuple[GroupSeen, ...]) -> Verdict:
    """Verify one cluster. If that fails, it is not verified, and the verdict says why."""
    try:
        return await verify_cluster(job, known, groups)
    except Exception as error:  # noqa: BLE001 - the other clusters are still verified
        because = f"the cluster could not be verified: {words(error)}"
        return Verdict(cluster=job.plan.cluster, outcome=Outcome.NOT_VERIFIED, because=(because,))
