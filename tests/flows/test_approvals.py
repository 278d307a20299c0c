"""An approval holds for exactly what was read, and not for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import SetStateStatus

from aks_entra import prefect_client
from aks_entra.core.steps import Guarded
from aks_entra.core.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.prefect_client import archive, pages
from aks_entra.settings import Settings
from aks_entra.wiring import open_session

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from tests.flows.conftest import House, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
SAID: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "as read"}


async def switch_azure_rbac_on(cluster: ClusterId) -> None:
    """As somebody in the portal would."""
    async with open_session(Settings()) as session:
        posture = await session.ports.arm.cluster(cluster)
        write = session.ports.arm.update_entra(cluster, Guarded.of(posture), posture.admin_group_ids, azure_rbac=True)
        await session.watch.settled(await write)


async def test_when_a_cluster_moved_its_stage_is_planned_and_asked_for_again(house: House, until: Until) -> None:
    stages = (
        {"name": "canary", "groups": [{"name": "one", "clusters": ["a-done"]}]},
        {"name": "rest", "groups": [{"name": "others", "rest": True}]},
    )
    with house.inside():
        plan = await house.plan("drifting", *stages)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(str(run.id), plan.digest, **SAID, ticket="CHG-1042")
        await until(run.id, lambda now: now.gate is not None and now.gate.stage == 1)
        kept = await archive.approval(plan.digest, "canary", "before")
        assert kept is not None
        assert (kept.ticket, kept.approver, kept.at[:3]) == ("CHG-1042", "dana@contoso.com", "202")
        drifted = next(one.cluster for one in plan.clusters if one.cluster.name == "b-drifts")
        await switch_azure_rbac_on(drifted)
        written = house.writes("drifting")

        await prefect_client.decide(str(run.id), plan.digest, **SAID)
        asked = await until(run.id, lambda now: now.gate is not None and now.gate.plan != plan.digest)
        assert house.writes("drifting") == written
        fresh = await prefect_client.load_plan(asked.gate.plan)
        assert fresh.replaces == plan.digest
        assert [(one.cluster, one.differences) for one in fresh.changes] == [
            ("drifting/b-drifts", ("Azure RBAC: expected off, found on",))
        ]
        page = pages.gate_page(fresh, fresh.stages[1], "before")
        assert f"In place of plan `{plan.digest}`" in page
        assert "| drifting/b-drifts | Azure RBAC: expected off, found on |" in page
        unmoved = [one.cluster.name for one in fresh.clusters if one == plan.plan_for(one.cluster)]
        assert unmoved == ["a-done", "c-stays"]
        with pytest.raises(Refused, match="waits for plan"):
            await prefect_client.decide(str(run.id), plan.digest, **SAID)

        await prefect_client.decide(str(run.id), fresh.digest, **SAID)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        report = await house.report(run.id)
        assert report.plan_digest == fresh.digest
        assert {one.cluster.name: one.outcome for one in report.verdicts} == dict.fromkeys(
            ("a-done", "b-drifts", "c-stays"), Outcome.VERIFIED
        )
        assert house.writes("drifting").count("POST rotateClusterCertificates") == 3
        assert [batch.name.split(" · ")[0] for batch in ended.batches] == ["canary", "rest"]


async def test_an_approval_that_expired_is_asked_for_again_and_says_so(house: House, until: Until) -> None:
    with house.inside():
        stage = {"name": "all", "groups": [{"name": "all", "rest": True}]}
        plan = replace(await house.plan("expired", stage), ticket_required=True)
        await prefect_client.store_plan(plan)
        old = archive.Approval(
            **{**SAID, "plan": plan.digest, "stage": "all", "moment": "before", "at": "2026-01-01T00:00:00Z"}
        )
        await archive.store_approval(old)
        run = await prefect_client.start_migration(plan.digest)
        waiting = await until(run.id, lambda now: now.gate is not None)
        [listed] = [one for one in await prefect_client.waiting() if one.run == run.id]
        assert (listed.because, listed.plan) == (
            "gate before stage all: an approval",
            prefect_client.short(plan.digest),
        )
        async with get_client() as client:
            state = (await client.read_flow_run(run.id)).state
            assert state is not None
            keyset = state.state_details.run_input_keyset
            assert keyset is not None
            description = await client.read_flow_run_input(run.id, keyset["description"])
            assert "expired at 2026-01-02T00:00:00Z" in str(description)
            answer = {**SAID, "plan": plan.digest}
            assert (await client.resume_flow_run(run.id, run_input=answer)).status is SetStateStatus.REJECT  # no ticket
        assert waiting.gate.asked
        await prefect_client.decide(str(run.id), plan.digest, **SAID, ticket="CHG-7")
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        kept = await archive.approval(plan.digest, "all", "before")
        assert kept is not None
        assert kept.ticket == "CHG-7"
        assert kept.at > old.at
