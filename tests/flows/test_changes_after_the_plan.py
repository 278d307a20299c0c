"""The batch checks again before it writes: its lease, our records, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from aks_entra import prefect_client
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.arm.authorization.policies import BUILT_IN, PolicyAssignment
from tasks.planning import plan_changes
from tests.flows.coordinator import batch_of
from tests.flows.stages import UNGATED

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_change_after_the_plan_stops_its_cluster_before_the_first_write_and_no_other(
    stack: PrefectStack,
) -> None:
    with stack.inside():
        plan = await stack.plan("barred", UNGATED, rotation="later")
        free, opened, policed = (one.cluster for one in plan.clusters)
        denies = PolicyAssignment(scope=policed.resource_id, name="no-local", definition=BUILT_IN[0], effect="Deny")
        stack.sandbox.arm.add_policy(denies)
        now = datetime.now(UTC)
        opening = Opening(until=(now + timedelta(hours=1)).isoformat(), since=now.isoformat(), reason="INC-77")
        record = OpeningRecord(cluster=opened.resource_id, opening=opening, uid="", at=now.isoformat())
        await prefect_client.store_opening(record)

        async with open_session(Settings()):
            fresh = await plan_changes.fn(plan, (free, opened, policed))
        assert fresh is not None
        assert [one.cluster for one in fresh.changes] == [str(policed)]
        assert fresh.plan_for(policed).disposition == "refused"

        await batch_of(plan)
        found = await prefect_client.verdicts(plan.digest)
        assert found[policed.key].outcome is Outcome.REFUSED
        assert "B021" in found[policed.key].because[0]
        assert found[opened.key].outcome is Outcome.REFUSED
        assert "open by break-glass" in found[opened.key].because[0]
        assert found[free.key].outcome is Outcome.NOT_VERIFIED, "its rotation is owed on purpose"
        assert stack.writes("barred") == ["PUT free"]
        await prefect_client.store_opening(record.over(now.isoformat(), "the test is over"))
