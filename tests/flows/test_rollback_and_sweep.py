"""Rollback through Prefect with its own gate, and the sweep that closes break-glass openings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from aks_entra import documents, prefect_client
from aks_entra.core.cluster import ClusterId
from aks_entra.core.deny_policy import assignment_id
from aks_entra.core.durations import moment, stamp
from aks_entra.core.evidence.break_glass import CLOSED, Opening, OpeningRecord, opening_on
from aks_entra.core.evidence.observations import DenyPolicySeen
from aks_entra.core.steps import Guarded
from aks_entra.core.sweeps import DELAY
from aks_entra.core.verdict.break_glass import opening_digest
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused, Rejected
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.planning.rollback import plan_way_back
from aks_entra.prefect_client import artifacts, events
from aks_entra.prefect_client.break_glass_records import still_free
from aks_entra.prefect_client.scheduled_sweeps import schedule_sweep
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.arm.authorization.access import normal
from flows.rollback_cluster import rollback_cluster
from flows.sweep_break_glass import sweep_break_glass
from tests.flows.coordinator import batch_of
from tests.flows.run_logs import logs_of
from tests.flows.stages import UNGATED
from tests.flows.sweeps_ahead import sweeps_ahead
from tests.support.executor_jobs import job_of
from tests.support.sent_events import sent

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_rollback_waits_for_an_approval_of_its_own_plan(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        done = await stack.plan("back", UNGATED, rotation="later")
        await batch_of(done)
        began = len(stack.writes("back"))
        started = await prefect_client.start("rollback-cluster/rollback-cluster", {"plan": done.digest})
        gate = None
        async for _ in prefect_client.follow(started.id, every=0.2):
            waiting = [one for one in await prefect_client.gates() if one.plan != done.digest]
            back = [one for one in waiting if (await prefect_client.load_plan(one.plan)).name == "rollback of back"]
            if back:
                gate = back[0]
                break
        assert gate is not None
        assert len(stack.writes("back")) == began
        plan = await prefect_client.load_plan(gate.plan)
        with pytest.raises(Refused, match="waits for plan"):
            await prefect_client.decide(str(gate.run), done.digest, decision="approve", approver="dana", reason="x")
        await prefect_client.decide(str(gate.run), plan.digest, decision="approve", approver="dana", reason="INC-1")
        now = await until(started.id, lambda now: now.run.ended)
        assert now.run.completed, now.run.message
        found = await prefect_client.verdicts(plan.digest)
        assert found
        assert all(one.because[0].startswith("local accounts are open") for one in found.values())
        assert len(stack.writes("back")) == began + 1
        ended = FleetReport(
            name=done.name,
            plan_digest=done.digest,
            started_at="2026-11-24T08:00:00Z",
            ended_at="2026-11-24T09:00:00Z",
            verdicts=tuple((await prefect_client.verdicts(done.digest)).values()),
        )
        await prefect_client.store_report(ended)
        assert (await prefect_client.last_plan_of(("back/reversed",))).digest == done.digest
        with pytest.raises(Refused, match="no migration of"):
            await prefect_client.last_plan_of(("nobody",))
        state = await rollback_cluster(done.digest, return_state=True)
        assert state.message == "nothing to roll back"


async def opened(minutes: int, *, recorded: bool = True, group: str = "glass") -> tuple[ClusterId, Opening]:
    async with open_session(Settings()) as session:
        listed = session.ports.arm.list_clusters("3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163", group)
        (posture,) = [one async for one in listed]
        now = datetime.now(UTC)
        opening = Opening(
            until=(now + timedelta(minutes=minutes)).isoformat(timespec="seconds"),
            since=now.isoformat(timespec="seconds"),
            reason="INC-77",
        )
        if recorded:
            await prefect_client.store_opening(
                OpeningRecord(cluster=posture.cluster.resource_id, opening=opening, uid=posture.uid, at=now.isoformat())
            )
        glass = BreakGlass(session.ports, session.watch, session.executor, session.timeouts)
        assert (await glass.open(posture.cluster, opening)).outcome is Outcome.NOT_VERIFIED
    return posture.cluster, opening


async def tagged(cluster: ClusterId, tags: tuple[tuple[str, str | None], ...], *, enabled: bool = True) -> None:
    """Change the tags of a cluster, as anybody with the right to write it can."""
    async with open_session(Settings()) as session:
        expected = replace(Guarded.of(await session.ports.arm.cluster(cluster)), ca=None)
        operation = await session.ports.arm.set_local_accounts(cluster, expected, enabled=enabled, tags=tags)
        await session.watch.settled(operation)


async def stands(cluster: ClusterId) -> tuple[bool, bool]:
    """Return whether local accounts are on, and whether the cluster has break-glass tags."""
    async with open_session(Settings()) as session:
        posture = await session.ports.arm.cluster(cluster)
        return posture.local_accounts, opening_on(posture.tags) is not None


async def test_the_sweep_closes_what_is_due_and_alarms_where_it_cannot(stack: PrefectStack) -> None:
    with stack.inside():
        _, lost = await opened(45)  # nobody scheduled its end
        state = await sweep_break_glass(return_state=True)
        assert state.message == "nothing to end: 1 open, none of them due"
        end = moment(lost.until)
        ahead = await sweeps_ahead(prefect_client.SWEEP_BREAK_GLASS)
        assert any(end <= at <= end + DELAY for at in ahead), "a sweep of another end near it is enough"
        cluster, opening = await opened(-1)
        async with prefect_client.hold_lease(cluster):
            state = await sweep_break_glass(return_state=True)
        assert state.is_failed()
        assert "another migration holds the cluster" in str(state.message)
        told = await sent(events.cluster_id(cluster.key), events.BREAK_GLASS_STAYS_OPEN)
        assert told[events.BREAK_GLASS_STAYS_OPEN]["payload"]["opened_for"] == "INC-77"
        first, *_ = await sweeps_ahead(prefect_client.SWEEP_BREAK_GLASS)
        assert first <= datetime.now(UTC) + DELAY, "what stays open is tried again in five minutes"
        state = await sweep_break_glass(["prod-eu"], return_state=True)
        assert state.is_completed(), state.message
        report = await prefect_client.load_report(opening_digest(cluster, opening))
        assert report is not None
        assert report.verdicts[0].because[0] == "local accounts are closed again"
        state = await sweep_break_glass(return_state=True)
        assert state.message == "nothing to end: 0 open, none of them due"


async def test_a_worker_closes_an_opening_at_its_end_without_any_other_schedule(
    stack: PrefectStack, until: Until
) -> None:
    """The process that opened is dead. The run that it scheduled looks at nothing else."""
    with stack.inside():
        cluster, opening = await opened(-1, recorded=False)
        record = OpeningRecord(cluster=cluster.resource_id, opening=opening, uid="", at=opening.since)
        later = replace(record, opening=replace(opening, until=stamp(datetime.now(UTC) + timedelta(hours=2))))
        for attended in (False, True, True):
            await prefect_client.announce_opening(later, attended=attended)
        end = moment(later.opening.until)
        ahead = await sweeps_ahead(prefect_client.SWEEP_BREAK_GLASS)
        assert (ahead.count(end), ahead.count(end + DELAY)) == (1, 1)
        await prefect_client.announce_opening(record, attended=False)
        run = await schedule_sweep(prefect_client.SWEEP_BREAK_GLASS, moment(opening.until))
        ended = await until(run.id, lambda now: now.run.ended)
        # one that another end scheduled for the same minute may have closed it first
        assert ended.run.completed, ended.run.message
        assert await stands(cluster) == (False, False)


async def test_a_tag_without_a_record_is_an_alarm_and_changes_nothing(stack: PrefectStack) -> None:
    """Anyone with the right to write tags can make one, so the sweep closes nothing because of it."""
    with stack.inside():
        cluster, opening = await opened(-1, recorded=False)
        state = await sweep_break_glass(return_state=True)
        assert state.is_failed()
        assert f"{cluster}: it carries break-glass tags (until {opening.until}), but no opening" in str(state.message)
        assert await stands(cluster) == (True, True)
        await sent(events.cluster_id(cluster.key), events.BREAK_GLASS_STRANGE_TAG)

        later = replace(opening, until="2099-01-01T00:00:00Z")
        stored = OpeningRecord(cluster=cluster.resource_id, opening=opening, uid="", at=opening.since)
        await prefect_client.store_opening(replace(stored, at="2026-01-01T00:00:00Z"))
        await tagged(cluster, later.tags)
        state = await sweep_break_glass(return_state=True)
        assert await stands(cluster) == (False, False), "the record says until when, whatever the tag says"
        assert state.is_completed(), state.message


async def test_a_tag_that_was_changed_before_its_time_is_named(stack: PrefectStack) -> None:
    with stack.inside():
        cluster, opening = await opened(45)
        long_ago = OpeningRecord(cluster=cluster.resource_id, opening=opening, uid="", at="2026-01-01T00:00:00Z")
        await prefect_client.store_opening(long_ago)
        await tagged(cluster, replace(opening, until="2099-01-01T00:00:00Z").tags)
        state = await sweep_break_glass(return_state=True)
        assert state.is_failed()
        assert "its break-glass tags were changed" in str(state.message)
        assert await stands(cluster) == (True, True)
        await prefect_client.store_opening(replace(long_ago, opening=replace(opening, until="2026-01-01T00:00:00Z")))
        await sweep_break_glass(return_state=True)
        assert await stands(cluster) == (False, False)


async def test_an_opening_without_its_tags_is_closed_by_its_record(stack: PrefectStack) -> None:
    """Terraform's next apply, or a policy, may remove tags."""
    with stack.inside():
        cluster, _ = await opened(-1)
        await tagged(cluster, CLOSED)
        assert await stands(cluster) == (True, False)
        state = await sweep_break_glass(return_state=True)
        assert state.is_completed(), state.message
        assert "1 due, 1 closed" in str(state.message)
        assert await stands(cluster) == (False, False)


async def test_an_unreadable_cluster_is_one_row_and_the_others_are_swept(stack: PrefectStack) -> None:
    with stack.inside():
        cluster, opening = await opened(-1)
        gone = ClusterId(subscription_id=cluster.subscription_id, resource_group="glass", name="gone")
        other = ClusterId(subscription_id=str(uuid4()), resource_group="glass", name="elsewhere")
        for one in (gone, other):
            record = OpeningRecord(cluster=one.resource_id, opening=opening, uid="", at=opening.since)
            await prefect_client.store_opening(record)
        await artifacts.put("opening-000000000000", "{damaged", kind="opening")
        state = await sweep_break_glass(return_state=True)
        assert state.is_failed()
        message = str(state.message)
        assert "record opening-000000000000 cannot be read" in message
        assert "glass/elsewhere" in message
        assert "glass/gone" not in message, "a cluster that was deleted is no alarm"
        assert await stands(cluster) == (False, False)
        async with open_session(Settings()) as session:
            now = session.ports.clock.now().isoformat()
        await prefect_client.store_opening(
            OpeningRecord(cluster=other.resource_id, opening=opening, uid="", at=now, ended=now, because="a test's")
        )
        await artifacts.put(
            "opening-000000000000",
            documents.dump_opening(
                OpeningRecord(cluster=gone.resource_id, opening=opening, uid="", at=now, ended=now, because="a test's")
            ),
            kind="opening",
        )
        state = await sweep_break_glass(["no such subscription", "prod-eu"], return_state=True)
        assert "subscription no such subscription" in str(state.message)


async def test_a_migration_writes_nothing_while_our_record_says_that_somebody_works_through_break_glass(
    stack: PrefectStack,
) -> None:
    with stack.inside():
        cluster, opening = await opened(45)
        async with prefect_client.hold_lease(cluster) as hold:
            with pytest.raises(Refused, match="open by break-glass until"):
                await still_free(hold, cluster)
            record = await prefect_client.opening_of(cluster)
            assert record is not None
            assert record.opening == opening
            await prefect_client.store_opening(record.over(opening.since, "closed"))
            await still_free(hold, cluster)
        await tagged(cluster, CLOSED, enabled=False)


async def test_a_kept_cluster_is_closed_to_the_portal_and_open_to_break_glass_and_rollback(stack: PrefectStack) -> None:
    """Batch, portal, break-glass, sweep, rollback. The policy of `keep: deny` is there until the rollback."""
    with stack.inside():
        done = await stack.plan("kept", UNGATED, keep="deny")
        state = await batch_of(done)
        assert state.is_completed(), state.message
        (verdict,) = (await prefect_client.verdicts(done.digest)).values()
        cluster = verdict.cluster
        assert verdict.outcome is Outcome.VERIFIED, verdict.because
        kept = f"local accounts are kept off by policy assignment {assignment_id(cluster)}"
        assert any(one.startswith(kept) for one in verdict.because)
        assert state.state_details.flow_run_id is not None
        assert "assign deny policy" in await logs_of(state.state_details.flow_run_id)
        enforced = normal(assignment_id(cluster))
        stack.sandbox.arm.state.policies[enforced] = replace(stack.sandbox.arm.state.policies[enforced], since=None)
        with pytest.raises(Rejected, match="Azure Policy 'aks-entra-keep' forbids it"):
            await tagged(cluster, (), enabled=True)
        _, opening = await opened(45, group="kept")
        assert await stands(cluster) == (True, True)
        over = replace(opening, until=opening.since)
        await prefect_client.store_opening(
            OpeningRecord(cluster=cluster.resource_id, opening=over, uid="", at=opening.since)
        )
        swept = await sweep_break_glass(["prod-eu"], return_state=True)
        assert swept.is_completed(), swept.message
        assert await stands(cluster) == (False, False)
        assert stack.sandbox.arm.state.exemptions == {}
        report = await prefect_client.load_report(opening_digest(cluster, opening))
        assert report is not None
        (seen,) = [one for one in report.verdicts[0].evidence if isinstance(one, DenyPolicySeen)]
        assert (seen.assignment, seen.ours, seen.enforced) == (assignment_id(cluster), True, True)
        async with open_session(Settings()) as session:
            back = await plan_way_back(session.ports, done, (cluster,), ())
            assert (await session.executor.migrate(job_of(back))).because[0].startswith("local accounts are open")
        assert await stands(cluster) == (True, False)
        assert enforced not in stack.sandbox.arm.state.policies
