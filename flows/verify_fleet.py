"""Prove fleets again, from outside: what was reopened, what is still owed, what is as it was left. Reads only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed

from aks_entra.core.plan import FleetPlan
from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.declared import of_cluster
from aks_entra.executor import Job
from aks_entra.fleet_file import FleetFile
from aks_entra.prefect_client import archive, names, pages, store
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.surveys import plan_fleet
from tasks.verification import look_at_groups, verify_cluster

AT_A_TIME = 20


@flow(name="verify-fleet", persist_result=False)
async def verify_fleet(fleet: FleetFile | None = None, plan: str | None = None) -> State[Any]:
    """Verify a fleet as it is now, a plan that was carried out, or (neither given) the last plan of every fleet.

    Args:
        fleet: the fleet file's content; it is planned anew, and what it still lacks is not verified.
        plan: digest of a stored plan, `sha256:…`.
    """
    await sign_on()
    if fleet is not None:
        reports = [await verify_anew(fleet)]
    else:
        plans = [await archive.load_plan(plan)] if plan else await archive.last_plans()
        reports = [await verify_plan(one) for one in plans]
    unsound = [verdict for report in reports for verdict in report.verdicts if verdict.outcome in _ALARMING]
    for verdict in unsound:
        emit_event(
            "aks-entra.drift.found",
            resource={"prefect.resource.id": f"aks-entra.cluster{verdict.cluster.key}"},
            payload={"outcome": verdict.outcome, "because": list(verdict.because), "next": verdict.next},
        )
    total = sum(len(report.verdicts) for report in reports)
    if unsound:
        return Failed(message=f"{len(unsound)} of {total} clusters are not verified: see the report")
    return Completed(message=f"{total} clusters: none is otherwise than it should be")


_ALARMING = {Outcome.FAILED, Outcome.NOT_VERIFIED}


async def verify_anew(fleet: FleetFile) -> FleetReport:
    """Plan the fleet as it is now, and judge each cluster by that plan."""
    wanted = fleet.to_fleet()
    async with open_session(Settings(), prover=wanted.prover):
        made = await plan_fleet(wanted)
        return await _report(made, {})


async def verify_plan(plan: FleetPlan) -> FleetReport:
    """Judge each cluster by the plan that was carried out, with the evidence that was kept then."""
    async with open_session(Settings(), prover=plan.prover.spec, journal=archive.PrefectJournal()):
        return await _report(plan, await archive.verdicts(plan.digest))


async def _report(plan: FleetPlan, known: dict[str, Verdict]) -> FleetReport:
    began = datetime.now(UTC).isoformat()
    places = asyncio.Semaphore(AT_A_TIME)
    groups = await look_at_groups(plan)

    async def one(job: Job) -> Verdict:
        async with places:
            kept = archive.kept_evidence(known.get(job.plan.cluster.key))
            return await verify_cluster(job, kept, of_cluster(job.plan, groups))

    jobs = [Job(digest=plan.digest, plan=member, prover=plan.prover) for member in plan.clusters]
    report = FleetReport(
        name=plan.name,
        plan_digest=plan.digest,
        started_at=began,
        verdicts=tuple(await asyncio.gather(*(one(job) for job in jobs))),
        ended_at=datetime.now(UTC).isoformat(),
        skip_rules=plan.skip_rules,
    )
    await archive.store_report(report, purpose="verification")
    await store.show(names.key("page-verification", plan.name), kind="markdown", data=pages.report_page(report))
    return report
