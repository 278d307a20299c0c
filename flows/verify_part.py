"""Verify some clusters of a plan inside of their network. The run that starts this one puts the verdicts together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.report import FleetReport
from aks_entra.prefect_client import migration_records, part_runs
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.run_log import PrefectLog
from aks_entra.settings import Settings
from aks_entra.verification.fleet import Known, kept_evidence
from flows.rollout.look import verify_here
from tasks.session import open_session
from tasks.verification import look_at_groups


@flow(name="verify-part", persist_result=False)
async def verify_part(plan_of: str, members: list[str], anew: bool = False) -> State[Any]:
    """Verify clusters of one work queue as the prover of their group. It only reads.

    Args:
        plan_of: id of the run that asks. It stored the plan.
        members: ARM ids of the clusters.
        anew: the plan was made just now, so all its steps are left to do.
    """
    await register()
    began = datetime.now(UTC).isoformat()
    plan = await part_runs.plan_of(UUID(plan_of))
    clusters = tuple(map(ClusterId.parse, members))
    (group,) = plan.groups_of(clusters)
    prover = group.prover or plan.prover
    kept = {} if anew else kept_evidence((await migration_records.verdicts(plan.digest)).values())
    known = Known(records=await migration_records.records(), kept=kept, anew=anew)
    jobs = [Job(digest=plan.digest, plan=plan.plan_for(one), prover=prover) for one in clusters]
    journal = migration_records.PrefectJournal()
    async with open_session(Settings(), prover=prover.spec, journal=journal, log=PrefectLog()):
        verdicts = await verify_here(jobs, known, await look_at_groups(plan))
    report = FleetReport(
        name=plan.name,
        plan_digest=plan.digest,
        started_at=began,
        verdicts=verdicts,
        ended_at=datetime.now(UTC).isoformat(),
        skip_rules=plan.skip_rules,
    )
    await part_runs.store_verdicts(report)
    return Completed(message=f"{len(verdicts)} clusters were looked at")
