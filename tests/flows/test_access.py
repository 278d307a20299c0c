"""The runbooks for access, on a real Prefect server with a worker: asked, approved, given, ended, proven."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from prefect.client.orchestration import get_client

from aks_entra import granting, prefect_client
from aks_entra.core.cluster import ClusterId
from aks_entra.core.grants import Approval, Level, description
from aks_entra.policy_file import PolicyFile
from aks_entra.prefect_client.life import PROCESS, Process
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from flows.apply_conditional_access import apply_conditional_access
from flows.create_group import create_group
from flows.end_access import end_access
from flows.review_access import review_access
from tasks.access import check_request, give_access, name_request, wait_for_end
from tasks.access import end_access as end

from .conftest import ROBOT, SUBSCRIPTION

if TYPE_CHECKING:
    from uuid import UUID

    from tests.flows.conftest import House, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def asked(until: Until, **change: Any) -> tuple[UUID, str]:
    """A request that waits for its approval: the run, and the request's digest."""
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
    async with asyncio.timeout(90):
        while len(await standing()) != count:  # noqa: ASYNC110 - another process gives it: there is no event to wait for
            await asyncio.sleep(0.2)


async def test_a_request_is_given_after_its_approval_and_killed_it_still_ends(house: House, until: Until) -> None:
    with house.inside():
        run, digest = await asked(until)
        assert await standing() == []
        said = {"approver": "erin@contoso.com", "reason": "CHG-1"}
        await prefect_client.decide(str(run)[:8], digest, decision="approve", **said)
        await given(1)
        ((role, text),) = await standing()
        assert role.endswith("RBAC Reader")
        assert "by=erin@contoso.com" in text
        await kill(run)
        state = await end_access(return_state=True)
        assert state.message == "0 grants ended in 1 subscriptions"  # its time is not over
        await age()
        state = await end_access([SUBSCRIPTION], return_state=True)
        assert state.is_completed(), state.message
        assert state.message == "1 grants ended in 1 subscriptions"
        assert await standing() == []


async def test_a_rejected_request_and_one_that_must_not_be_give_nothing(house: House, until: Until) -> None:
    with house.inside():
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


async def test_what_is_asked_for_by_typing_is_not_approved_by_whoever_asked(house: House, until: Until) -> None:
    with house.inside():
        asking = ("granted/by-azure", "--to", ROBOT, "--role", "reader", "-n", "default", "--for", "10m")
        run = await typed(house, "access", "request", *asking, "--reason", "CHG-9", "--subscription", SUBSCRIPTION)
        waiting = await until(uuid.UUID(run), lambda now: now.gate is not None)
        assert run[:8] in await typed(house, "access", "approve", "--list")
        await typed(house, "access", "approve", run[:8], "--request", waiting.gate.plan, "--reason", "mine")
        ended = await until(uuid.UUID(run), lambda now: now.run.ended)
        assert "nobody approves their own request" in str(ended.run.message)
        assert await standing() == []


async def typed(house: House, *words: str) -> str:
    """A command line in a process of its own; what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from aks_entra.cli import main; main()", *words),
        env={**os.environ, **house.environment, "PREFECT_API_URL": house.api, "PREFECT_HOME": str(house.home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().strip()


async def test_the_end_is_waited_for_and_proven(house: House) -> None:
    with house.inside():
        async with open_session(Settings()) as session:
            what, until = (ROBOT, Level.READER, "default", None), session.ports.clock.now() + timedelta(hours=1)
            ask = await name_request.fn("granted/by-kubernetes", SUBSCRIPTION, what, until, "CHG-1", "dana")
            assert (await check_request.fn(ask), ask.end, ask.requested_by) == ((), until, "dana")
            made = await give_access.fn(ask, Approval(digest=ask.digest, approver="erin"))
            await wait_for_end.fn(replace(ask, end=session.ports.clock.now()))
            await wait_for_end.fn(replace(ask, end=None))
            ended = await end.fn(made.grant)
        assert (ended.removed, ended.still_allowed) == (True, "")


async def test_who_can_get_in_is_reviewed_and_nothing_is_written(house: House) -> None:
    with house.inside():
        before = len(house.exchanges)
        state = await review_access([SUBSCRIPTION], "granted", return_state=True)
        assert "ways into 2 clusters" in str(state.message)
        writes = [one for one in house.exchanges[before:] if one.method in {"PUT", "PATCH", "DELETE"}]
        assert writes == []


async def test_a_group_is_created_once_with_its_policy(house: House) -> None:
    with house.inside():
        for word in ("created", "there already"):
            state = await create_group(
                "jit", ["dana@contoso.com"], ticket=True, approvers=["glass@contoso.com"], return_state=True
            )
            assert str(state.message).endswith(word), state.message


async def test_a_policy_reports_first_and_enforcing_it_waits_for_an_approval(house: House, until: Until) -> None:
    policy = {"name": "aks", "groups": ["aks-admins"], "require": ["mfa"], "break_glass": ["glass@contoso.com"]}
    with house.inside():
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
    """As if its time were over: the end that stands in the grant is in the past."""
    async with open_session(Settings()) as session:
        place = ClusterId(subscription_id=SUBSCRIPTION, resource_group="granted", name="by-azure")
        what = (ROBOT, Level.READER, "default", None)
        ask = await granting.ask_for(session.ports, session.access, place, what, timedelta(hours=-1), "CHG-1")
        await session.access.roles.assign(ask, description(ask, "erin", ask.end))


async def kill(run: Any) -> None:
    """kill -9 of the process that carries out a flow run."""
    async with get_client() as client:
        label = (await client.read_flow_run(run)).labels[PROCESS]
    os.kill(Process.parse(str(label)).pid, signal.SIGKILL)
