"""Records of plans that are over, of closed openings and of ended grants may be removed; all others stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from aks_entra import documents
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.planning.rollout import StageResult
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.ports.records import StoredRecord
from aks_entra.prefect_client.retention import prunable
from tests.support.report_samples import cluster

DATE = datetime(2026, 1, 1, tzinfo=UTC)
OLD, LAST = "a" * 64, "b" * 64
OTHER = ("other-fleet", "c" * 64)


def record(key: str, text: str = "", *, days: int = -1, packed: str | None = None) -> StoredRecord:
    return StoredRecord(
        key=key,
        kind=key.partition("-")[0],
        packed=documents.pack(text) if packed is None else packed,
        at=DATE + timedelta(days=days),
        digest=f"sha256:{key} {days}",
    )


def report(digest: str = OLD, *, name: str = "prod", ended: str = "2025-03-01T00:00:00Z") -> FleetReport:
    verdicts = (
        Verdict(cluster=cluster("one"), outcome=Outcome.VERIFIED, because=()),
        Verdict(cluster=cluster("two"), outcome=Outcome.SKIPPED, because=()),
    )
    stages = (StageResult(go_on=True, failures=0, because="fine"),)
    return FleetReport(
        name=name, plan_digest=f"sha256:{digest}", started_at="", ended_at=ended, verdicts=verdicts, stages=stages
    )


def reported(found: FleetReport, *, key: str = OLD) -> StoredRecord:
    return record(f"report-{key}", documents.dump_report(found))


OF_THE_PLAN = [
    record(f"plan-{OLD}"),
    record(f"approval-{OLD}-before-canary-1234ab"),
    record(f"evidence-{OLD}-0123456789ab-rotate"),
    record(f"plan-of-{UUID(int=7)}", f"sha256:{OLD} sha256:{'d' * 64}"),
    record(f"reached-{OLD}-before-canary"),
    record(f"rejection-{OLD}-before-canary-1234ab"),
    record(f"signed-approval-{OLD}-before-canary-1234ab-XYZ"),
    record(f"skip-{OLD}-0123456789ab"),
    record(f"verdict-{OLD}-0123456789ab", days=-2),
    record(f"verdict-{OLD}-0123456789ab"),
    record(f"without-gates-{OLD}-token"),
]
KNOWN = [
    record(f"baseline-{OLD}-0123456789ab"),
    record(f"opened-{OLD}-0123456789ab"),
    record("entra-key-8f2c-0123456789ab-kid"),
    record("pruned-0123456789ab"),
    record("record-store"),
    record("something-new"),
    record(f"verification-{OLD}"),
]
NEWER = reported(report(LAST, ended="2025-06-01T00:00:00Z"), key=LAST)


def keys(*records: StoredRecord) -> list[str]:
    return [one.key for group in prunable(records, DATE) for one in group]


def test_everything_about_a_plan_that_is_over_goes_and_its_plan_goes_first() -> None:
    groups = prunable(
        [*OF_THE_PLAN[1:], OF_THE_PLAN[0], *KNOWN, reported(report()), NEWER, record(f"plan-{LAST}")], DATE
    )
    assert [[one.digest for one in group] for group in groups] == [[one.digest for one in OF_THE_PLAN]]


Change = Callable[[FleetReport], FleetReport]
HOOK = HookRan(at="", place=0, hook="emit", status=HookStatus.FAILED, ca="")


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, ended_at="2025-09-01T00:00:00Z"),  # it is the last one of its fleet
        lambda one: replace(one, name="another fleet"),
        lambda one: replace(one, verdicts=(*one.verdicts, replace(one.verdicts[0], outcome=Outcome.FAILED))),
        lambda one: replace(one, verdicts=(*one.verdicts, replace(one.verdicts[0], outcome=Outcome.NOT_VERIFIED))),
        lambda one: replace(one, verdicts=(replace(one.verdicts[0], evidence=(HOOK,)),)),
        lambda one: replace(one, stages=(replace(one.stages[0], go_on=False),)),
        lambda one: replace(one, plan_digest=f"sha256:{LAST}"),
    ],
)
def test_a_plan_of_which_something_is_left_or_that_is_the_last_one_stays(change: Change) -> None:
    assert keys(*OF_THE_PLAN, reported(change(report())), NEWER) == []


def test_a_plan_without_a_report_that_can_be_read_stays() -> None:
    assert keys(*OF_THE_PLAN, NEWER) == []
    assert keys(*OF_THE_PLAN, record(f"report-{OLD}", packed="damaged"), NEWER) == []
    assert keys(*OF_THE_PLAN, record(f"report-{OLD}", "{}"), NEWER) == []


def test_a_plan_with_one_young_record_stays_whole() -> None:
    assert keys(*OF_THE_PLAN, record(f"skip-{OLD}-0123456789ab", days=0), reported(report()), NEWER) == []


def test_a_record_of_no_plan_that_is_known_stays() -> None:
    assert keys(record("verdict-short"), record(f"plan-of-{UUID(int=7)}", packed="damaged")) == []


def opening(ended: str) -> str:
    said = Opening(until="2025-01-01T02:00:00Z", since="2025-01-01T00:00:00Z", reason="INC-7")
    return documents.dump_opening(
        OpeningRecord(cluster=cluster("one").resource_id, opening=said, uid="u", at=said.since, ended=ended)
    )


@pytest.mark.parametrize(
    ("text", "goes"), [(opening("2025-01-01T02:00:00Z"), True), (opening(""), False), ("{}", False)]
)
def test_the_record_of_an_opening_goes_if_it_was_closed(text: str, goes: bool) -> None:
    older = record("opening-0123456789ab", opening(""), days=-9)
    assert keys(older, record("opening-0123456789ab", text)) == ["opening-0123456789ab"] * 2 * goes


@pytest.mark.parametrize(
    ("said", "goes"),
    [
        ({"until": "2025-12-31T23:59:59Z"}, True),
        ({"until": "2026-01-01T00:00:00Z"}, False),
        ({"until": "never"}, False),
        ({"until": "soon"}, False),
        ({}, False),
        ([], False),
    ],
)
def test_the_record_of_a_grant_goes_if_it_ended_before_the_date(said: object, goes: bool) -> None:
    assert keys(record(f"grant-{OLD}", json.dumps(said))) == [f"grant-{OLD}"] * goes
