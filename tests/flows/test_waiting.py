"""Gates that wait for a time: Prefect's server keeps the time, no process waits, and nothing begins earlier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.states import AwaitingRetry

from aks_entra import prefect_client
from aks_entra.core.durations import moment, stamp
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.prefect_client.liveness import PROCESS
from tests.flows.stages import ALL

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_stage_waits_without_a_process_and_goes_on_when_its_time_has_come(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        gates = {
            "gate_before": {"approval": False, "wait": "PT8S"},
            "gate_after": {"wait": "PT4S"},
        }
        plan = await stack.plan("timed", {**ALL, **gates})
        run = await prefect_client.start_migration(plan.digest)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        async with get_client() as client:
            states = await client.read_flow_run_states(run.id)
        before, after = (state for state in states if state.name == "AwaitingRetry")
        assert "gate before stage all: wait 8s" in str(before.message)
        assert "gate after stage all: wait 4s" in str(after.message)
        [verdict] = (await stack.report(run.id)).verdicts
        assert verdict.outcome is Outcome.VERIFIED
        done = [moment(one.at) for one in verdict.evidence if getattr(one, "changed", False)]
        opened, left = (state.state_details.scheduled_time for state in (before, after))
        assert opened is not None
        assert left is not None
        assert opened < min(done)
        assert max(done) < after.timestamp
        assert left < states[-1].timestamp
        assert stack.writes("timed") == ["PUT soon", "POST rotateClusterCertificates"]


async def test_a_run_that_is_resumed_too_early_waits_again(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        opens = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
        gate = {"not_before": opens.isoformat(), "approval": {"expires_after": "7d"}}
        plan = await stack.plan("tomorrow", {**ALL, "gate_before": gate})
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)  # the approval is still valid in three days
        await prefect_client.decide(str(run.id), plan.digest, decision="approve", approver="dana", reason="CHG-1042")
        waiting = await until(run.id, lambda now: now.run.waits)
        assert "not before" in waiting.run.message
        with pytest.raises(Refused, match="nothing to resume"):
            await prefect_client.resume(str(run.id), plan.digest)
        async with get_client() as client:
            stored = await client.read_flow_run(run.id)
            assert stored.labels[PROCESS] == ""
            first = stored.state
            await client.set_flow_run_state(run.id, AwaitingRetry(scheduled_time=datetime.now(UTC)), force=True)
            woken = await until(run.id, lambda now: now.run.waits and "not before" in now.run.message)
            second = (await client.read_flow_run(run.id)).state
            assert first is not None
            assert second is not None
            assert second.id != first.id
            assert second.state_details.scheduled_time is not None
            assert stamp(second.state_details.scheduled_time) == stamp(opens)
            assert woken.gate is None  # the approval is still valid
            await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
            await client.delete_flow_run(run.id)
        assert stack.writes("tomorrow") == []
