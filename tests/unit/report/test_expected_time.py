"""The expected time of a plan, in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aks_entra.core.durations import stamp
from aks_entra.core.estimate.durations import Span
from aks_entra.core.estimate.expected import expected_time
from aks_entra.core.estimate.model import Binding, ExpectedTime, StageTime
from aks_entra.core.planning.gates import Gate
from aks_entra.report.expected_time import about, in_range, time_view
from tests.support.rollouts import CANARY, FIRST, NOW, PLAN, SECOND, THIRD, rollout, stage


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 min"),
        (100, "2 min"),
        (9 * 60, "9 min"),
        (13 * 60, "15 min"),
        (3580, "1 h"),
        (66 * 60, "1 h 10 min"),
        (110 * 60, "1 h 50 min"),
        (14 * 3600 + 700, "14 h"),
        (47 * 3600, "47 h"),
        (7 * 86_400 + 3600, "7 days"),
    ],
)
def test_a_time_has_no_false_precision(seconds: float, words: str) -> None:
    assert about(seconds) == words


def test_a_range_is_shown_where_it_says_something() -> None:
    assert in_range(Span(1200, 2100, 3600)) == "about 35 min (20 min to 1 h)"
    assert in_range(Span(1200, 1200, 1201)) == "about 20 min"


def test_each_stage_has_a_row_and_people_are_named() -> None:
    gated = stage("rest", SECOND, THIRD, max_concurrency=1, gate_before=Gate(not_before=stamp(NOW + timedelta(days=1))))
    view = time_view(expected_time(rollout(CANARY, gated), NOW))

    assert view.rows == (
        ("stage canary", "1 cluster", "about 30 min (15 min to 1 h)", "Azure's rotations bind"),
        (
            "stage rest",
            "2 clusters, 1 at a time",
            "about 55 min (35 min to 2 h), and waits of about 24 h",
            "not before 2026-11-25T12:00:00Z binds",
        ),
        ("in total", "", "about 25 h (25 h to 26 h)", ""),
    )
    assert view.notes == (
        "the time until a person approves is not known: 2 approvals",
        "based on published and publicly recorded durations of AKS' operations",
    )


def test_one_stage_needs_no_total_and_no_approval_no_note() -> None:
    view = time_view(expected_time(rollout(stage("all", FIRST, gate_before=False)), NOW))

    assert len(view.rows) == 1
    assert len(view.notes) == 1
    assert "1 approval" in time_view(expected_time(rollout(CANARY), NOW)).notes[0]


@pytest.mark.parametrize(
    ("binds", "at", "words"),
    [
        (Binding.OPERATION, "rotate certificates", "Azure's rotations bind, in 3 rounds"),
        (Binding.OPERATION, "enable Entra", "Azure's updates bind, in 3 rounds"),
        (Binding.OPERATION, "prove sign-in", "the checks bind, in 3 rounds"),
        (Binding.REQUESTS, "other requests to AKS", "Azure's request limit binds: other requests to AKS"),
        (Binding.WINDOW, "window sat 02:00 to 06:00 UTC", "window sat 02:00 to 06:00 UTC binds"),
        (Binding.WAIT, "soak of 7d", "soak of 7d binds"),
    ],
)
def test_what_binds_is_named(binds: Binding, at: str, words: str) -> None:
    one = StageTime(
        name="all",
        clusters=5,
        at_a_time=2,
        work=Span(),
        waits=Span(),
        binds=binds,
        binds_at=at,
        unknown=("the maintenance windows of 1 cluster of stage all, which were not read",),
    )
    view = time_view(ExpectedTime(since="", total=Span(), stages=(one,), basis="3 earlier rotations"))

    assert view.rows[0][3] == words
    assert view.notes == (
        "not known: the maintenance windows of 1 cluster of stage all, which were not read",
        "based on 3 earlier rotations",
    )


def test_a_plan_without_steps_has_no_row() -> None:
    assert time_view(expected_time(PLAN, NOW)).rows
    assert time_view(ExpectedTime(since="", total=Span(), stages=(), basis="x")).rows == ()
