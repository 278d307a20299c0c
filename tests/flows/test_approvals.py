"""An approval is valid only for the plan that the approver read, and it expires."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.responses import SetStateStatus

from aks_entra import prefect_client
from aks_entra.core.durations import moment, stamp
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.prefect_client import events, migration_records, names, pages
from tests.flows.disturbances import switch_azure_rbac_on
from tests.support.sent_events import sent

if TYPE_CHECKING:
    from uuid import UUID

    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
APPROVAL: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "as read"}


async def test_if_a_cluster_changed_its_stage_is_planned_and_approved_again(stack: PrefectStack, until: Until) -> None:
    stages = (
        {"name": "canary", "groups": [{"name": "one", "clusters": ["a-done"]}]},
        {"name": "rest", "groups": [{"name": "others", "rest": True}]},
    )
    with stack.inside():
        plan = await stack.plan("drifting", *stages)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(str(run.id), plan.digest, **APPROVAL, ticket="CHG-1042")
        await until(run.id, lambda now: now.gate is not None and now.gate.stage == 1)
        kept = await migration_records.approval(plan.digest, "canary", "before")
        assert kept is not None
        assert (kept.ticket, kept.approver, kept.at[:3]) == ("CHG-1042", "dana@contoso.com", "202")
        drifted = next(one.cluster for one in plan.clusters if one.cluster.name == "b-drifts")
        await switch_azure_rbac_on(drifted)
        written = stack.writes("drifting")

        await prefect_client.decide(str(run.id), plan.digest, **APPROVAL)
        asked = await until(run.id, lambda now: now.gate is not None and now.gate.plan != plan.digest)
        assert stack.writes("drifting") == written
        fresh = await prefect_client.load_plan(asked.gate.plan)
        assert fresh.replaces == plan.digest
        assert [(one.cluster, one.differences) for one in fresh.changes] == [
            ("drifting/b-drifts", ("Azure RBAC: expected off, found on",))
        ]
        page = pages.gate_page(fresh, fresh.stages[1], "before")
        assert f"This replaces plan `{plan.digest}`" in page
        assert "| drifting/b-drifts | Azure RBAC: expected off, found on |" in page
        unmoved = [one.cluster.name for one in fresh.clusters if one == plan.plan_for(one.cluster)]
        assert unmoved == ["a-done", "c-stays"]
        with pytest.raises(Refused, match="waits for plan"):
            await prefect_client.decide(str(run.id), plan.digest, **APPROVAL)

        await prefect_client.decide(str(run.id), fresh.digest, **APPROVAL)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        report = await stack.report(run.id)
        assert report.plan_digest == fresh.digest
        assert {one.cluster.name: one.outcome for one in report.verdicts} == dict.fromkeys(
            ("a-done", "b-drifts", "c-stays"), Outcome.VERIFIED
        )
        assert stack.writes("drifting").count("POST rotateClusterCertificates") == 3
        assert [batch.name.split(" · ")[0] for batch in ended.batches] == ["canary", "rest"]


async def test_an_expired_approval_is_requested_again_with_the_reason(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        stage = {"name": "all", "groups": [{"name": "all", "rest": True}]}
        brief = {**stage, "gate_before": {"approval": {"expires_after": "PT1S"}}}
        plan = await stack.plan("expired", brief)
        run = await prefect_client.start_migration(plan.digest)
        first = await until(run.id, lambda now: now.gate is not None)
        async with get_client() as client:
            await client.update_work_pool(names.WORK_POOL, WorkPoolUpdate(is_paused=True))
            await prefect_client.decide(str(run.id), plan.digest, **APPROVAL)
            expired = datetime.now(UTC) + timedelta(seconds=1)
            await until(run.id, lambda _now: datetime.now(UTC) > expired)
            await client.update_work_pool(names.WORK_POOL, WorkPoolUpdate(is_paused=False))
        await until(run.id, lambda now: now.gate is not None and now.gate.asked != first.gate.asked)
        old = await migration_records.approval(plan.digest, "all", "before")
        assert old is not None
        assert f"expired at {stamp(moment(old.at) + timedelta(seconds=1))}" in await question(run.id)
        assert stack.writes("expired") == []
        told = await sent(events.fleet_id("expired"), events.GATE_EXPIRED)
        assert told[events.GATE_EXPIRED]["payload"]["approver"] == "dana@contoso.com"
        await prefect_client.stop(run.id)

        plan = replace(await stack.plan("expired", stage), ticket_required=True)
        await prefect_client.store_plan(plan)
        run = await prefect_client.start_migration(plan.digest)
        waiting = await until(run.id, lambda now: now.gate is not None)
        [listed] = [one for one in await prefect_client.waiting() if one.run == run.id]
        assert (listed.because, listed.plan) == (
            "gate before stage all: an approval",
            prefect_client.short(plan.digest),
        )
        assert f"`{prefect_client.short(plan.facts_digest)}`" in await question(run.id)
        async with get_client() as client:
            answer = {**APPROVAL, "plan": plan.digest}
            assert (await client.resume_flow_run(run.id, run_input=answer)).status is SetStateStatus.REJECT  # no ticket
        assert waiting.gate.asked
        await prefect_client.decide(str(run.id), plan.digest, **APPROVAL, ticket="CHG-7")
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        kept = await migration_records.approval(plan.digest, "all", "before")
        assert kept is not None
        assert kept.ticket == "CHG-7"
        assert kept.at > old.at


async def question(run: UUID) -> str:
    """Return the text in the form of a waiting run."""
    async with get_client() as client:
        state = (await client.read_flow_run(run)).state
        assert state is not None
        keyset = state.state_details.run_input_keyset
        assert keyset is not None
        return str(await client.read_flow_run_input(run, keyset["description"]))
