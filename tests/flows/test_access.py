"""The access runbooks on a real Prefect server with a worker: request, approval, grant, end and proof of the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.states import AwaitingRetry, Crashed

from aks_entra import prefect_client
from aks_entra.access import grants
from aks_entra.access.policy_file import PolicyFile
from aks_entra.core.access.grants import Approval, Level, description, end_in
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import moment, stamp
from aks_entra.core.sweeps import DELAY
from aks_entra.prefect_client import artifacts as prefect_store
from aks_entra.prefect_client import events, grant_records
from aks_entra.prefect_client.liveness import PROCESS, Process
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.front.http import Reply
from flows.apply_conditional_access import apply_conditional_access
from flows.create_group import create_group
from flows.end_access import end_access
from flows.review_access import review_access
from tests.flows.conftest import ROBOT, SUBSCRIPTION
from tests.flows.sweeps_ahead import sweeps_ahead
from tests.support.patience import SOON
from tests.support.sent_events import sent

if TYPE_CHECKING:
    from uuid import UUID

    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def asked(until: Until, **change: Any) -> tuple[UUID, str]:
    """Start a request that waits for its approval. Returns its run and its digest."""
    parameters = {
        "cluster": "granted/by-azure",
        "to": ROBOT,
        "role": "reader",
        "duration": "10m",
        "reason": "CHG-1",
        "namespace": "default",
        "subscription": SUBSCRIPTION,
        "requested_by": "dana@contoso.com",
        **change,
    }
    run = await prefect_client.start(prefect_client.GRANT_ACCESS, parameters)
    waiting = await until(run.id, lambda now: now.gate is not None)
    assert waiting.gate is not None, waiting.run.message
    return run.id, waiting.gate.plan


async def standing() -> list[tuple[str, str]]:
    async with open_session(Settings()) as session:
        return [(one.role, one.text) for one in await session.access.roles.grants(SUBSCRIPTION)]


async def given(count: int) -> None:
    async with asyncio.timeout(SOON):
        while len(await standing()) != count:  # noqa: ASYNC110 - another process gives it: there is no event to wait for
            await asyncio.sleep(0.2)


async def test_a_request_is_granted_after_its_approval_and_ends_even_if_its_run_is_killed(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        run, digest = await asked(until)
        assert await standing() == []
        said = {"approver": "erin@contoso.com", "reason": "CHG-1"}
        await prefect_client.decide(str(run)[:8], digest, decision="approve", **said)
        await given(1)
        ((role, text),) = await standing()
        assert role.endswith("RBAC Reader")
        assert "for=dana@contoso.com, a claim; by=erin@contoso.com, a claim" in text
        await lose(run)
        state = await end_access(return_state=True)
        assert state.message == "nothing to end: 0 grants ended in 1 subscriptions"  # it has not expired yet
        until_then, _ = end_in(text)  # the killed run may not have noted what it gave
        assert until_then is not None
        assert until_then in (await grant_records.announced()).ends.values()
        assert until_then + DELAY in await sweeps_ahead(prefect_client.END_ACCESS)  # the run had time to end it itself
        await age()
        state = await end_access([SUBSCRIPTION], return_state=True)
        assert state.is_completed(), state.message
        assert state.message == "1 grants ended in 1 subscriptions"
        assert await standing() == []


async def test_a_rejected_request_and_a_forbidden_request_grant_nothing(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        run, digest = await asked(until, role="writer")
        said = {"approver": "erin@contoso.com", "reason": "no"}
        await prefect_client.decide(str(run)[:8], digest, decision="reject", **said)
        ended = await until(run, lambda now: now.run.ended)
        assert "rejected by erin@contoso.com" in str(ended.run.message)
        refused = await prefect_client.start(
            prefect_client.GRANT_ACCESS,
            {
                "cluster": "granted/by-kubernetes",
                "to": ROBOT,
                "role": "reader",
                "duration": "1h",
                "reason": "CHG-1",
                "via": "azure-rbac",
                "subscription": SUBSCRIPTION,
            },
        )
        ended = await until(refused.id, lambda now: now.run.ended)
        assert "G007" in str(ended.run.message)
        assert await standing() == []


async def test_the_person_who_requests_at_the_command_line_cannot_approve_it(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        asking = ("granted/by-azure", "--to", ROBOT, "--role", "reader", "-n", "default", "--duration", "10m")
        run = await typed(stack, "access", "request", *asking, "--reason", "CHG-9", "--subscription", SUBSCRIPTION)
        waiting = await until(uuid.UUID(run), lambda now: now.gate is not None)
        assert run[:8] in await typed(stack, "access", "approve", "--list")
        await typed(stack, "access", "approve", run[:8], "--request", waiting.gate.plan, "--reason", "mine")
        ended = await until(uuid.UUID(run), lambda now: now.run.ended)
        assert "nobody can approve their own request" in str(ended.run.message)
        assert await standing() == []


async def typed(stack: PrefectStack, *words: str) -> str:
    """Run a command and return what it prints."""
    ended = await stack.aks_entra(*words)
    assert ended.exit_code == 0, ended.stderr
    return ended.stdout.strip()


async def test_a_grant_waits_for_its_end_without_a_process_and_proves_it(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        run, digest = await asked(until, cluster="granted/by-kubernetes", duration="30d")
        said = {"approver": "erin@contoso.com", "reason": "CHG-1"}
        await prefect_client.decide(str(run)[:8], digest, decision="approve", **said)
        waiting = await until(run, lambda now: now.run.waits)
        assert "then the access of" in waiting.run.message
        async with get_client() as client:
            put_off = await client.read_flow_run(run)
            assert put_off.labels[PROCESS] == ""  # no process runs while the grant lasts
            assert put_off.state is not None
            grant = await grant_records.given_by(run)
            assert grant is not None
            assert put_off.state.state_details.scheduled_time is not None
            assert stamp(put_off.state.state_details.scheduled_time) == grant.ends
            assert [one.until for one in await prefect_client.waiting() if one.run == run] == [grant.ends]
            # resumed too early, it waits again; resumed at its end, it ends the grant
            await client.set_flow_run_state(run, AwaitingRetry(scheduled_time=datetime.now(UTC)), force=True)
            await until(run, lambda now: now.run.waits and "then the access of" in now.run.message)
        await as_if_over(run)
        async with get_client() as client:
            await client.set_flow_run_state(run, AwaitingRetry(scheduled_time=datetime.now(UTC)), force=True)
        ended = await until(run, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert "the grant is gone at" in ended.run.message
        assert "a new token is refused" in ended.run.message
        async with open_session(Settings()) as session:
            place = ClusterId(subscription_id=SUBSCRIPTION, resource_group="granted", name="by-kubernetes")
            assert await session.access.bindings.grants(await session.ports.arm.cluster(place)) == ()
        names = (events.GATE_WAITING, events.GATE_APPROVED, events.ACCESS_GRANTED, events.ACCESS_ENDED)
        told = await sent(events.cluster_id(place.key), *names)
        assert told[events.ACCESS_GRANTED]["payload"]["approver"] == "erin@contoso.com"


async def test_a_grant_of_the_command_line_has_its_end_scheduled_before_it_is_given(stack: PrefectStack) -> None:
    place = ("granted/by-kubernetes", "--to", ROBOT, "--subscription", SUBSCRIPTION, "--yes", "-o", "json")
    with stack.inside():
        given = await typed(stack, "access", "grant", *place, "--role", "reader", "-n", "default", "--reason", "CHG-1")
        grant = json.loads(given)
        assert moment(grant["until"]) in await sweeps_ahead(prefect_client.END_ACCESS)
        known = await grant_records.announced()
        assert SUBSCRIPTION in known.subscriptions
        assert moment(grant["until"]) in known.ends.values()
        await typed(stack, "access", "revoke", *place)


async def test_a_run_keeps_a_grant_without_an_end_that_another_approval_gave(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        place = ClusterId(subscription_id=SUBSCRIPTION, resource_group="granted", name="by-kubernetes")
        async with open_session(Settings()) as session:
            engine = grants.granter_of(session.ports, session.access, session.settings)
            what = (ROBOT, Level.READER, "default", None)
            ask = await grants.ask_for(session.ports, place, what, None, "CHG-0")
            made = await engine.give(ask, Approval(digest=ask.digest, approver="erin"))
        run, digest = await asked(until, cluster="granted/by-kubernetes")
        said = {"approver": "erin@contoso.com", "reason": "CHG-1"}
        await prefect_client.decide(str(run)[:8], digest, decision="approve", **said)
        ended = await until(run, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert "without an end, by another approval: it is kept" in ended.run.message
        async with open_session(Settings()) as session:
            posture = await session.ports.arm.cluster(place)
            assert made.grant in await session.access.bindings.grants(posture)
            engine = grants.granter_of(session.ports, session.access, session.settings)
            assert (await engine.end(made.grant)).removed


async def as_if_over(run: UUID) -> None:
    """Change the run's notes, so that its grant expired a moment ago."""
    told = await prefect_store.get(f"granted-{run}")
    assert told is not None
    record = json.loads(told.text) | {"until": stamp(datetime.now(UTC) - timedelta(seconds=1))}
    await prefect_store.put(told.key, json.dumps(record), kind="note")


async def test_a_sweep_names_unreadable_subscriptions_and_ends_the_other_grants(stack: PrefectStack) -> None:
    with stack.inside():
        await age()
        refused = Reply(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}, {})
        other = "00000000-0000-4000-8000-00000000dead"
        stack.sandbox.faults.add("GET", "/managedClusters$", answer=refused, times=50)  # a scheduled sweep gets it too
        state = await end_access([SUBSCRIPTION, other], return_state=True)
        assert state.is_failed()
        assert str(state.message).startswith("1 grants ended in 2 subscriptions; ")
        assert f"subscription {other}: " in str(state.message)
        assert f"subscription {SUBSCRIPTION}: " in str(state.message)  # its clusters could not be listed
        assert await standing() == []
        stack.sandbox.faults.clear()
        state = await review_access([SUBSCRIPTION, other], "granted", return_state=True)
        assert state.is_failed()
        assert f"subscription {other}" in str(state.message)
        assert "ways into 2 clusters" in str(state.message)


async def test_a_damaged_record_of_a_grant_is_named_and_every_other_grant_is_ended(stack: PrefectStack) -> None:
    with stack.inside():
        await age()
        await prefect_store.put("grant-damaged", "no JSON", kind="grant")
        try:
            state = await end_access([SUBSCRIPTION], return_state=True)
            assert state.is_failed()
            assert str(state.message).startswith("1 grants ended in 1 subscriptions; 1 need attention: ")
            assert "record grant-damaged is damaged" in str(state.message)
            assert await standing() == []
            assert (await grant_records.known_subscriptions())[1] == ("grant-damaged",)
        finally:
            async with get_client() as client:
                key = ArtifactFilter(key=ArtifactFilterKey(any_=["grant-damaged"]))
                for one in await client.read_artifacts(artifact_filter=key):
                    await client.delete_artifact(one.id)


async def test_an_access_review_lists_who_can_get_in_and_writes_nothing(stack: PrefectStack) -> None:
    with stack.inside():
        before = len(stack.exchanges)
        state = await review_access([SUBSCRIPTION], "granted", return_state=True)
        assert "ways into 2 clusters" in str(state.message)
        writes = [one for one in stack.exchanges[before:] if one.method in {"PUT", "PATCH", "DELETE"}]
        assert writes == []


async def test_a_group_is_created_once_with_its_policy(stack: PrefectStack) -> None:
    with stack.inside():
        for word in ("created", "exists already"):
            state = await create_group(
                "jit", ["dana@contoso.com"], ticket=True, approvers=["glass@contoso.com"], return_state=True
            )
            assert str(state.message).endswith(word), state.message


async def test_a_policy_reports_first_and_enforcing_it_waits_for_an_approval(stack: PrefectStack, until: Until) -> None:
    policy = {"name": "aks", "groups": ["aks-admins"], "require": ["mfa"], "break_glass": ["glass@contoso.com"]}
    with stack.inside():
        state = await apply_conditional_access(PolicyFile.model_validate(policy), return_state=True)
        assert "enabledForReportingButNotEnforced" in str(state.message)
        answers: tuple[tuple[Literal["approve", "reject"], str], ...]
        answers = (("reject", "rejected by erin"), ("approve", "enabled"))
        for decision, word in answers:
            run = await prefect_client.start(
                "apply-conditional-access/apply-conditional-access", {"policy": policy, "enforce": True}
            )
            waiting = await until(run.id, lambda now: now.gate is not None)
            assert waiting.gate is not None, waiting.run.message
            said = {"approver": "erin", "reason": "CHG-2"}
            await prefect_client.decide(str(run.id)[:8], waiting.gate.plan, decision=decision, **said)
            ended = await until(run.id, lambda now: now.run.ended)
            assert word in str(ended.run.message)
            if decision == "reject":
                policy = {**policy, "trusted_locations": []}


async def age() -> None:
    """Change the grants, so that they expired in the past."""
    async with open_session(Settings()) as session:
        place = ClusterId(subscription_id=SUBSCRIPTION, resource_group="granted", name="by-azure")
        what = (ROBOT, Level.READER, "default", None)
        ask = await grants.ask_for(session.ports, place, what, timedelta(hours=-1), "CHG-1")
        await session.access.roles.assign(ask, description(ask, "erin", ask.end))


async def lose(run: UUID) -> None:
    """Kill the process of a flow run with SIGKILL, if it has one, and never start the run again."""
    async with get_client() as client:
        label = str((await client.read_flow_run(run)).labels[PROCESS])
        if label:
            os.kill(Process.parse(label).pid, signal.SIGKILL)
        await client.set_flow_run_state(run, Crashed(message="lost by a test"), force=True)
