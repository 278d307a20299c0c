"""Every write was approved in exactly this form, or a person typed the command that made it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.events import emit_event

from aks_entra import documents, prefect_client
from aks_entra.access import grants
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.break_glass import Opening
from aks_entra.core.planning.prover import Prover
from aks_entra.core.preflight import Finding, Severity
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.prefect_client import artifacts, names
from aks_entra.prefect_client.liveness import PROCESS, Process
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tests.flows.approved_writes import ApprovalLog, credential_reads_in, writes_in
from tests.flows.attacker import (
    approvals_of,
    push,
    replay,
    start_batch_here,
    start_batch_on_worker,
)
from tests.flows.conftest import ROBOT, SUBSCRIPTION
from tests.flows.coordinator import batch_of
from tests.flows.disturbances import enable_local_accounts
from tests.flows.stages import ALL, CANARY, REST
from tests.support.patience import SOON

if TYPE_CHECKING:
    from uuid import UUID

    from aks_entra.core.planning.plan import FleetPlan
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def carried_out(until: Until, log: ApprovalLog, plan: FleetPlan) -> UUID:
    """Carry out a rollout of one stage that a person approved. Returns its run."""
    run = await prefect_client.start_migration(plan.digest)
    await until(run.id, lambda now: now.gate is not None)
    await log.approve(run.id)
    await until(run.id, lambda now: now.run.ended)
    return run.id


async def asks_or_ends(until: Until, run: Any) -> bool:
    """Follow a run until it asks for an approval or ends. Returns whether it asks."""
    now = await until(run.id, lambda now: now.gate is not None or now.run.ended or now.run.waits)
    return now.gate is not None


async def by_deployment(until: Until, plan: FleetPlan, stage: str, coordinator: UUID | None = None) -> None:
    """Start a batch on a worker as an attacker would, and follow it to its end."""
    run = await start_batch_on_worker(plan, stage, coordinator)
    if run is not None:
        await until(run, lambda now: now.run.ended)


async def test_an_old_plan_that_is_run_again_asks_before_it_closes_what_was_reopened(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        log, plan = ApprovalLog(), await stack.plan("again", ALL, rotation="later")
        first = await carried_out(until, log, plan)
        done = writes_in(stack.exchanges, "again")
        assert done
        assert await log.unapproved(done) == []
        [verdict] = (await stack.report(first)).verdicts
        assert verdict.outcome is Outcome.NOT_VERIFIED  # closed, with the rotation left for later on purpose
        cluster = plan.clusters[0].cluster
        with log.typing("az aks update --enable-local-accounts", cluster.key):
            await enable_local_accounts(cluster)
        written = stack.writes("again")
        run = await prefect_client.start_migration(plan.digest)
        waiting = await until(run.id, lambda now: now.gate is not None)
        assert waiting.gate.plan == plan.digest
        await log.delete_run(run.id)
        assert await log.unapproved(writes_in(stack.exchanges, "again")) == []
        state = await batch_of(plan, writes=False)  # a batch that only looks cannot write
        assert state.is_failed()
        [seen] = (await prefect_client.verdicts(plan.digest)).values()
        assert seen.outcome is Outcome.FAILED  # not "refused", because an earlier run wrote
        assert "this run only looks" in seen.because[0]
        assert stack.writes("again") == written
        await start_batch_here(plan, "all")
        await by_deployment(until, plan, "all", first)
        assert await log.unapproved(writes_in(stack.exchanges, "again")) == []
        assert await log.unapproved(credential_reads_in(stack.exchanges, "again")) == []


async def test_a_migration_does_not_close_what_break_glass_holds_open_even_when_it_is_approved(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        log, plan = ApprovalLog(), await stack.plan("glassed", ALL, rotation="later")
        await carried_out(until, log, plan)
        cluster, now = plan.clusters[0].cluster, datetime.now(UTC)
        opening = Opening(
            until=(now + timedelta(hours=2)).isoformat(timespec="seconds"),
            since=now.isoformat(timespec="seconds"),
            reason="INC-7",
        )
        async with open_session(Settings()) as session:
            glass = BreakGlass(session.ports, session.watch, session.executor, session.timeouts)
            with log.typing("aks-entra break-glass --duration 2h", cluster.key):
                await glass.open(cluster, opening)
        with log.open(cluster.key):
            run = await prefect_client.start_migration(plan.digest)
            if await asks_or_ends(until, run):
                await log.approve(run.id)
                if await asks_or_ends(until, run):
                    await log.delete_run(run.id)
        assert await log.unapproved(writes_in(stack.exchanges, "glassed")) == []
        async with open_session(Settings()) as session:
            glass = BreakGlass(session.ports, session.watch, session.executor, session.timeouts)
            who = await session.ports.callers.prover()
            with log.typing("aks-entra break-glass --close", cluster.key):
                await glass.close(cluster, Prover(object_id=who.object_id))


async def test_a_batch_started_by_hand_writes_nothing_while_the_stage_before_waits_at_its_gate(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        log, plan = ApprovalLog(), await stack.plan("by-hand", CANARY, {**REST, "gate_before": False})
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await start_batch_here(plan, "rest")
        await by_deployment(until, plan, "rest", run.id)
        assert await log.unapproved(writes_in(stack.exchanges, "by-hand")) == []
        await log.delete_run(run.id)


async def test_an_event_cannot_leave_out_the_gates(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        log, fleet = ApprovalLog(), stack.fleet("asked-by-event", {**ALL, "gate_before": False})
        emit_event(
            "aks-entra.fleet.requested",
            resource={"prefect.resource.id": "aks-entra.fleet.by-event"},
            payload={"fleet": fleet},
        )
        run = await run_of("on-request")
        if await asks_or_ends(until, run):
            await log.delete_run(run.id)
        assert await log.unapproved(writes_in(stack.exchanges, "asked-by-event")) == []


async def run_of(deployment: str) -> Any:
    """Wait for a run of a deployment, and return the newest one."""
    async with asyncio.timeout(SOON), get_client() as client:
        found = await client.read_deployment_by_name(f"migrate-fleet/{deployment}")
        while True:
            runs = await client.read_flow_runs(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])), limit=1
            )
            if runs:
                return runs[0]
            await asyncio.sleep(0.2)  # the server's triggers start it, and this test gets no event about that


async def test_an_approval_from_the_future_that_somebody_posted_is_not_taken(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        log, plan = ApprovalLog(), await stack.plan("dated", ALL)
        await post_approval(plan, "all", at="2099-01-01T00:00:00Z")
        await start_batch_here(plan, "all")
        run = await prefect_client.start_migration(plan.digest)
        await post_approval(plan, "all", at="2099-01-01T00:00:00Z", run=run.id)
        if await asks_or_ends(until, run):
            await start_batch_here(plan, "all")
            await by_deployment(until, plan, "all", run.id)
            await log.delete_run(run.id)
        assert await log.unapproved(writes_in(stack.exchanges, "dated")) == []


async def post_approval(plan: FleetPlan, stage: str, *, at: str, run: UUID | None = None) -> None:
    """Post an approval that `archive.approval` would find, as an attacker would."""
    said = {
        "plan": plan.digest,
        "stage": stage,
        "moment": "before",
        "decision": "approve",
        "approver": "mallory",
        "reason": "because",
        "ticket": "CHG-1",
        "at": at,
    }
    key = names.key("approval", names.hexadecimal(plan.digest), "before", names.stage_key(stage))
    await artifacts.put(key, json.dumps(said), kind="approval")
    if run is not None:
        await artifacts.put(key, json.dumps({**said, "run": str(run)}), kind="approval")


async def test_approvals_of_another_run_plan_or_stage_are_not_taken(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        log, plan = ApprovalLog(), await stack.plan("replayed", CANARY, REST)
        other = await stack.plan("replayed", CANARY, REST, rotation="later")
        first = await prefect_client.start_migration(other.digest)
        await until(first.id, lambda now: now.gate is not None)
        await log.approve(first.id)
        await until(first.id, lambda now: now.gate is not None and now.gate.stage == 1)
        genuine = await approvals_of(first.id)
        assert genuine
        await log.delete_run(first.id)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        stages = {names.stage_key("canary"): names.stage_key("rest"), '"canary"': '"rest"'}
        plans = {
            names.hexadecimal(other.digest): names.hexadecimal(plan.digest),
            names.short(other.digest): names.short(plan.digest),
        }
        for changes in (plans, stages, {**plans, **stages}):
            for late in ("", "2099-01-01T00:00:00+00:00", datetime.now(UTC).isoformat(timespec="seconds")):
                await replay(genuine, {**changes, str(first.id): str(run.id)}, run=run.id, at=late)
        await push(run.id)
        await asks_or_ends(until, run)  # it asks again, or ends: it never goes on
        for stage in ("canary", "rest"):
            await start_batch_here(plan, stage)
            await start_batch_here(other, stage)
            await by_deployment(until, plan, stage, run.id)
        assert await log.unapproved(writes_in(stack.exchanges, "replayed")) == []
        await log.delete_run(run.id)
        again = await prefect_client.start_migration(other.digest)  # its approval was for a run that has ended
        if await asks_or_ends(until, again):
            await log.delete_run(again.id)
        assert await log.unapproved(writes_in(stack.exchanges, "replayed")) == []


async def test_an_approval_of_another_request_gives_no_access(stack: PrefectStack, until: Until) -> None:
    asked = {
        "cluster": "asked/one",
        "to": ROBOT,
        "duration": "10m",
        "reason": "CHG-1",
        "subscription": SUBSCRIPTION,
        "role": "cluster-user",
        "requested_by": "mallory@contoso.com",
    }
    with stack.inside():
        log = ApprovalLog()
        first = await prefect_client.start(prefect_client.GRANT_ACCESS, {**asked, "reason": "a small thing"})
        now = await until(first.id, lambda now: now.gate is not None)
        with log.typing("aks-entra access approve", *(one.key for one in ASKED)):
            said: dict[str, Any] = {"decision": "approve", "approver": "erin@contoso.com", "reason": "CHG-1"}
            await prefect_client.decide(str(first.id), now.gate.plan, **said)
            await until(first.id, lambda now: now.run.waits or now.run.ended)
        assert await log.unapproved(writes_in(stack.exchanges, "asked")) == []
        given = len(writes_in(stack.exchanges, "asked"))
        assert given
        second = await prefect_client.start(prefect_client.GRANT_ACCESS, asked)
        other = await until(second.id, lambda now: now.gate is not None)
        for late in ("", "2099-01-01T00:00:00+00:00"):
            digests = {names.hexadecimal(now.gate.plan): names.hexadecimal(other.gate.plan)}
            changes = {**digests, str(first.id): str(second.id)}
            await replay(await approvals_of(first.id), changes, run=second.id, at=late)
        await push(second.id)
        await asks_or_ends(until, second)  # it asks again, or ends: it never goes on
        assert len(writes_in(stack.exchanges, "asked")) == given
        await log.delete_run(second.id)
        await log.delete_run(first.id)
        async with open_session(Settings()) as session:
            engine = grants.granter_of(session.ports, session.access, session.settings)
            for one in await engine.active((SUBSCRIPTION,), ()):
                if one.cluster_key == ASKED[0].key:
                    await engine.end(one)


ASKED = (ClusterId(subscription_id=SUBSCRIPTION, resource_group="asked", name="one"),)


async def test_following_a_run_of_somebody_else_with_yes_approves_nothing(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        log, plan = ApprovalLog(), await stack.plan("followed", ALL)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        ended = await stack.aks_entra("migrate", "--follow", str(run.id)[:8], "--yes", "--reason", "CHG-1")
        assert ended.exit_code != 0, ended.output
        assert [one.run for one in await prefect_client.gates(str(run.id))] == [run.id]
        assert writes_in(stack.exchanges, "followed") == []
        await log.delete_run(run.id)


async def test_a_plan_file_whose_findings_were_taken_out_is_refused(stack: PrefectStack) -> None:
    with stack.inside():
        plan = await stack.plan("followed", ALL)
        told = Finding(rule="W001", severity=Severity.WARNING, message="two nodes may be drained at once")
        plan = replace(plan, clusters=tuple(replace(one, findings=(*one.findings, told)) for one in plan.clusters))
        document = json.loads(documents.dump_plan(plan))
        assert documents.load_plan(json.dumps(document)).clusters[0].findings
        for cluster in document["plan"]["clusters"]:
            cluster["findings"] = []
        with pytest.raises(Refused, match="was changed"):
            documents.load_plan(json.dumps(document))


async def test_the_stage_after_a_batch_that_was_stopped_is_not_begun(stack: PrefectStack, until: Until) -> None:
    group = "halfway"
    with stack.inside():
        log, plan = ApprovalLog(), await stack.plan(group, CANARY, {**REST, "gate_before": False})
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await log.approve(run.id)
        now = await until(run.id, lambda now: any("rotate" in one.title and not one.ended for one in now.steps))
        (batch,) = now.batches
        async with get_client() as client:
            label = (await client.read_flow_run(batch.id)).labels[PROCESS]
        os.kill(Process.parse(str(label)).pid, signal.SIGTERM)
        ended = await until(run.id, lambda now: now.run.ended or now.gate is not None)
        assert ended.gate is None, "the rollout went past a canary that was not proven"
        rest = plan.stages[1].members[0].key
        assert [str(one) for one in writes_in(stack.exchanges, group) if one.cluster == rest] == []
        report = await stack.report(run.id)
        behind = {one.cluster for one in writes_in(stack.exchanges, group) if one.status < 300}
        told = {one.cluster.key: " ".join(one.because) for one in report.verdicts}
        assert [words for key, words in told.items() if key in behind and "nothing was written" in words] == []
        assert await log.unapproved(writes_in(stack.exchanges, group)) == []
