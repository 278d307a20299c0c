"""An unproven stage stops the rollout. Its report says what was written, from evidence and from Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aks_entra import prefect_client
from aks_entra.core.verdict.verdict import Outcome, Reason
from azure_sandbox.faults.operations import OperationFault
from tests.flows.approved_writes import ApprovalLog, writes_in
from tests.flows.disturbances import kill, switch_azure_rbac_on

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
STAGES: tuple[dict[str, Any], ...] = (
    {"name": "canary", "groups": [{"name": "one", "clusters": ["a"]}], "gate_before": False},
    {"name": "rest", "groups": [{"name": "others", "rest": True}], "gate_before": False},
)


async def test_a_batch_that_died_stops_the_rollout_and_its_report_tells_what_was_written(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        canary, rest = STAGES
        log, plan = ApprovalLog(), await stack.plan("unproven", {**canary, "gate_before": True}, rest)
        long = OperationFault(kind="slow-operation", operation="rotate", cluster="a", factor=10)
        stack.sandbox.faults.operations.add(long)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await log.approve(run.id)
        rotates = "POST rotateClusterCertificates"
        now = await until(run.id, lambda now: bool(now.batches) and rotates in stack.writes("unproven"))
        await kill(now.batches[0].id)
        ended = await until(run.id, lambda now: now.run.ended)
        assert not ended.run.completed
        lost, behind = (await stack.report(run.id)).verdicts
        assert (lost.outcome, lost.reason_code) == (Outcome.FAILED, Reason.LOST)
        assert lost.because[0].startswith("its batch ended without a verdict: ")  # and who noticed it says how
        assert lost.because[1].startswith("written so far: local accounts switched off at ")
        assert "nothing was written" not in " ".join(lost.because)
        assert (behind.outcome, behind.reason_code) == (Outcome.SKIPPED, Reason.NOT_REACHED)
        assert [batch.name.split(" · ")[0] for batch in ended.batches] == ["canary"]
        assert stack.writes("unproven") == ["PUT a", "POST rotateClusterCertificates"]
        sent = writes_in(stack.exchanges, "unproven")  # those that Azure refused, too
        assert [str(one) for one in sent if one.cluster != lost.cluster.key] == []
        assert await log.unapproved(sent) == []

        again = await prefect_client.resume(str(run.id), plan.digest)
        ended = await until(again.id, lambda now: now.run.ended)
        assert ended.run.completed, (await stack.report(again.id)).verdicts
        assert {one.outcome for one in (await stack.report(again.id)).verdicts} == {Outcome.VERIFIED}
        assert stack.writes("unproven").count("POST rotateClusterCertificates") == 2


async def test_a_canary_that_is_refused_at_execution_stops_the_rollout(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("refused", *STAGES, rotation="later")
        await switch_azure_rbac_on(plan.stages[0].members[0])
        written = stack.writes("refused")
        run = await prefect_client.start_migration(plan.digest)
        ended = await until(run.id, lambda now: now.run.ended)
        assert "stage canary: 1 not proven, 0 allowed" in ended.run.message
        assert [one.outcome for one in (await stack.report(run.id)).verdicts] == [Outcome.REFUSED, Outcome.SKIPPED]
        assert stack.writes("refused") == written
