"""Migrate clusters of one stage in this process: one task for each part of a step, one verdict for each cluster."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.access.approvers import stage_approvers
from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.planning.rollout import Stage, stage_result
from aks_entra.core.rollout.cluster_start import NotBegun, StartFacts, not_begun
from aks_entra.core.rollout.state import counts_against
from aks_entra.core.verdict.verdict import Reason, Verdict
from aks_entra.errors import Refused
from aks_entra.prefect_client import progress
from aks_entra.prefect_client.batch_permission import permission
from aks_entra.prefect_client.batch_progress import BatchTracker, noted
from aks_entra.prefect_client.concurrency import ConcurrencySlots, Failures, coordinator
from aks_entra.prefect_client.leases import Leases, hold_leases
from aks_entra.prefect_client.lineage import named
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.migration_records import PrefectJournal, load_plan_of
from aks_entra.prefect_client.names import NOT_QUIET, WINDOW_CLOSED, short
from aks_entra.prefect_client.run_log import PrefectLog, tell
from aks_entra.prefect_client.skips import left_out
from aks_entra.prefect_client.stored_documents import words_of
from aks_entra.report.run_lines import unsettled
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from aks_entra.wiring import load_kubernetes
from flows.rollout.cancellation import cancel_in_order, waiting_for_slot
from flows.rollout.listener import Listener
from flows.rollout.member import migrate_member
from flows.rollout.outcome import leave_out
from flows.rollout.signatures import read_signatures
from tasks.planning import read_windows
from tasks.session import open_session

load_kubernetes()  # before the event loop of the run begins: every cluster of a batch is proven at its API server


@flow(name="migrate-batch", persist_result=False)
async def migrate_batch(plan: str, stage: str, members: list[str]) -> State[Any]:
    """Carry out an approved plan for some clusters of one stage.

    Args:
        plan: digest of a stored plan.
        stage: name of the stage in the plan.
        members: ARM ids of the clusters.
    """
    return await cancel_in_order(migrate_members(plan, stage, members))


async def migrate_members(plan: str, stage: str, members: list[str]) -> State[Any]:
    """Migrate the clusters, as many at the same time as the stage allows."""
    await register()
    started_by = coordinator()
    fleet = await load_plan_of(plan, *named(started_by))
    place, clusters = members_of_stage(fleet, stage, members)
    current, prover = fleet.stages[place], the_prover(fleet, clusters)
    settings = Settings()
    allowed = await permission(
        fleet,
        place,
        started_by,
        allow_ungated=settings.allow_ungated,
        read=read_signatures,
        accepted=stage_approvers(settings),
    )
    slots, failures = ConcurrencySlots(fleet.digest, current), Failures(fleet.digest, current, coordinator=started_by)
    jobs = [
        Job(digest=fleet.digest, plan=fleet.plan_for(one), prover=prover, skips=fleet.skip_rules) for one in clusters
    ]

    ended: list[Verdict] = []
    tracker = BatchTracker(fleet, clusters)
    listener = Listener(current.gate("before"), clusters)

    async def in_turn(job: Job, leases: Leases) -> Reason:
        after = fleet.hooks_of(job.plan.cluster)
        async with waiting_for_slot(slots.of(job.plan.cluster), job, after):
            why = await reason_not_to_begin(current, job, failures, listener if allowed.writes else None)
            if why is not None:
                tracker.give(*await leave_out(fleet, (job.plan.cluster,), why.because, why.reason))
                return why.reason
            listener.begun(job.plan.cluster)
            tell(f"{job.plan.cluster}: the migration begins, under plan {short(job.digest)}")
            verdict = await migrate_member(job, leases, tracker, after)
            tracker.give(verdict)
            ended.append(verdict)
            if counts_against(job.plan, verdict):
                await failures.note(job.plan.cluster)
            return Reason.NONE

    async with (
        open_session(
            Settings(),
            prover=prover.spec,
            journal=PrefectJournal(),
            log=PrefectLog(),
            look_only=not allowed.writes,
        ),
        hold_leases(clusters) as held,
        noted(tracker),
    ):
        left = await asyncio.gather(
            *(in_turn(job, held) for job in jobs), return_exceptions=True
        )  # the error of one cluster does not stop the others
    broken = [
        f"{job.plan.cluster}: {words_of(one)}"
        for job, one in zip(jobs, left, strict=True)
        if isinstance(one, BaseException)
    ]
    if broken:
        return Failed(message=f"the results of these clusters are not stored: {'; '.join(map(for_log, broken))}")
    result = stage_result(current, await failures.count())
    message = for_log(" · ".join(part for part in (result.because, unsettled(ended)) if part))
    if not result.go_on:
        return Failed(message=message)
    if late := left.count(Reason.WINDOW_CLOSED):
        return Completed(name=WINDOW_CLOSED, message=f"{late} of {len(left)} wait for the next opening of their window")
    if calling := left.count(Reason.NOT_QUIET):
        return Completed(name=NOT_QUIET, message=f"{calling} of {len(left)} wait until their logs are quiet again")
    return Completed(message=message)


def members_of_stage(plan: FleetPlan, stage: str, members: list[str]) -> tuple[int, tuple[ClusterId, ...]]:
    """Return the index of the stage, and the clusters. Refused for clusters of another stage: it has its own gate."""
    place = next((place for place, one in enumerate(plan.stages) if one.name == stage), None)
    if place is None:
        names = ", ".join(one.name for one in plan.stages)
        raise Refused(f"`stage`: plan {short(plan.digest)} has no stage {stage!r}", remedy=f"it has {names}")
    own = {member.key: member for member in plan.stages[place].members}
    strange = [member for member in members if member.lower().rstrip("/") not in own]
    if strange:
        raise Refused(
            f"`members`: stage {stage} of plan {short(plan.digest)} has no cluster {strange[0]}",
            remedy="start migrate-fleet with this plan: it starts the batches of each stage itself",
        )
    return place, tuple(own[member.lower().rstrip("/")] for member in members)


def the_prover(plan: FleetPlan, clusters: tuple[ClusterId, ...]) -> Prover:
    """Return who proves sign-in at these clusters. Refused if they belong to several work queues or provers."""
    groups = plan.groups_of(clusters)
    if len(groups) != 1:
        raise Refused(
            f"`members`: these clusters belong to {len(groups)} groups with different work queues or provers",
            remedy="start migrate-fleet with this plan: it starts the batches of each stage itself",
        )
    return groups[0].prover or plan.prover


async def reason_not_to_begin(stage: Stage, job: Job, failures: Failures, listener: Listener | None) -> NotBegun | None:
    """Read what is known when a cluster could begin. Returns why it is not begun, or None.

    `listener` reads the audit logs; None if the batch may not write.
    """
    gate, cluster = stage.gate("before"), job.plan.cluster
    windows = (await read_windows((cluster,)))[0] if gate and gate.maintenance_window else ()
    left = await left_out(job.digest, cluster)
    at_start = StartFacts(
        failures=await failures.count(),
        skipped=left.words if left else "",
        maintenance=windows,
        listened=await listener.listened() if listener else (),
        writes=listener is not None,
    )
    return not_begun(stage, at_start, progress.now())
