"""Verifies several clusters, each where it can be reached. An error of one cluster changes only its own verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.evidence.observations import GroupSeen
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import MemberGroup
from aks_entra.core.verdict.verdict import Outcome, Verdict, unstarted
from aks_entra.planning.group_drift import of_cluster
from aks_entra.planning.unreadable_cluster import words
from aks_entra.prefect_client.migration_records import PrefectJournal
from aks_entra.prefect_client.part_runs import verify_elsewhere
from aks_entra.prefect_client.run_log import PrefectLog
from aks_entra.settings import Settings
from aks_entra.verification.fleet import Known
from tasks.session import open_session
from tasks.verification import verify_cluster

AT_A_TIME = 20


async def verify_each(
    plan: FleetPlan, jobs: Iterable[Job], known: Known, groups: dict[str, GroupSeen]
) -> tuple[Verdict, ...]:
    """Return the verdict of each cluster, in the order of the jobs: by a worker of its work queue, as its prover.

    `groups` is what `look_at_groups` returned.
    """
    wanted = {job.plan.cluster.key: job for job in jobs}

    async def of(group: MemberGroup) -> tuple[Verdict, ...]:
        own = [wanted[member.key] for member in group.members]
        begun = [job for job in own if unstarted(job.plan) is None]  # nobody looks at the others
        if group.work_queue and begun:
            elsewhere = replace(group, members=tuple(job.plan.cluster for job in begun))
            try:
                looked = await verify_elsewhere(plan, elsewhere, anew=known.anew)
            except Exception as error:  # noqa: BLE001 - the other groups are still verified
                looked = tuple(_unverified(job, error) for job in begun)
            return (*looked, *await verify_here([job for job in own if job not in begun], known, groups))
        if group.prover is None:
            return await verify_here(own, known, groups)
        journal = PrefectJournal()
        async with open_session(Settings(), prover=group.prover.spec, journal=journal, log=PrefectLog()):
            return await verify_here(own, known, groups)

    members = tuple(job.plan.cluster for job in wanted.values())
    found = await asyncio.gather(*(of(group) for group in plan.groups_of(members)))
    verdicts = {one.cluster.key: one for several in found for one in several}
    return tuple(verdicts[key] for key in wanted)


async def verify_here(jobs: Iterable[Job], known: Known, groups: dict[str, GroupSeen]) -> tuple[Verdict, ...]:
    """Return the verdict of each cluster, as this process sees it in the open session."""

    async def one(job: Job) -> Verdict:
        try:
            return await verify_cluster(job, known.of(job.plan.cluster), of_cluster(job.plan, groups))
        except Exception as error:  # noqa: BLE001 - the other clusters are still verified
            return _unverified(job, error)

    return await bounded_gather(one, jobs, at_once=AT_A_TIME)


def _unverified(job: Job, error: Exception) -> Verdict:
    because = f"the cluster could not be verified: {words(error)}"
    return Verdict(cluster=job.plan.cluster, outcome=Outcome.NOT_VERIFIED, because=(because,))
