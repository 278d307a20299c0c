"""The steps of a rollback as tasks of a batch in this process: open local accounts, and verify from outside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aks_entra import prefect_client
from aks_entra.core.rollout.quiet import Listened
from aks_entra.planning.rollback import chosen
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.planning import (
    due_to_write,
    plan_changes,
    plan_rotations,
    read_logs,
    read_owners,
    read_windows,
    shown_writes,
)
from tasks.rollback import plan_way_back
from tests.flows.coordinator import batch_of
from tests.flows.stages import UNGATED

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_step_of_the_way_back_is_a_task(stack: PrefectStack) -> None:
    with stack.inside():
        done = await stack.plan("reopened", UNGATED, rollout={"rotation": {"after": "7d"}})
        await batch_of(done)
        clusters = tuple(one.cluster for one in done.clusters)
        async with open_session(Settings()):
            assert await read_windows.fn(clusters) == ((),)
            listened = tuple(Listened(cluster=one) for one in clusters)
            assert await read_owners.fn(listened) == {clusters[0].key: ()}
            [heard] = (await read_logs.fn(clusters, 3600)).values()
            assert heard.log is None or heard.unknown or not heard.log.callers
            assert await plan_changes.fn(done, clusters) is None
            assert await due_to_write.fn(done, clusters) == ()
            [shown] = await shown_writes.fn(done, clusters)
            assert shown
            assert shown[0].startswith("Azure's activity log shows a write by ")
            second = await plan_rotations.fn(done, clusters)
            assert "rotate-certificates" in [step.kind for one in second.clusters for step in one.steps]
            back = await plan_way_back.fn(done, chosen(done, ()), ())
        assert [step.kind for one in back.clusters for step in one.steps] == [
            "enable-local-accounts",
            "verify-restored",
        ]
        back = replace(back, stages=tuple(replace(stage, gate_before=False) for stage in back.stages))
        await prefect_client.store_plan(back)
        for place in range(len(back.stages)):
            await batch_of(back, place=place)
        [verdict] = (await prefect_client.verdicts(back.digest)).values()
        assert verdict.because[0].startswith("local accounts are open"), verdict.because
        assert stack.writes("reopened") == ["PUT here", "PUT here"]
