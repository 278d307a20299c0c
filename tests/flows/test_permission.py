"""A batch writes only what was approved for its running coordinator, no matter who starts the batch and how."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from aks_entra import __version__, prefect_client
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.core.steps import Guarded
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.documents import pack
from aks_entra.prefect_client import decisions, migration_records, rollout
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from flows.migrate_batch import migrate_batch
from tests.flows.coordinator import batch_of
from tests.flows.stages import ALL, UNGATED

if TYPE_CHECKING:
    from uuid import UUID

    from aks_entra.core.cluster import ClusterId
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
APPROVAL: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "CHG-1042"}


async def post(approval: Approval, run: UUID | None) -> None:
    """Post an approval as an artifact, as anybody with access to Prefect's API can."""
    import json  # noqa: PLC0415 - only here

    async with get_client() as client:
        await client.create_artifact(
            ArtifactCreate(
                key=migration_records.approval_key("approval", approval.plan, approval.moment, approval.stage),
                type="aks-entra/approval",
                data=pack(json.dumps(asdict(approval))),
                flow_run_id=run,
            )
        )


async def test_an_approval_without_an_answer_at_the_server_is_not_accepted(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("forged", ALL)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        now = datetime.now(UTC)
        asked = decisions.question_of(plan, 0, "before")
        forged = Approval(
            plan=plan.digest, stage="all", moment="before", at=stamp(now), facts=plan.facts_digest, **APPROVAL
        )
        for at in ("2099-01-01T00:00:00Z", stamp(now), stamp(now + timedelta(minutes=2)), ""):
            for named, stored in (("", None), (str(run.id), None), (str(run.id), run.id)):
                await post(replace(forged, at=at, run=named, question=f"{asked.key}-1"), stored)
        assert await decisions.decided(run.id, asked) is None
        state = await batch_of(plan)  # its coordinator notes that it may write, but has no answer to its own question
        assert state.is_failed()
        assert "was not approved" in str(state.message)
        other = await prefect_client.start("migrate-batch/migrate-batch", _batch(plan, run.id), tags=_tags(run.id))
        ended = await prefect_client.await_end(other.id, every=0.2)
        assert ended.state is not None
        assert ended.state.is_failed()
        assert "not running" in str(ended.state.message)
        assert stack.writes("forged") == []

        await prefect_client.decide(str(run.id), plan.digest, **APPROVAL)
        await until(run.id, lambda now: now.run.ended)
        given = await decisions.decided(run.id, asked)
        assert given is not None
        assert (given.run, given.facts) == (str(run.id), plan.facts_digest)
        assert await decisions.decided(run.id, replace(asked, facts="sha256:other")) is None
        assert await decisions.decided(run.id, replace(asked, place=1)) is None
        again = await prefect_client.start_migration(plan.digest)  # all is done: it only verifies, and asks nobody
        await until(again.id, lambda now: now.run.ended)
        assert await decisions.decided(again.id, asked) is None

        fresh = await stack.plan("forged", ALL, records=await prefect_client.records())
        assert fresh.digest != plan.digest
        later = await prefect_client.start_migration(fresh.digest)  # as a schedule does for a migrated fleet
        ended_later = await until(later.id, lambda now: now.run.ended)
        assert ended_later.run.completed, ended_later.run.message
        [verdict] = (await stack.report(later.id)).verdicts
        assert (verdict.outcome, verdict.grade) == (Outcome.VERIFIED, Grade.BY_RECORD)
        assert stack.writes("forged").count("POST rotateClusterCertificates") == 1


def _batch(plan: Any, _: UUID) -> dict[str, Any]:
    return {"plan": plan.digest, "stage": "all", "members": [one.cluster.resource_id for one in plan.clusters]}


def _tags(run: UUID) -> tuple[str, ...]:
    return (f"coordinator:{run}",)


async def test_a_plan_that_is_run_again_is_not_verified_where_somebody_opened_the_cluster_since(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        plan = await stack.plan("run-twice", UNGATED)
        await batch_of(plan)
        assert [one.outcome for one in (await prefect_client.verdicts(plan.digest)).values()] == [Outcome.VERIFIED]
        await open_in_the_portal(plan.clusters[0].cluster)
        written = stack.writes("run-twice")
        again = await prefect_client.start_migration(plan.digest)
        await until(again.id, lambda now: now.run.ended)
        [verdict] = (await stack.report(again.id)).verdicts
        assert verdict.outcome is Outcome.FAILED
        assert "not as it was when the plan was approved" in verdict.because[0]
        assert stack.writes("run-twice") == written


async def open_in_the_portal(cluster: ClusterId) -> None:
    """Switch local accounts on, as somebody in the portal can."""
    async with open_session(Settings()) as session:
        expected = replace(Guarded.of(await session.ports.arm.cluster(cluster)), ca=None)
        await session.watch.settled(await session.ports.arm.set_local_accounts(cluster, expected, enabled=True))


async def test_a_batch_that_is_started_by_hand_writes_nothing_whatever_its_stage(stack: PrefectStack) -> None:
    with stack.inside():
        plan = await stack.plan("hand-started", UNGATED)
        members = [one.cluster.resource_id for one in plan.clusters]
        state = await migrate_batch(plan.digest, "all", members, return_state=True)
        assert state.is_failed()
        assert "no coordinator started it" in str(state.message)
        assert "start migrate-fleet with this plan" in str(state.message)
        canary = {**UNGATED, "name": "canary", "groups": [{"name": "a", "clusters": ["a"]}]}
        two = await stack.plan("hand-started", canary, UNGATED)
        elsewhere = await batch_of(two, place=1, at=0)
        assert elsewhere.is_failed()
        assert "does not work on this stage now" in str(elsewhere.message)
        early = await batch_of(two, place=1, through=0)
        assert early.is_failed()
        assert "stage canary, which is before all, is not finished" in str(early.message)
        assert stack.writes("hand-started") == []


async def test_a_batch_of_another_version_than_its_coordinator_writes_nothing(stack: PrefectStack) -> None:
    with stack.inside():
        plan = await stack.plan("hand-started", UNGATED)
        for version, named in (("0.0.9", "aks-entra 0.0.9"), (None, "an earlier version of aks-entra")):
            state = await batch_of(plan, note={"version": version})
            assert state.is_failed()
            said = str(state.message)
            assert f"its coordinator runs {named}" in said
            assert f"this batch runs aks-entra {__version__} (VersionMismatch)" in said
            assert "install one version of aks-entra on all workers" in said
            coordinator = await prefect_client.find_run(said.partition("aks-entra migrate --resume ")[2][:8])
            failures = await rollout.batch_failures(coordinator.id)
            assert set(failures) == {one.cluster.key for one in plan.clusters}
            assert all(f"its coordinator runs {named}" in one for one in failures.values()), "its report says why"
        newer = await batch_of(plan, note={"something": "that this version does not know"})
        assert newer.is_failed()
        assert "does not work on this stage now" in str(newer.message)
        assert stack.writes("hand-started") == []


async def test_a_fleet_without_gates_is_refused_where_the_worker_does_not_allow_it(
    stack: PrefectStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.migrate_fleet import migrate_fleet  # noqa: PLC0415 - only here

    with stack.inside():
        monkeypatch.setenv("AKS_ENTRA_ALLOW_UNGATED", "false")
        plan = await stack.plan("hand-started", UNGATED)
        for state in (
            await migrate_fleet(plan=plan.digest, return_state=True),
            await migrate_fleet(fleet=stack.fleet("hand-started", UNGATED), return_state=True),
        ):
            assert state.is_failed()
            assert "no approval is asked for before stage all" in str(state.message)
            assert "AKS_ENTRA_ALLOW_UNGATED=true" in str(state.message)
        state = await batch_of(plan)
        assert state.is_failed()
        assert "was not approved" in str(state.message)
        assert stack.writes("hand-started") == []
