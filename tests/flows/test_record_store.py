"""Prefect's database is lost in the middle of a rollout, and everything but the history of runs is still known."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.exceptions import ObjectNotFound

from aks_entra import prefect_client
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord
from aks_entra.core.sweeps import DELAY
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents import pack
from aks_entra.prefect_client import (
    artifact_requests,
    break_glass_records,
    grant_records,
    migration_records,
    progress,
)
from aks_entra.prefect_client.names import hexadecimal, key
from aks_entra.prefect_client.record_store import KeptRecords, import_from_prefect, kept_records
from flows.end_access import end_access
from flows.sweep_break_glass import sweep_break_glass
from tests.flows.conftest import MAIN, SUBSCRIPTION
from tests.flows.stages import CANARY, REST
from tests.flows.sweeps_ahead import sweeps_ahead
from tests.support.access_cases import ask

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.verdict.report import FleetReport
    from tests.flows.conftest import PrefectStack, Until
    from tests.flows.lossy_server import LossyServer

pytestmark = pytest.mark.asyncio(loop_scope="session")
GROUP = "by-hand"
APPROVAL: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "CHG-1042"}


async def what_is_known(stack: PrefectStack, plan: FleetPlan) -> dict[str, Any]:
    """Return what later commands, plans and sweeps go by."""
    opened, unread = await break_glass_records.open_records()
    listed = await stack.aks_entra("inventory", "--subscription", SUBSCRIPTION, "--resource-group", GROUP, "-o", "json")
    assert listed.exit_code == 0, listed.output
    return {
        "plan": await prefect_client.load_plan(hexadecimal(plan.digest)[:12]),
        "verdicts": await prefect_client.verdicts(plan.digest),
        "gates": await progress.all_reached(plan),
        "debt": await prefect_client.records(),
        "last plans": [one.digest for one in await migration_records.last_plans()],
        "report": await prefect_client.load_report(plan.digest),
        "inventory": json.loads(listed.stdout)["clusters"],
        "opened": opened,
        "grants": (await grant_records.announced()).ends,
        "unread": unread,
    }


async def announce(plan: FleetPlan) -> OpeningRecord:
    """Announce an opening of the last cluster of a plan, which nobody opens, and a grant. Returns the record."""
    now = datetime.now(UTC).replace(microsecond=0)
    opening = Opening(until=(now + timedelta(hours=2)).isoformat(), since=now.isoformat(), reason="INC-7")
    cluster = plan.clusters[-1].cluster.resource_id
    record = OpeningRecord(cluster=cluster, opening=opening, uid="u", at=now.isoformat())
    await prefect_client.announce_opening(record, attended=False)
    grant = ask(cluster=plan.clusters[-1].cluster, end=now + timedelta(hours=3))
    await prefect_client.announce_grant(grant, attended=False)
    return record


async def typed_migration(stack: PrefectStack, plan: FleetPlan) -> str:
    """Type what the page on a lost database says, and return the run that this starts."""
    typed = await stack.aks_entra("migrate", plan.digest[:19], "--no-wait", "-o", "json")
    assert typed.exit_code == 0, typed.output
    return str(json.loads(typed.stdout)["run"])


def decisions_in(report: FleetReport) -> list[tuple[str, str, bool]]:
    """Return where somebody decided, in which run, and whether only the record says so."""
    decisions = report.history.decisions if report.history else ()
    return [(gate, one.run, one.unconfirmed) for gate, one in decisions]


async def kinds_shown(plan: FleetPlan, *kinds: str) -> list[str]:
    """Return of which of these kinds Prefect's server has an artifact under a plan."""
    return [one for one in kinds if await artifact_requests.newest_under(key(one, hexadecimal(plan.digest)))]


async def delete_artifacts() -> None:
    """Delete every artifact, as Prefect's own vacuum does for old runs."""
    async with get_client() as client:
        while found := await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(like_="-"))):
            for one in found:
                await client.delete_artifact(one.id)


async def test_a_database_lost_at_a_gate_loses_nothing_but_the_history_of_runs(
    lossy: LossyServer, until: Until
) -> None:
    stack = lossy.stack
    with stack.inside():
        plan = await stack.plan(GROUP, CANARY, REST)
        canary = plan.clusters[0].cluster
        opened = await announce(plan)
        ends = await sweeps_ahead(prefect_client.SWEEP_BREAK_GLASS), await sweeps_ahead(prefect_client.END_ACCESS)
        assert all(ends)
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(str(run.id), plan.digest, **APPROVAL)
        await until(run.id, lambda now: now.gate is not None and now.gate.stage == 1)
        done = stack.writes(GROUP)
        before = await what_is_known(stack, plan)
        assert before["verdicts"][canary.key].outcome is Outcome.VERIFIED
        assert (approved := await migration_records.approval(plan.digest, "canary", "before"))

        assert await kinds_shown(plan, "evidence", "baseline", "verdict") == ["verdict"], "only verdicts have a page"

    await lossy.lose_database()

    with stack.inside():
        async with get_client() as client:
            with pytest.raises(ObjectNotFound):
                await client.read_flow_run(run.id)
        assert await what_is_known(stack, plan) == before
        assert await migration_records.approval(plan.digest, "canary", "before") == approved
        swept = await sweep_break_glass(return_state=True)
        assert swept.message == "nothing to end: 1 open, none of them due"
        ended = await end_access(return_state=True)
        assert "nothing to end" in str(ended.message)
        again = await sweeps_ahead(prefect_client.SWEEP_BREAK_GLASS), await sweeps_ahead(prefect_client.END_ACCESS)
        found = [(after[0], at[0]) for after, at in zip(again, ends, strict=True)]
        assert all(at <= after <= at + DELAY for after, at in found), "the sweeps schedule themselves for these ends"

        await prefect_client.store_opening(opened.over(opened.at, "closed"))
        second = await prefect_client.find_run(await typed_migration(stack, plan))
        waiting = await until(second.id, lambda now: now.gate is not None)
        assert waiting.gate is not None
        assert waiting.gate.stage == 1, "the canary is proven, so nobody is asked about it again"
        assert stack.writes(GROUP) == done
        await prefect_client.decide(str(second.id), plan.digest, **APPROVAL)
        over = await until(second.id, lambda now: now.run.ended)
        assert over.run.completed, over.run.message
        assert stack.writes(GROUP).count("POST rotateClusterCertificates") == 2, "one for each cluster"
        report = await stack.report(second.id)
        assert [one.outcome for one in report.verdicts] == [Outcome.VERIFIED] * 2
        assert decisions_in(report) == [
            ("before stage canary", str(run.id), True),
            ("before stage rest", str(second.id), False),
        ], "the decision of the lost run is in the store"
        assert (await prefect_client.last_plan_of((f"{GROUP}/canary",))).digest == plan.digest

        known = await what_is_known(stack, plan)
        await delete_artifacts()
        assert await what_is_known(stack, plan) == known
        assert await stack.report(second.id) == report
        back = await stack.aks_entra("rollback", plan.digest, "--out", str(stack.home.parent / "back.json"))
        assert back.exit_code == 0, back.output


async def test_a_process_with_another_store_or_none_is_refused_and_told_which_one_it_is(lossy: LossyServer) -> None:
    stack, elsewhere = lossy.stack, str(lossy.records) + "-2"
    with stack.inside():
        plan = await stack.plan(GROUP, CANARY, REST)

    async def reports(**environment: str) -> str:
        words = (sys.executable, "-c", MAIN, "report", plan.digest)
        process = await stack.begin(stack.home.parent, *words, **environment)
        return b"".join(await process.communicate()).decode()

    nowhere = str(stack.home / "no-state")
    assert "is another store" in await reports(AKS_ENTRA_RECORDS=elsewhere)
    said = await reports(AKS_ENTRA_RECORDS="", XDG_STATE_HOME=nowhere)
    assert "AKS_ENTRA_RECORDS is not set here" in said
    assert f"set AKS_ENTRA_RECORDS={lossy.records}" in said
    found = await reports(AKS_ENTRA_RECORDS=""), await reports(XDG_STATE_HOME=nowhere)
    assert found[0] == found[1], "a command finds the store of this user's `up` by itself"
    assert "AKS_ENTRA_RECORDS" not in found[0]


async def test_what_only_prefect_has_is_read_from_there_and_imported_once(lossy: LossyServer) -> None:
    stack = lossy.stack
    with stack.inside():
        kept = await kept_records()
        assert kept is not None
        before = KeptRecords(kept.store, whole=False)
        name = key("skip", "1" * 64)
        async with get_client() as client:
            for text in ("first", "second"):
                await artifact_requests.create(client, name, pack(text), kind="skip")
        assert await kept.newest(name) is None, "this server never had records that its store lacks"
        assert not await prefect_client.has_records_only_at_prefect()
        kept.whole = False
        assert await prefect_client.has_records_only_at_prefect()
        read = await before.newest(name)
        assert read is not None
        assert read.text == "second"
        assert [one.key for one in await before.newest_under(key("skip", "1"))] == [name]
        assert await import_from_prefect() == 2
        assert not await prefect_client.has_records_only_at_prefect()
        assert [one.text for one in await kept.versions_of(name)] == ["second", "first"]
        async with get_client() as client:
            await artifact_requests.create(client, name, pack("from an earlier version"), kind="skip")
        assert await import_from_prefect() == 1
        texts = [one.text for one in await kept.versions_of(name)]
        assert texts == ["second", "from an earlier version", "second", "first"], "the newest one still counts"
        assert await import_from_prefect() == 0
