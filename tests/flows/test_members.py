"""A person can skip one cluster, retry it, stop the rollout, and continue it under the same approved plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client

from aks_entra import prefect_client
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from tests.flows.disturbances import FORBIDDEN
from tests.flows.stages import ALL

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_member_is_skipped_with_a_reason_and_another_tried_again(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("chosen", {**ALL, "gate_before": False, "max_concurrency": 1})
        stack.sandbox.faults.add("PUT", "/resourceGroups/chosen/.*/managedClusters/a$", answer=FORBIDDEN)
        run = await prefect_client.start_migration(plan.digest)
        ended = await until(run.id, lambda now: now.run.ended)
        assert [one.outcome for one in (await stack.report(run.id)).verdicts] == [
            Outcome.FAILED,
            Outcome.SKIPPED,
            Outcome.SKIPPED,
        ]
        a, b, c = (prefect_client.member_of(plan, name) for name in ("a", "chosen/b", plan.clusters[2].cluster.key))
        with pytest.raises(Refused, match="has no cluster d"):
            prefect_client.member_of(plan, "d")
        await prefect_client.skip(plan, a, by="dana", reason="CHG-1: its team is away")
        await prefect_client.skip(plan, b, by="dana", reason="CHG-1: not yet")
        left = (await prefect_client.verdicts(plan.digest))[a.key]
        assert left.because[0].startswith("skipped by dana on ")
        assert "Azure Policy forbids it" in left.because[1]
        await prefect_client.retry(plan, a, by="erin")

        again = await prefect_client.resume(str(run.id), plan.digest)  # earlier failures do not count
        ended = await until(again.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        verdicts = {one.cluster.name: one for one in (await stack.report(again.id)).verdicts}
        assert {name: one.outcome for name, one in verdicts.items()} == {
            "a": Outcome.VERIFIED,
            "b": Outcome.SKIPPED,
            "c": Outcome.VERIFIED,
        }
        assert verdicts["b"].because[0].endswith(": CHG-1: not yet")
        assert stack.writes("chosen").count("POST rotateClusterCertificates") == 2
        for word in (prefect_client.skip(plan, c, by="dana", reason="late"), prefect_client.retry(plan, c, by="dana")):
            with pytest.raises(Refused, match="is verified"):
                await word


async def test_a_rollout_that_waits_is_stopped_and_goes_on_later(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("halted", ALL)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        assert await prefect_client.stop(run.id) == (run.name,)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.state == "Cancelled"
        with pytest.raises(Refused, match="ended already"):
            await prefect_client.stop(run.id)
        again = await prefect_client.resume(str(run.id), plan.digest)
        asked = await until(again.id, lambda now: now.gate is not None)
        assert asked.gate.plan == plan.digest
        assert stack.writes("halted") == []
        async with get_client() as client:
            await client.delete_flow_run(again.id)
