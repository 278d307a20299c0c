"""The words hold in the world in memory: a credential that works is never called dead, whoever handed it out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import (
    AdminCredentialRefused,
    CertificatesRotated,
    CredentialTried,
    Evidence,
    HandedOut,
    LocalAccountsEnabled,
    Moment,
    SignInProven,
)
from aks_entra.core.evidence.rotation_debt import Debt, Record
from aks_entra.core.evidence.sightings import records_in
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.steps import DisableLocalAccounts, ProveSignIn
from aks_entra.core.verdict.verdict import Grade, Outcome, Verdict
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.planning.inventory import inventory
from aks_entra.planning.planner import plan_fleet
from aks_entra.planning.selection import Selection
from aks_entra.verification.fleet import Known, complete_at, kept_evidence, verify_cluster, waits_for_log
from tests.support.executor_jobs import CREATED, job_for, job_of, planned
from tests.support.memory_model import ADMINS, PROVER, SUBSCRIPTION, Cluster
from tests.support.memory_ports import World

WHOLE = Selector(subscription=SUBSCRIPTION)
TARGET = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),))


class ClusterHistory:
    """One cluster, migrated and verified, and what our reports say of it."""

    def __init__(self) -> None:
        self.world = World()
        self.cluster: Cluster = self.world.add()
        self.evidence: tuple[Evidence, ...] = ()
        self.reports: tuple[Record, ...] = ()
        self.plan: FleetPlan

    async def migrate(self) -> Job:
        self.plan = await planned(self.world)
        job = job_of(self.plan)
        verdict = await self.world.process().executor.migrate(job)
        assert verdict.outcome is Outcome.VERIFIED
        self.keep(verdict)
        self.evidence = verdict.evidence
        return job

    def keep(self, verdict: Verdict) -> None:
        self.reports += records_in(self.cluster.id.key, verdict.evidence, "report")

    async def verify(self, job: Job, *, kept: bool = True) -> Verdict:
        process = self.world.process()
        known = Known(records=self.reports, kept={self.cluster.id.key: self.evidence} if kept else {})
        verdict = await verify_cluster(process.ports, process.timeouts, job, known)
        self.keep(verdict)
        return verdict

    async def debt(self) -> Debt:
        ports = self.world.process().ports
        (row,) = await inventory(ports, Selection(selectors=(WHOLE,)), probe=False, read=True, records=self.reports)
        return row.old_credentials.debt

    async def steps(self) -> set[str]:
        fleet = Fleet(name="prod", selectors=(WHOLE,), target=TARGET)
        plan = await plan_fleet(self.world.process().ports, fleet, self.reports)
        return {step.kind for step in plan.clusters[0].steps}

    def fetched(self, *, ago: timedelta = timedelta()) -> None:
        """Somebody in the portal opens, fetches and closes: only the log and the ETag know."""
        self.cluster.etag += 2
        self.world.handed_out.append(HandedOut(at=(self.world.now() - ago).isoformat(), to="dana@contoso.com"))


async def test_after_a_migration_the_words_are_verified_and_dead() -> None:
    history = ClusterHistory()
    job = await history.migrate()
    assert (await history.verify(job)).outcome is Outcome.VERIFIED
    assert await history.debt() is Debt.NONE
    assert await history.steps() == set()


async def test_break_glass_after_a_migration_is_owed_in_every_word() -> None:
    history = ClusterHistory()
    job = await history.migrate()
    await history.world.clock.sleep(60)
    now = history.world.now().isoformat()
    history.reports += records_in(history.cluster.id.key, (LocalAccountsEnabled(at=now, changed=True),), "break-glass")
    await history.world.clock.sleep(60)
    for _ in range(2):  # a look changes nothing
        verdict = await history.verify(job)
        assert verdict.outcome is Outcome.NOT_VERIFIED
        assert "rotation owed: credentials from before still work" in verdict.because
    assert await history.debt() is Debt.OWED
    assert "rotate-certificates" in await history.steps()


async def test_what_somebody_did_in_the_portal_is_owed_once_the_log_shows_it_and_unknown_before() -> None:
    history = ClusterHistory()
    job = await history.migrate()
    await history.world.clock.sleep(3600)
    history.fetched()
    verdict = await history.verify(job)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert waits_for_log(verdict)
    ready = complete_at((verdict,))
    assert ready is not None
    assert await history.debt() is Debt.UNKNOWN
    await history.world.clock.sleep((ready - history.world.now()).total_seconds())
    for _ in range(2):
        verdict = await history.verify(job)
        assert "rotation owed: credentials from before still work" in verdict.because
        assert not waits_for_log(verdict)
    assert complete_at((verdict,)) is None
    assert await history.debt() is Debt.OWED


async def test_an_innocent_write_is_waited_out() -> None:
    history = ClusterHistory()
    job = await history.migrate()
    await history.world.clock.sleep(3600)
    history.cluster.etag += 1
    verdict = await history.verify(job)
    ready = complete_at((verdict,))
    assert ready is not None
    await history.world.clock.sleep((ready - history.world.now()).total_seconds())
    assert (await history.verify(job)).outcome is Outcome.VERIFIED


async def test_looks_that_follow_each_other_outlast_the_log() -> None:
    history = ClusterHistory()
    job = await history.migrate()
    for _ in range(4):
        await history.world.clock.sleep(30 * 86400)
        assert (await history.verify(job)).outcome is Outcome.VERIFIED
    assert await history.debt() is Debt.NONE
    history.reports = records_in(history.cluster.id.key, history.evidence, "report")
    history.cluster.etag += 1  # without the looks in between, nothing covers the time before the log begins
    assert await history.debt() is Debt.UNKNOWN


async def test_an_unreadable_log_is_unknown_and_says_what_to_do() -> None:
    history = ClusterHistory()
    job = await history.migrate()
    history.world.log_readable = False
    assert (await history.verify(job)).outcome is Outcome.VERIFIED  # its ETag is that of the migration's end
    await history.world.clock.sleep(60)
    history.cluster.etag += 1
    verdict = await history.verify(job)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert any("could not be read" in reason for reason in verdict.because)
    assert "Microsoft.Insights/eventtypes/values/read" in verdict.next
    history.world.faults["arm.handed_out"] = [Rejected("broken", status=400)]
    assert any("broken" in reason for reason in (await history.verify(job)).because)


async def test_a_plan_that_was_never_carried_out_is_not_a_failure() -> None:
    history = ClusterHistory()
    job = await job_for(history.world)
    verdict = await history.verify(job, kept=False)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert verdict.because[0].startswith("left to do: enable Microsoft Entra ID, disable local accounts, rotate")


async def test_a_plan_whose_evidence_is_lost_is_judged_by_what_is_seen() -> None:
    history = ClusterHistory()
    job = await history.migrate()
    assert (await history.verify(job, kept=False)).outcome is Outcome.VERIFIED  # the records are there
    history.cluster.local_accounts = True
    assert (await history.verify(job, kept=False)).outcome is Outcome.FAILED
    history.world.faults["arm.cluster"] = [Rejected("broken", status=400)]
    assert "broken" in (await history.verify(job, kept=False)).because


async def test_a_plan_whose_groups_cannot_be_looked_up_is_left_to_do() -> None:
    history = ClusterHistory()
    job = await job_for(history.world, WantedTarget(admin_groups=(CREATED,)))
    history.world.faults["directory.group_with_unique_name"] = [Rejected("broken", status=400)]
    verdict = await history.verify(job, kept=False)
    assert verdict.because[0].startswith("left to do: create group cluster-admins")


async def test_a_plan_made_a_moment_ago_says_what_is_left() -> None:
    history = ClusterHistory()
    process = history.world.process()
    fresh = await job_for(history.world)
    verdict = await verify_cluster(process.ports, process.timeouts, fresh, Known(anew=True))
    assert verdict.because[0].startswith("left to do: enable Microsoft Entra ID")
    history.cluster.identity, history.cluster.groups = Identity.MANAGED, (ADMINS,)
    verdict = await verify_cluster(process.ports, process.timeouts, await job_for(history.world), Known(anew=True))
    assert verdict.because[0] == "left to do: disable local accounts, rotate certificates"


def test_failures_are_not_kept() -> None:
    assert kept_evidence(()) == {}


async def test_one_stale_instance_of_an_api_server_is_a_failure_and_said() -> None:
    history = ClusterHistory()
    job = await job_for(history.world)
    history.cluster.stale_every = 3
    verdict = await history.world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.FAILED
    assert any("still gets 200 after rotation (by new connection: 1 x 200, 3 x 401)" in one for one in verdict.because)


async def test_how_many_connections_were_refused_is_said() -> None:
    history = ClusterHistory()
    await history.migrate()
    tried = [one for one in history.evidence if isinstance(one, CredentialTried) and one.moment is Moment.AFTER]
    assert [one.connections for one in tried] == [4, 4]


async def test_a_token_from_before_the_groups_were_written_proves_nothing() -> None:
    history = ClusterHistory()
    job = await job_for(history.world)
    history.world.token_from = history.world.now() - timedelta(hours=3)
    verdict = await history.world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.FAILED
    assert "older than the change of the admin groups at" in verdict.because[0]
    assert "up to 24 hours" in verdict.next
    assert history.cluster.local_accounts


async def test_a_member_by_an_old_token_only_is_no_member() -> None:
    history = ClusterHistory()
    history.cluster.identity, history.cluster.groups = Identity.MANAGED, (ADMINS,)
    job = await job_for(history.world)
    history.world.token_from = history.world.now() - timedelta(hours=3)
    history.world.token_groups = (ADMINS,)
    history.world.groups[ADMINS].members.discard(PROVER)
    verdict = await history.world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.REFUSED
    assert "Microsoft Graph says that the prover is no member of it" in verdict.because[0]
    assert history.world.writes == []


@pytest.mark.parametrize(("hours", "proven"), [(0, True), (3, False)])
async def test_where_graph_does_not_say_the_token_must_be_new(hours: int, *, proven: bool) -> None:
    history = ClusterHistory()
    history.cluster.identity, history.cluster.groups = Identity.MANAGED, (ADMINS,)
    job = await job_for(history.world)
    history.world.says_members = False
    history.world.token_from = history.world.now() - timedelta(hours=hours) if hours else None
    prove = next(one for one in job.plan.steps if isinstance(one, ProveSignIn))
    process = history.world.process()
    if proven:
        (seen,) = await process.executor.apply(job, prove)
        assert isinstance(seen, SignInProven)
        assert seen.issued_at == history.world.now().isoformat()
    else:
        with pytest.raises(TryLater, match="was not issued just now"):
            await process.executor.apply(job, prove)


async def test_who_left_the_group_between_proof_and_closing_closes_nothing() -> None:
    history = ClusterHistory()
    history.cluster.identity, history.cluster.groups = Identity.MANAGED, (ADMINS,)
    job = await job_for(history.world)
    process = history.world.process()
    close = next(one for one in job.plan.steps if isinstance(one, DisableLocalAccounts))
    for step in job.plan.steps[: job.plan.steps.index(close)]:
        await process.executor.apply(job, step)
    history.world.groups[ADMINS].members.discard(PROVER)
    with pytest.raises((TryLater, Refused)):
        await process.executor.apply(job, close)
    assert history.cluster.local_accounts


async def test_a_directory_that_is_throttled_is_asked_again() -> None:
    history = ClusterHistory()
    job = await job_for(history.world)
    history.world.faults["directory.is_member"] = [TryLater("throttled", after=5), Refused("no", status=403)]
    verdict = await history.world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.grade is Grade.CREDENTIAL_REFUSED
    assert history.world.consumed()


async def test_a_rotation_that_another_run_finished_waits_for_the_log() -> None:
    """Nobody watched the cluster between its end and this run: the log has to be complete for that time."""
    history = ClusterHistory()
    job = await job_for(history.world)
    first = history.world.process()
    for step in job.plan.steps[:-1]:
        while True:
            try:
                await first.executor.apply(job, step)
                break
            except TryLater as later:
                await history.world.clock.sleep(later.after)
    await history.world.clock.sleep(120)
    history.fetched(ago=timedelta(seconds=60))
    before = history.world.now()
    verdict = await history.world.process().executor.migrate(job)
    assert history.world.now() - before >= timedelta(minutes=20)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "rotation owed: credentials from before still work" in verdict.because
    found = next(one for one in verdict.evidence if isinstance(one, CertificatesRotated))
    assert not found.changed
    assert any(isinstance(one, AdminCredentialRefused) for one in verdict.evidence)
