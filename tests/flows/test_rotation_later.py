"""A rotation after a soak period: the first report says that it is owed; then the same run plans, asks and rotates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aks_entra import prefect_client
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.prefect_client import migration_records, pages
from tests.flows.stages import UNGATED

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
APPROVAL: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "soaked"}


async def test_a_rotation_after_a_soak_has_a_plan_and_an_approval_of_its_own(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("soaked", UNGATED, rollout={"rotation": {"after": "PT12S"}})
        assert not any(one.rotates for one in plan.clusters)
        run = await prefect_client.start_migration(plan.digest)
        soaking = await until(run.id, lambda now: now.run.waits)
        assert "soak of 12s; then the rotation of 2 clusters is planned" in soaking.run.message
        assert stack.writes("soaked").count("POST rotateClusterCertificates") == 0
        first = await migration_records.load_report(plan.digest)
        assert first is not None
        assert [one.outcome for one in first.verdicts] == [Outcome.NOT_VERIFIED, Outcome.NOT_VERIFIED]
        assert "planned: rotation 12s after its stage, under a plan of its own" in first.verdicts[0].because[0]

        asked = await until(run.id, lambda now: now.gate is not None)
        second = await prefect_client.load_plan(asked.gate.plan)
        assert second.follows == plan.digest
        assert all(one.rotates for one in second.clusters)
        assert f"Second part of plan `{plan.digest}`" in pages.gate_page(second, second.stages[0], "before")
        assert stack.writes("soaked").count("POST rotateClusterCertificates") == 0
        await prefect_client.decide(str(run.id), second.digest, **APPROVAL)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        report = await stack.report(run.id)
        assert report.plan_digest == second.digest
        assert [one.outcome for one in report.verdicts] == [Outcome.VERIFIED, Outcome.VERIFIED]
        assert stack.writes("soaked").count("POST rotateClusterCertificates") == 2
