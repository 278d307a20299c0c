"""Progress as lines of a log, as a page in Prefect and as JSON, and the time that is left."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.estimate.durations import PUBLISHED, Span
from aks_entra.core.planning.gates import Gate
from aks_entra.core.rollout.progress import ClusterProgress, StepState, overview
from aks_entra.core.steps import DisableLocalAccounts, EnableLocalAccounts, RotateCertificates, VerifyOutcome
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.report import progress_lines
from aks_entra.report.time_left import DurationsSoFar, time_left
from tests.support.golden_files import approved
from tests.support.progress_samples import at_step, clusters, ended, fleet, seven, thousand, waiting
from tests.support.rollouts import NOW

LARGEST_PAGE = 8_000  # characters; Prefect's server takes 512 KiB


def test_golden() -> None:
    blocks: list[tuple[str, object]] = []
    for title, (plan, found) in (("7 clusters", seven()), ("1,000 clusters", thousand())):
        whole, left = overview(plan, found, NOW), time_left(plan, found, NOW)
        blocks += [
            (f"{title}: a line of a log", [progress_lines.line_of_log(whole, left=left)]),
            (f"{title}: who needs somebody", [*progress_lines.attention(whole.attention)]),
            (f"{title}: the rest", [progress_lines.at_work(whole), progress_lines.stages(whole)]),
            (f"{title}: the slowest", [*progress_lines.slowest(whole)]),
            (f"{title}: the page", progress_lines.page(plan, whole, NOW, left=left).splitlines()),
        ]
    approved("progress", blocks)


def test_a_page_has_the_same_size_for_every_fleet_and_no_line_of_a_stranger() -> None:
    plan, found = thousand()
    page = progress_lines.page(plan, overview(plan, found, NOW), NOW)
    assert len(page) < LARGEST_PAGE
    assert "and 12 more" in page
    assert "\nof two lines" not in page


def test_a_page_of_a_rollout_that_has_not_begun_has_only_counts() -> None:
    plan = fleet(3, 1)
    page = progress_lines.page(plan, overview(plan, tuple(map(waiting, clusters(3))), NOW), NOW)
    assert "| waiting | 3 |" in page
    assert "##" not in page


def test_changes_are_steps_that_began_or_ended_and_verdicts() -> None:
    (one,) = clusters(1)
    before = at_step(one, 1, seconds=2)
    step = replace(before.steps[1], state=StepState.DONE, seconds=2.0)
    after = replace(at_step(one, 2, seconds=0), steps=(before.steps[0], step, at_step(one, 2, seconds=0).steps[2]))
    named = {"cluster": "shop-weu/shop-0001", "id": one.key}
    silent = {"verdict": None, "because": None}
    assert list(progress_lines.changes({one.key: before}, [after])) == [
        {**named, "step": "prove sign-in", "step_state": "done", **silent},
        {**named, "step": "record baseline", "step_state": "running", **silent},
    ]
    assert list(progress_lines.changes({one.key: after}, [after])) == []
    failed = replace(after, outcome=Outcome.FAILED, because="no quota")
    assert list(progress_lines.changes({one.key: after}, [failed])) == [
        {**named, "step": None, "step_state": None, "verdict": "failed", "because": "no quota"}
    ]
    again = list(progress_lines.changes({one.key: failed}, [after]))
    assert [change["verdict"] for change in again] == [None]


def test_an_event_has_the_counts_and_the_time() -> None:
    plan, found = seven()
    change = dict.fromkeys(progress_lines.CHANGE)
    said = progress_lines.event(NOW, "run", "Running", overview(plan, found, NOW), change)
    assert json.loads(json.dumps(said)) == {
        "kind": "aks-entra/progress",
        "at": "2026-11-24T12:00:00Z",
        "run": "run",
        "run_state": "Running",
        **change,
        "counts": {
            "clusters": 7,
            "failed": 1,
            "without a verdict": 1,
            "refused": 1,
            "verified": 1,
            "under way": 2,
            "waiting": 1,
        },
    }
    assert progress_lines.event(NOW, "run", "Running", None, change)["counts"] == {}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (9.9, "9s"), (59, "59s"), (60, "1m00"), (112, "1m52"), (3900, "1h05")]
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert progress_lines.duration(seconds) == words


def finished(number: int) -> tuple[ClusterProgress, ...]:
    return tuple(map(ended, clusters(number)))


def test_durations_of_this_rollout_replace_the_published_ones() -> None:
    took = {
        "rotate certificates": (100.0, 200.0, 400.0),
        "look": (9.0, 9.0, 9.0),
        "verify nodes": (1.0, 2.0, 3.0),
        "prove old credentials dead": (4.0, 5.0, 6.0),
    }
    so_far = DurationsSoFar(took=took)
    assert so_far.of(RotateCertificates(ca_before="")) == Span(100, 200, 400)
    assert so_far.of(VerifyOutcome(rotated=True)) == Span(5, 7, 9)
    for step in (DisableLocalAccounts(), EnableLocalAccounts()):
        assert so_far.of(step, tier="Free") == PUBLISHED.of(step, tier="Free")
    assert DurationsSoFar().of(VerifyOutcome(rotated=True)) == PUBLISHED.of(VerifyOutcome(rotated=True))


def test_the_time_left_is_that_of_the_clusters_that_have_not_ended() -> None:
    plan = fleet(4, 4)
    assert time_left(plan, finished(4), NOW) == ""
    assert time_left(plan, (*finished(3), waiting(clusters(4)[3])), NOW, request_rate=1000) == "about 25 min left"
    nearly = at_step(clusters(4)[3], 4, seconds=1250)
    assert time_left(plan, (*finished(3), nearly), NOW, request_rate=1000) == "about 1 min left"


def test_the_wait_of_a_gate_counts_from_when_the_gate_was_reached() -> None:
    plan = fleet(8, 4)
    first, second = plan.stages
    plan = replace(plan, stages=(replace(first, gate_after=Gate(approval=False, wait=7 * 24 * 3600)), second))
    found = (*finished(4), *map(waiting, clusters(8)[4:]))
    later = NOW + timedelta(days=5)
    assert time_left(plan, found, later).startswith("about 7 days")  # nobody knows when it was reached
    assert time_left(plan, found, later, reached={("canary", "after"): NOW}).startswith("about 2 days")


def test_a_long_time_is_rough_and_approvals_are_counted() -> None:
    plan = fleet(8, 4)
    found = (*finished(4), *map(waiting, clusters(8)[4:]))
    narrow = replace(plan, stages=(plan.stages[0], replace(plan.stages[1], max_concurrency=1)))
    assert time_left(narrow, found, NOW, request_rate=1000) == "about 1 h 30 min and 1 approval left"
    two = replace(plan, stages=(plan.stages[0], replace(plan.stages[1], gate_after=True, max_concurrency=1)))
    later = NOW + timedelta(hours=1)
    assert time_left(two, found, later, request_rate=1000) == "about 1 h 30 min and 2 approvals left"
