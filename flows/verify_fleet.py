"""Prove fleets again, from outside, and report drift: what was reopened, and what is still owed. Reads only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.fleet_file.model import FleetFile
from aks_entra.planning.unreadable_cluster import words
from aks_entra.prefect_client import artifacts, events, migration_records, names, pages
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.run_log import PrefectLog, tell_verdict
from aks_entra.report.run_lines import unsettled
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from aks_entra.verification.fleet import Known, kept_evidence, waits_for_log
from flows.rollout.look import verify_each
from tasks.planning import plan_fleet
from tasks.session import open_session
from tasks.verification import look_at_groups, wait_for_log


@flow(name="verify-fleet", persist_result=False)
async def verify_fleet(fleet: FleetFile | None = None, plan: str | None = None) -> State[Any]:
    """Verify a fleet as it is now, a plan that was carried out, or (neither given) the last plan of every fleet.

    Args:
        fleet: the fleet file's content. It is planned again, and a cluster with steps left is not verified.
        plan: digest of a stored plan, `sha256:…`.
    """
    await register()
    problems: list[str] = []
    if fleet is not None:
        reports = [await verify_anew(fleet)]
    elif plan:
        reports = [await verify_plan(await migration_records.load_plan(plan))]
    else:
        found = await migration_records.last_found()
        problems += [str(one) for one in found.unread]
        reports = []
        for _, one in found.read:
            try:
                reports.append(await verify_plan(one))
            except Exception as error:  # noqa: BLE001 - the other fleets are still verified
                problems.append(f"fleet {one.name} (plan {names.short(one.digest)}): {words(error)}")
    unsound = []
    for report in reports:
        found_now = [verdict for verdict in report.verdicts if verdict.outcome in _ALARMING]
        await events.emit(*events.drift_found(report.name, found_now, len(report.verdicts)))
        unsound += found_now
    total = sum(len(report.verdicts) for report in reports)
    if unsound:
        problems.insert(0, f"{len(unsound)} of {total} clusters are not verified: {unsettled(unsound)}")
    if problems:
        return Failed(message="; ".join(map(for_log, problems)))
    return Completed(message=f"{total} clusters: no drift was found")


_ALARMING = {Outcome.FAILED, Outcome.NOT_VERIFIED}


async def verify_anew(fleet: FleetFile) -> FleetReport:
    """Plan the fleet as it is now, and judge each cluster by that plan."""
    wanted = fleet.to_fleet()
    async with open_session(Settings(), prover=wanted.prover, log=PrefectLog()):
        made = await plan_fleet(wanted)
        return await _report(made, Known(records=await migration_records.records(), anew=True))


async def verify_plan(plan: FleetPlan) -> FleetReport:
    """Judge each cluster by the plan that was carried out, with all evidence that was stored since."""
    kept = kept_evidence((await migration_records.verdicts(plan.digest)).values())
    journal = migration_records.PrefectJournal()
    async with open_session(Settings(), prover=plan.prover.spec, journal=journal, log=PrefectLog()):
        return await _report(plan, Known(records=await migration_records.records(), kept=kept))


async def _report(plan: FleetPlan, known: Known) -> FleetReport:
    began = datetime.now(UTC).isoformat()
    groups = await look_at_groups(plan)
    jobs = [Job(digest=plan.digest, plan=one, prover=plan.prover_of(one.cluster)) for one in plan.clusters]
    verdicts = await verify_each(plan, jobs, known, groups)
    if await wait_for_log(tuple(verdict for verdict in verdicts if waits_for_log(verdict))):
        late = [job for job, said in zip(jobs, verdicts, strict=True) if waits_for_log(said)]
        again = {said.cluster.key: said for said in await verify_each(plan, late, known, groups)}
        verdicts = tuple(again.get(said.cluster.key, said) for said in verdicts)
    for verdict in verdicts:
        tell_verdict(verdict)
    report = FleetReport(
        name=plan.name,
        plan_digest=plan.digest,
        started_at=began,
        verdicts=verdicts,
        ended_at=datetime.now(UTC).isoformat(),
        skip_rules=plan.skip_rules,
    )
    await migration_records.store_report(report, purpose="verification")
    await artifacts.show(names.key("page-verification", plan.name), kind="markdown", data=pages.report_page(report))
    return report
