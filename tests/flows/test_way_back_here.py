"""The steps of the way back as tasks of a batch in this very process: opened again, and looked at from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aks_entra import prefect_client
from aks_entra.core.durations import stamp
from aks_entra.prefect_client import notes
from aks_entra.prefect_client.archive import Approval, store_approval
from aks_entra.settings import Settings
from aks_entra.wayback import chosen
from aks_entra.wiring import open_session
from flows.migrate_batch import migrate_batch
from tasks.surveys import plan_changes, plan_rotations, read_windows
from tasks.wayback import plan_way_back

if TYPE_CHECKING:
    from tests.flows.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")
UNGATED = {"name": "all", "groups": [{"name": "all", "rest": True}], "gate_before": False}


async def test_every_step_of_the_way_back_is_a_task(house: House) -> None:
    with house.inside():
        done = await house.plan("reopened", UNGATED, rollout={"rotation": {"after": "7d"}})
        members = [one.cluster.resource_id for one in done.clusters]
        await migrate_batch(done.digest, "all", members, return_state=True)
        clusters = tuple(one.cluster for one in done.clusters)
        async with open_session(Settings()):
            assert await read_windows.fn(clusters) == ((),)
            assert await plan_changes.fn(done, clusters) is None
            second = await plan_rotations.fn(done, clusters)
            assert "rotate-certificates" in [step.kind for one in second.clusters for step in one.steps]
            back = await plan_way_back.fn(done, chosen(done, ()), ())
        assert [step.kind for one in back.clusters for step in one.steps] == [
            "enable-local-accounts",
            "verify-restored",
        ]
        await prefect_client.store_plan(back)
        now = stamp(notes.now())
        said = {"approver": "dana@contoso.com", "reason": "INC-77"}
        for stage in back.stages:
            await store_approval(
                Approval(plan=back.digest, stage=stage.name, moment="before", decision="approve", at=now, **said)
            )
            await migrate_batch(back.digest, stage.name, members, return_state=True)
        [verdict] = (await prefect_client.verdicts(back.digest)).values()
        assert verdict.because[0].startswith("open again"), verdict.because
        assert house.writes("reopened") == ["PUT here", "PUT here"]
