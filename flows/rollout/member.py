"""Migrates one cluster of a batch under its lease, with one Prefect task for each part of a step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.hooks.model import Hook
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import Step
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.prefect_client import events
from aks_entra.prefect_client.batch_progress import BatchTracker
from aks_entra.prefect_client.break_glass_records import still_free
from aks_entra.prefect_client.leases import Leases
from aks_entra.prefect_client.migration_records import store_verdict_or_say
from aks_entra.prefect_client.run_log import tell_verdict
from aks_entra.wiring import current_session
from flows.rollout.cancellation import store_stopped_verdict
from flows.rollout.hooks import run_hooks
from tasks.steps import Part, StillOurs, look, perform


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRunner:
    """What the executor's loop leaves to a batch: the lease, the tasks, and the record of a cancelled cluster."""

    leases: Leases
    tracker: BatchTracker
    after: tuple[Hook, ...]  # of the cluster

    @asynccontextmanager
    async def hold(self, cluster: ClusterId) -> AsyncIterator[StillOurs]:
        """Take the cluster's lease."""
        async with self.leases.of(cluster) as hold:
            yield partial(still_free, hold, cluster)

    async def remaining(self, job: Job) -> tuple[Step, ...]:
        """Run the task that reads which steps are left."""
        with self.tracker.step(job.plan.cluster, look.name):
            return await look(job)

    async def perform(self, job: Job, step: Step, part: Part) -> tuple[Evidence, ...]:
        """Run the task of one part of a step."""
        with self.tracker.step(job.plan.cluster, part.title):
            return await perform(job, step, part)

    async def stopped(self, job: Job, evidence: tuple[Evidence, ...], at: Step | None) -> None:
        """Store how far the cancelled cluster got."""
        await store_stopped_verdict(job, evidence, at, self.after)


async def migrate_member(job: Job, leases: Leases, tracker: BatchTracker, after: tuple[Hook, ...]) -> Verdict:
    """Migrate one cluster, run the hooks after its rotation, and store its verdict.

    Only a cancellation is raised: the rest of the batch continues.
    """
    runner = BatchRunner(leases=leases, tracker=tracker, after=after)
    verdict = await current_session().executor.migrate(job, runner)
    verdict = await run_hooks(job, after, verdict, tracker)
    if problem := await store_verdict_or_say(job.digest, verdict):
        verdict = replace(verdict, outcome=Outcome.FAILED, because=(problem, *verdict.because), grade=None)
    await events.emit(*events.hooks_left(job.digest, verdict))
    tell_verdict(verdict)
    return verdict
