"""Cancelling in Prefect's UI: the report shows how far each cluster came, and a new run continues from there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelling

from aks_entra import prefect_client
from aks_entra.cli.run_endings import unreported
from aks_entra.core.verdict.verdict import Outcome, Reason
from aks_entra.prefect_client import artifacts, names
from aks_entra.prefect_client.run_end import await_end
from azure_sandbox.faults.operations import OperationFault
from tests.flows.coordinator import batch_of
from tests.support.patience import SOON

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
UNGATED = {
    "name": "all",
    "groups": [{"name": "all", "rest": True}],
    "gate_before": False,
    "max_concurrency": 1,
}


async def test_a_cancelled_batch_reports_the_progress_of_each_cluster_and_is_resumed(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        plan = await stack.plan("stopped", UNGATED)
        long = OperationFault(kind="slow-operation", operation="rotate", cluster="first", factor=4)
        stack.sandbox.faults.operations.add(long)
        run = await prefect_client.start_migration(plan.digest)
        now = await until(run.id, lambda now: any("rotate" in one.title and not one.ended for one in now.steps))
        (batch,) = now.batches
        async with get_client() as client:
            await client.set_flow_run_state(batch.id, Cancelling())
        await until(run.id, lambda now: now.run.ended)
        found = {one.cluster.name: one for one in (await prefect_client.verdicts(plan.digest)).values()}
        assert sorted(one.outcome for one in found.values()) == [Outcome.NOT_VERIFIED, Outcome.SKIPPED]
        assert {one.reason_code for one in found.values()} == {Reason.STOPPED}
        texts = sorted(one.because[0] for one in found.values())
        assert texts == [
            "stopped at rotate-certificates: the operation continues in Azure, and its end was not seen",
            "stopped before its turn: nothing was written",
        ]
        assert all("--resume" in one.next for one in found.values())
        page = await artifacts.get(names.key("page-progress", names.short(plan.digest)))
        assert page is not None
        assert "# stopped: 2 of 2 clusters ended" in page.packed
        assert page.flow_run == run.id
        state = await batch_of(plan)
        assert state.is_completed(), state.message
        assert {one.outcome for one in (await prefect_client.verdicts(plan.digest)).values()} == {Outcome.VERIFIED}
        assert stack.writes("stopped").count("POST rotateClusterCertificates") == 2


async def test_cancelling_a_coordinator_cancels_its_batches(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("called-off", UNGATED)
        long = OperationFault(kind="slow-operation", operation="rotate", cluster="first", factor=60)
        stack.sandbox.faults.operations.add(long)
        run = await prefect_client.start_migration(plan.digest)
        now = await until(run.id, lambda now: any("rotate" in one.title and not one.ended for one in now.steps))
        (batch,) = now.batches
        async with get_client() as client:
            await client.set_flow_run_state(run.id, Cancelling())
        async with asyncio.timeout(SOON):
            await await_end(batch.id, every=0.2)
            await await_end(run.id, every=0.2)
        assert (await prefect_client.look_at(batch.id)).state == "Cancelled"
        found = (await prefect_client.verdicts(plan.digest)).values()
        assert sorted(one.outcome for one in found) == [Outcome.NOT_VERIFIED, Outcome.SKIPPED]
        refused = await unreported(run.id)
        assert "ended Cancelled without a report" in refused.message
        assert refused.remedy == f"aks-entra migrate --resume {str(run.id)[:8]}"
