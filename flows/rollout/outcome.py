"""Ends a fleet's rollout. Its verdicts are those that are stored, never what a run remembers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.actions import End, WaitUntil
from aks_entra.core.rollout.next_action import RolloutState
from aks_entra.core.rollout.state import lacks_an_end, verified_before, without_an_end
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Reason, Verdict, unfinished, unstarted
from aks_entra.prefect_client import migration_records, rollout, rollout_history, runs
from aks_entra.prefect_client.hooks import with_kept_runs
from aks_entra.prefect_client.run_log import PrefectLog, tell_verdict
from aks_entra.report.run_lines import unsettled
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from aks_entra.verification.fleet import Known, kept_evidence
from flows.rollout.look import verify_each
from flows.rollout.signatures import check_signatures
from tasks.planning import shown_writes
from tasks.session import open_session


async def leave_out(
    plan: FleetPlan, clusters: tuple[ClusterId, ...], because: str, reason: Reason
) -> tuple[Verdict, ...]:
    """Store verdicts that say why clusters were not begun, and return them. They keep evidence of earlier attempts."""
    found = []
    known = await migration_records.verdicts(plan.digest, clusters) if clusters else {}
    for member in clusters:
        own = plan.plan_for(member)
        so_far = await migration_records.evidence_so_far(own, plan.digest, known.get(member.key))
        verdict = unfinished(own, so_far, because, reason)
        verdict = await with_kept_runs(plan.digest, plan.hooks_of(member), verdict, because)
        tell_verdict(verdict)
        await migration_records.store_verdict(plan.digest, verdict)
        found.append(verdict)
    return tuple(found)


async def close(run: UUID, state: RolloutState, end: End | WaitUntil) -> State[Any]:
    """Store the fleet's report under the plan's digest. Returns the state in which the run ends."""
    plan, began = state.plan, await runs.began(run)
    stopped, reached = (end.stopped, end.reached) if isinstance(end, End) else ("", len(end.results))
    report = FleetReport(
        name=plan.name,
        plan_digest=plan.digest,
        started_at=began,
        ended_at=datetime.now(UTC).isoformat(),
        verdicts=await look_again(
            plan, await final_verdicts(run, state, reached, stopped), datetime.fromisoformat(began)
        ),
        stages=end.results,
        skip_rules=plan.skip_rules,
        history=await rollout_history.read_history(run, plan, check_signatures),
    )
    await migration_records.store_report(report)
    await rollout_history.show_timeline(report)
    for verdict in report.verdicts:
        tell_verdict(verdict)
    counted = ", ".join(f"{number} {outcome}" for outcome, number in report.counts().items())
    counted = " · ".join(part for part in (counted, unsettled(report.verdicts)) if part)
    if not stopped:
        return Completed(message=for_log(counted))
    if isinstance(end, End) and end.rejected:
        return Cancelled(name="Rejected", message=for_log(f"{stopped} · {counted}"))
    return Failed(message=for_log(f"{stopped} · {counted}"))


async def final_verdicts(run: UUID, state: RolloutState, reached: int, stopped: str) -> tuple[Verdict, ...]:
    """Return every cluster's verdict: preflight's refusal, the stored one, or one from the evidence and Azure.

    `reached` is how many stages were begun. `stopped` says why the others were not.
    """
    plan, known = state.plan, state.verdicts
    unsaid = tuple(one.cluster for one in plan.clusters if lacks_an_end(one, known.get(one.cluster.key)))
    logged = await written_on(plan, unsaid)
    failures = await rollout.batch_failures(run) if unsaid else {}
    found = []
    for place, stage in enumerate(plan.stages):
        for member in stage.members:
            own, verdict = plan.plan_for(member), known.get(member.key)
            if member in logged:
                so_far = await migration_records.evidence_so_far(own, plan.digest, verdict)
                halted, ended = "" if place < reached else stopped, failures.get(member.key, "")
                verdict = without_an_end(own, verdict, so_far, logged[member], halted, ended)
            end = unstarted(own) or verdict or unfinished(own, (), stopped, Reason.NOT_REACHED)
            found.append(await with_kept_runs(plan.digest, plan.hooks_of(member), end, "its batch ended before it"))
    return tuple(found)


async def look_again(plan: FleetPlan, verdicts: tuple[Verdict, ...], began: datetime) -> tuple[Verdict, ...]:
    """Verify again the clusters that only an earlier run verified.

    A run calls a cluster "verified" only after a look of its own, because somebody may have opened it before.
    """
    earlier = {verdict.cluster: verdict for verdict in verdicts if verified_before(verdict, began)}
    if not earlier:
        return verdicts
    known = Known(records=await migration_records.records(), kept=kept_evidence(earlier.values()))
    jobs = [Job(digest=plan.digest, plan=plan.plan_for(cluster), prover=plan.prover_of(cluster)) for cluster in earlier]
    journal = migration_records.PrefectJournal()
    async with open_session(Settings(), prover=plan.prover.spec, journal=journal, log=PrefectLog()):
        seen = await verify_each(plan, jobs, known, {})
    found = dict(zip(earlier, seen, strict=True))
    return tuple(found.get(verdict.cluster, verdict) for verdict in verdicts)


async def written_on(plan: FleetPlan, clusters: tuple[ClusterId, ...]) -> dict[ClusterId, tuple[str, ...] | None]:
    """Return what Azure shows as written on the clusters. Only clusters of stages that ran are read."""
    begun = await runs.stages_begun(plan.digest, plan.replaces)
    asked = {member for stage in plan.stages if stage.name in begun for member in stage.members} & set(clusters)
    found: dict[ClusterId, tuple[str, ...] | None] = dict.fromkeys(clusters, ())
    if asked:
        wanted = tuple(cluster for cluster in clusters if cluster in asked)
        async with open_session(Settings(), prover=plan.prover.spec):
            found |= dict(zip(wanted, await shown_writes(plan, wanted), strict=True))
    return found
