"""Unreadable artifacts at Prefect's server are named by their key, and do not affect other clusters or plans."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra import documents
from aks_entra.core.evidence.observations import Failure, LocalAccountsDisabled, StateSeen
from aks_entra.core.evidence.rotation_debt import Sighting
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, last_plan_of, migration_records, progress, skips
from aks_entra.prefect_client.names import hexadecimal, key, slug
from flows.migrate_fleet import migrate_fleet
from tests.support.report_samples import fleet_plan, planned, posture

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import FleetPlan
    from tests.flows.conftest import PrefectStack

pytestmark = pytest.mark.asyncio(loop_scope="session")
NEWER = documents.pack(json.dumps({"kind": "aks-entra/report", "version": 2, "report": {}}))
CHANGED = documents.pack('{"kind": "aks-entra/report", "digest": "sha256:0", "report": {}}')


@asynccontextmanager
async def stored(name: str, packed: str, kind: str) -> AsyncIterator[None]:
    """Store a raw artifact until the end of the block."""
    async with get_client() as client:
        made = await client.create_artifact(ArtifactCreate(key=name, type=f"aks-entra/{kind}", data=packed))
        try:
            yield
        finally:
            await client.delete_artifact(made.id)


def plan_of(*names: str) -> FleetPlan:
    """Return a plan that no other test has, because its prover is unique."""
    plan = fleet_plan(("all", tuple(planned(posture(name)) for name in names)))
    return replace(plan, name=names[0], prover=replace(plan.prover, object_id=str(uuid4())))


@pytest.mark.parametrize("packed", ["!!", NEWER, CHANGED, documents.pack("a report")[:-12], documents.pack("[]")])
async def test_a_report_that_cannot_be_read_makes_the_clusters_of_its_plan_unknown_and_no_others(
    stack: PrefectStack, packed: str
) -> None:
    plan = plan_of("lost-01", "lost-02")
    name = key("report", hexadecimal(plan.digest))
    with stack.inside():
        await migration_records.store_plan(plan)
        before = [one for one in await migration_records.records() if one.sighting is Sighting.UNREADABLE]
        async with stored(name, packed, "report"):
            lost = [one for one in await migration_records.records() if one.sighting is Sighting.UNREADABLE]
            assert {(one.cluster, one.source) for one in lost} == {(one.cluster.key, name) for one in plan.clusters}

            found = await migration_records.last_found()
            assert [one.key for one in found.unread] == [name]
            assert plan in [one for _, one in found.read], "its fleet is verified at night all the same"
            assert await last_plan_of(("lost-01",)) == plan, "the way back does not depend on the report"
            with pytest.raises(Refused, match=f"the stored report {name} cannot be read: "):
                await migration_records.load_report(plan.digest)
    assert before == []


async def test_a_report_whose_plan_is_not_there_makes_the_clusters_that_it_names_unknown_or_all(
    stack: PrefectStack,
) -> None:
    cluster = posture("alone-01").cluster
    text = json.dumps(
        {"kind": "aks-entra/report", "version": 9, "report": {"of": {"id": cluster.resource_id, "name": "x"}}}
    )
    with stack.inside():
        for packed, clusters in ((documents.pack(text), {cluster.key}), ("!!", {""})):
            name = key("verification", uuid4().hex)
            async with stored(name, packed, "verification"):
                lost = [one for one in await migration_records.records() if one.sighting is Sighting.UNREADABLE]
                assert {(one.cluster, one.source) for one in lost} == {(one, name) for one in clusters}
                assert await migration_records.creation_of(cluster, "4be1") is None


async def test_a_damaged_plan_is_named_and_its_file_repairs_it(stack: PrefectStack) -> None:
    plan, other = plan_of("torn-01"), plan_of("torn-02")
    name = key("plan", hexadecimal(plan.digest))
    with stack.inside():
        await migration_records.store_plan(plan)
        for packed in ("!!", documents.pack(documents.dump_plan(other))):
            async with stored(name, packed, "plan"):
                with pytest.raises(Refused) as refused:
                    await migration_records.load_plan(plan.digest)
                assert name in refused.value.message
                assert "aks-entra migrate PLAN.json" in refused.value.remedy

                await migration_records.store_plan(plan)
                assert await migration_records.load_plan(plan.digest) == plan
        before = await artifacts.versions(name)
        await migration_records.store_plan(plan)
        assert await artifacts.versions(name) == before, "a sound one stays as it is"


async def test_a_verdict_and_evidence_that_cannot_be_read_are_rows_of_their_cluster(stack: PrefectStack) -> None:
    plan = plan_of("row-01", "row-02")
    first, second = plan.clusters
    verdict_key = key("verdict", hexadecimal(plan.digest), slug(first.cluster))
    closed = LocalAccountsDisabled(at="2026-11-26T10:00:00Z", changed=True)
    with stack.inside():
        await migration_records.store_plan(plan)
        await migration_records.store_verdict(plan.digest, judge(second, ()))
        await migration_records.store_evidence(plan.digest, first.cluster, "disable-local-accounts", (closed,))
        async with (
            stored(verdict_key, "!!", "verdict"),
            stored(key("evidence", hexadecimal(plan.digest), slug(first.cluster), "enable-entra"), "!!", "evidence"),
        ):
            known = await migration_records.verdicts(plan.digest)
            assert known[second.cluster.key] == judge(second, ())
            assert known[first.cluster.key].outcome is Outcome.FAILED
            assert verdict_key in known[first.cluster.key].because[0]

            *seen, lost = await migration_records.surviving_evidence(first, plan.digest)
            assert seen == [closed]
            assert isinstance(lost, Failure)
            assert "enable-entra" in lost.message

            again = replace(plan, replaces=plan.digest)
            await migration_records.carry_over(plan.digest, again)
            await migration_records.store_plan(again)
            over = await migration_records.verdicts(again.digest)
            assert over[second.cluster.key] == judge(second, ())
            assert over[first.cluster.key].outcome is Outcome.FAILED, "what was damaged does not become proven"


async def test_an_unreadable_note_stops_the_run(stack: PrefectStack) -> None:
    plan, plan_run = plan_of("note-01"), uuid4()
    cluster = plan.clusters[0].cluster
    with stack.inside():
        async with (
            stored(key("skip", hexadecimal(plan.digest), slug(cluster)), documents.pack("{"), "skip"),
            stored(progress._work(plan_run), documents.pack("one day"), "note"),  # noqa: SLF001
            stored(progress._name("reached", plan.digest, "before", "all"), "!!", "note"),  # noqa: SLF001
        ):
            assert slug(cluster) in await skips.all_left_out(plan.digest)
            left = await skips.left_out(plan.digest, cluster)
            assert left is not None
            assert "cannot be read" in left.words
            assert await progress.work_of(plan_run) is None
            assert (progress.now() - await progress.reached(plan.digest, "all", "before")).total_seconds() < 60


async def test_half_a_character_and_a_nul_are_stored(stack: PrefectStack) -> None:
    plan = plan_of("half-01")
    verdict = Verdict(cluster=plan.clusters[0].cluster, outcome=Outcome.REFUSED, because=("tag \ud800", "a\0b"))
    report = FleetReport(
        name="n\udfff", plan_digest=plan.digest, started_at="2026-11-26T10:00:00Z", ended_at="", verdicts=(verdict,)
    )
    with stack.inside():
        await migration_records.store_verdict(plan.digest, verdict)
        assert (await migration_records.verdicts(plan.digest))[verdict.cluster.key].because[0] == "tag \ufffd"
        await migration_records.store_report(report)
        kept = await migration_records.load_report(plan.digest)
        assert kept is not None
        assert kept.digest == report.digest
        await artifacts.show("half", kind="table", data=json.dumps([{"a": "\ud800"}]), description="b\ud800")


async def test_a_verdict_that_cannot_be_stored_is_logged_and_raises_nothing(stack: PrefectStack) -> None:
    plan = plan_of("away-01")
    with (
        stack.inside(),
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}),
    ):
        said = await migration_records.store_verdict_or_say(plan.digest, judge(plan.clusters[0], ()), again=(0.0,))
    assert said.startswith("its verdict (not verified) could not be stored at Prefect's server: ")


async def test_what_a_report_saw_of_open_accounts_outlives_the_next_report_of_its_plan(stack: PrefectStack) -> None:
    plan = plan_of("seen-01")
    cluster = plan.clusters[0].cluster
    opened = StateSeen(
        at="2026-11-25T10:00:00Z",
        identity="managed",
        admin_group_ids=(),
        azure_rbac=False,
        local_accounts=True,
        ca="4be1",
        ca_not_before="2026-01-01T00:00:00Z",
    )

    def report(at: str, *evidence: StateSeen) -> FleetReport:
        verdict = Verdict(cluster=cluster, outcome=Outcome.NOT_VERIFIED, because=("so",), evidence=evidence)
        return FleetReport(name="n", plan_digest=plan.digest, started_at=at, ended_at=at, verdicts=(verdict,))

    with stack.inside():
        await migration_records.store_report(report("2026-11-25T10:00:00Z", opened), purpose="verification")
        await migration_records.store_report(report("2026-11-26T10:00:00Z"), purpose="verification")
        mine = [one for one in await migration_records.records() if one.cluster == cluster.key]
        assert [(one.sighting, one.at) for one in mine] == [(Sighting.ACCOUNTS_ON, opened.at)]


async def test_a_coordinator_whose_plan_is_damaged_says_what_was_written_under_it(stack: PrefectStack) -> None:
    begun, fresh = plan_of("begun-01"), plan_of("fresh-01")
    closed = LocalAccountsDisabled(at="2026-11-26T10:00:00Z", changed=True)
    with stack.inside():
        await migration_records.store_evidence(
            begun.digest, begun.clusters[0].cluster, "disable-local-accounts", (closed,)
        )
        for plan, said in ((begun, "1 clusters were worked on under this plan before"), (fresh, "nothing was written")):
            name = key("plan", hexadecimal(plan.digest))
            async with stored(name, "!!", "plan"):
                state = await migrate_fleet(plan=plan.digest, return_state=True)
            assert state.is_failed()
            assert (state.message or "").startswith(said)
            assert name in (state.message or "")
            assert "aks-entra migrate PLAN.json" in (state.message or "")
