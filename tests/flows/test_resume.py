from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client

from aks_entra import prefect_client
from aks_entra.core.verdict import Grade, Outcome
from aks_entra.errors import Refused
from aks_entra.prefect_client.life import PROCESS, Process

if TYPE_CHECKING:
    from tests.flows.conftest import House, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
SAID: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "CHG-1042"}


async def kill(run: Any) -> None:
    """End the process of one flow run as a machine's death would."""

    async with get_client() as client:
        label = (await client.read_flow_run(run)).labels[PROCESS]
    os.kill(Process.parse(str(label)).pid, signal.SIGKILL)


def rotating(now: Any) -> bool:
    return any(step.step == "rotate certificates" and step.state == "Running" for step in now.steps)


async def test_a_batch_killed_in_mid_rotation_is_resumed_with_one_rotation(house: House, until: Until) -> None:
    with house.inside():
        plan = await house.plan("killed")
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(str(run.id), plan.digest, **SAID)
        now = await until(run.id, rotating)
        await kill(now.batches[0].id)
        ended = await until(run.id, lambda now: now.run.ended)
        assert not ended.run.completed
        assert [one.outcome for one in (await house.report(run.id)).verdicts] == [Outcome.FAILED]

        again = await prefect_client.resume(str(run.id), plan.digest)
        ended = await until(again.id, lambda now: now.gate is not None or now.run.ended)
        assert ended.gate is None  # approved already
        assert ended.run.completed, ended.run.message
        [verdict] = (await house.report(again.id)).verdicts
        assert verdict.outcome is Outcome.VERIFIED
        assert verdict.grade is Grade.CA_REPLACED  # the witness died with the process
        assert house.writes("killed") == ["PUT mid-rotation", "POST rotateClusterCertificates"]


async def test_a_killed_coordinator_is_resumed_and_finds_its_living_batch(house: House, until: Until) -> None:
    with house.inside():
        plan = await house.plan("orphaned")
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(str(run.id), plan.digest, **SAID)
        now = await until(run.id, lambda now: any(step.step == "prove sign-in" for step in now.steps))
        with pytest.raises(Refused, match="nothing to resume"):
            await prefect_client.resume(str(run.id), plan.digest)
        await kill(run.id)
        await until(run.id, lambda now: now.run.state == "Crashed")
        again = await prefect_client.resume(str(run.id), plan.digest)
        ended = await until(again.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert [batch.id for batch in ended.batches] == [batch.id for batch in now.batches]
        [verdict] = (await house.report(again.id)).verdicts
        assert verdict.outcome is Outcome.VERIFIED
        assert verdict.grade is Grade.CREDENTIAL_REFUSED  # nothing died that held the witness
        assert house.writes("orphaned") == ["PUT goes-on", "POST rotateClusterCertificates"]
