"""Cancelling from Prefect's UI: each member says where it stands, and the migration goes on from there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelling

from aks_entra import prefect_client
from aks_entra.cli.migrate import unreported
from aks_entra.core.verdict import Outcome
from aks_entra.prefect_client.runs import await_end
from azure_sandbox.operation_faults import OperationFault
from flows.migrate_batch import migrate_batch

if TYPE_CHECKING:
    from tests.flows.conftest import House, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
UNGATED = {
    "name": "all",
    "groups": [{"name": "all", "rest": True}],
    "gate_before": False,
    "max_concurrency": 1,
}


async def test_a_cancelled_batch_says_where_each_member_stands_and_is_resumed(house: House, until: Until) -> None:
    with house.inside():
        plan = await house.plan("stopped", UNGATED)
        run = await prefect_client.start_migration(plan.digest)
        now = await until(run.id, lambda now: any("rotate" in one.step and not one.ended for one in now.steps))
        (batch,) = now.batches
        async with get_client() as client:
            await client.set_flow_run_state(batch.id, Cancelling())
        await until(run.id, lambda now: now.run.ended)
        found = {one.cluster.name: one for one in (await prefect_client.verdicts(plan.digest)).values()}
        assert sorted(one.outcome for one in found.values()) == [Outcome.NOT_VERIFIED, Outcome.SKIPPED]
        texts = sorted(one.because[0] for one in found.values())
        assert texts == [
            "stopped at rotate-certificates: what Azure has begun goes on there, and was not seen to its end",
            "stopped before its turn: nothing was written",
        ]
        assert all("--resume" in one.next for one in found.values())
        members = [one.cluster.resource_id for one in plan.clusters]
        state = await migrate_batch(plan.digest, "all", members, return_state=True)
        assert state.is_completed(), state.message
        assert {one.outcome for one in (await prefect_client.verdicts(plan.digest)).values()} == {Outcome.VERIFIED}
        assert house.writes("stopped").count("POST rotateClusterCertificates") == 2


async def test_a_cancelled_coordinator_takes_its_batches_along(house: House, until: Until) -> None:
    with house.inside():
        plan = await house.plan("called-off", UNGATED)
        long = OperationFault(kind="slow-operation", operation="rotate", cluster="first", factor=60)
        house.sandbox.faults.operations.add(long)
        run = await prefect_client.start_migration(plan.digest)
        now = await until(run.id, lambda now: any("rotate" in one.step and not one.ended for one in now.steps))
        (batch,) = now.batches
        async with get_client() as client:
            await client.set_flow_run_state(run.id, Cancelling())
        async with asyncio.timeout(120):
            await await_end(batch.id, every=0.2)
            await await_end(run.id, every=0.2)
        assert (await prefect_client.look_at(batch.id)).state == "Cancelled"
        found = (await prefect_client.verdicts(plan.digest)).values()
        assert sorted(one.outcome for one in found) == [Outcome.NOT_VERIFIED, Outcome.SKIPPED]
        refused = await unreported(run.id)
        assert "ended Cancelled without a report" in refused.message
        assert refused.remedy == f"aks-entra migrate --resume {str(run.id)[:8]}"
