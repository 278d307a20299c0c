from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from aks_entra import prefect_client
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.errors import Refused
from azure_sandbox.faults.operations import OperationFault
from azure_sandbox.faults.requests import throttled
from tests.flows.disturbances import kill

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
APPROVAL: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "CHG-1042"}


@contextmanager
def no_operation_is_seen_to_end(stack: PrefectStack) -> Iterator[None]:
    """Throttle every poll of an operation, so that a batch waits for its operation until the end of the block."""
    stack.sandbox.faults.add("GET", "/operations/", answer=throttled(), times=10_000)
    try:
        yield
    finally:
        stack.sandbox.faults.clear()


async def test_a_batch_killed_in_mid_rotation_is_resumed_with_one_rotation(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("killed")
        long = OperationFault(kind="slow-operation", operation="rotate", cluster="mid-rotation", factor=4)
        stack.sandbox.faults.operations.add(long)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(str(run.id), plan.digest, **APPROVAL)
        rotates = "POST rotateClusterCertificates"
        now = await until(run.id, lambda now: bool(now.batches) and rotates in stack.writes("killed"))
        await kill(now.batches[0].id)
        ended = await until(run.id, lambda now: now.run.ended)
        assert not ended.run.completed
        assert [one.outcome for one in (await stack.report(run.id)).verdicts] == [Outcome.FAILED]

        again = await prefect_client.resume(str(run.id), plan.digest)
        ended = await until(again.id, lambda now: now.gate is not None or now.run.ended)
        assert ended.gate is None  # approved already
        assert ended.run.completed, ended.run.message
        report = await stack.report(again.id)
        assert report.history is not None
        assert [one.run for one in report.history.runs] == [str(run.id), str(again.id)]
        assert [one.state for one in report.history.stages[0].batches] == ["CRASHED", "COMPLETED"]
        [verdict] = report.verdicts
        assert verdict.outcome is Outcome.VERIFIED
        assert verdict.grade is Grade.CA_REPLACED  # the held credential died with the process
        assert stack.writes("killed") == ["PUT mid-rotation", "POST rotateClusterCertificates"]


async def test_a_killed_coordinator_is_resumed_and_finds_its_living_batch(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("orphaned")
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(str(run.id), plan.digest, **APPROVAL)
        with no_operation_is_seen_to_end(stack):
            now = await until(run.id, lambda now: any(step.title == "prove sign-in" for step in now.steps))
            with pytest.raises(Refused, match="nothing to resume"):
                await prefect_client.resume(str(run.id), plan.digest)
            await kill(run.id)
            await until(run.id, lambda now: now.run.state == "Crashed")
            again = await prefect_client.resume(str(run.id), plan.digest)
            found = await until(again.id, lambda now: now.run.state == "Running")
            assert [(batch.id, batch.state) for batch in found.batches] == [(now.batches[0].id, "Running")]
        ended = await until(again.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert [batch.id for batch in ended.batches] == [batch.id for batch in now.batches]
        report = await stack.report(again.id)
        assert report.history is not None
        assert [(one.run, one.state) for one in report.history.runs] == [
            (str(run.id), "CRASHED"),
            (str(again.id), "RUNNING"),
        ]
        assert [one.by for _, one in report.history.decisions] == [f"{APPROVAL['approver']}, a claim"]
        [verdict] = report.verdicts
        assert verdict.outcome is Outcome.VERIFIED
        assert verdict.grade is Grade.CREDENTIAL_REFUSED  # the process with the held credential still runs
        assert stack.writes("orphaned") == ["PUT goes-on", "POST rotateClusterCertificates"]
