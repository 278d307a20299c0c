"""Gates that wait for a time: no process waits, Prefect's server has the time, and nothing begins before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import AwaitingRetry

from aks_entra import prefect_client
from aks_entra.core.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.prefect_client.life import PROCESS

if TYPE_CHECKING:
    from tests.flows.conftest import House, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
ALL: dict[str, Any] = {"name": "all", "groups": [{"name": "all", "rest": True}]}


async def test_a_stage_waits_without_a_process_and_goes_on_when_its_time_has_come(house: House, until: Until) -> None:
    with house.inside():
        gates = {
            "gate_before": {"approval": False, "wait": "PT8S"},
            "gate_after": {"wait": "PT4S"},
        }
        plan = await house.plan("timed", {**ALL, **gates})
        run = await prefect_client.start_migration(plan.digest)
        before = await until(run.id, lambda now: now.run.waits)
        assert "gate before stage all: wait 8s" in before.run.message
        async with get_client() as client:
            waiting = await client.read_flow_run(run.id)
        assert waiting.labels[PROCESS] == ""
        assert house.writes("timed") == []
        with pytest.raises(Refused, match="nothing to resume"):
            await prefect_client.resume(str(run.id), plan.digest)
        after = await until(run.id, lambda now: now.run.waits and "gate after" in now.run.message)
        assert house.writes("timed") == ["PUT soon", "POST rotateClusterCertificates"]
        assert "gate after stage all: wait 4s" in after.run.message
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert [one.outcome for one in (await house.report(run.id)).verdicts] == [Outcome.VERIFIED]
        assert house.writes("timed") == ["PUT soon", "POST rotateClusterCertificates"]


async def test_a_run_that_is_woken_too_early_waits_again(house: House, until: Until) -> None:
    with house.inside():
        opens = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
        gate = {"not_before": opens.isoformat(), "approval": {"expires_after": "7d"}}
        plan = await house.plan("tomorrow", {**ALL, "gate_before": gate})
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)  # the answer will still count in three days
        await prefect_client.decide(str(run.id), plan.digest, decision="approve", approver="dana", reason="CHG-1042")
        waiting = await until(run.id, lambda now: now.run.waits)
        assert "not before" in waiting.run.message
        async with get_client() as client:
            first = (await client.read_flow_run(run.id)).state
            await client.set_flow_run_state(run.id, AwaitingRetry(scheduled_time=datetime.now(UTC)), force=True)
            woken = await until(run.id, lambda now: now.run.waits and "not before" in now.run.message)
            second = (await client.read_flow_run(run.id)).state
            assert first is not None
            assert second is not None
            assert second.id != first.id
            assert second.state_details.scheduled_time == opens
            assert woken.gate is None  # the approval still counts
            await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
            await client.delete_flow_run(run.id)
        assert house.writes("tomorrow") == []
