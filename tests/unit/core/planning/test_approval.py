"""What makes an approval count: the run, the question and the moment that the server has on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Answer, Approval, RunState, WithoutGates, answers, is_proven
from aks_entra.core.planning.gates import DAY

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ASKED = "gate-0-before-0123456789ab-1"
GIVEN = Approval(
    plan="sha256:0123456789abcdef",
    stage="canary",
    moment="before",
    decision="approve",
    approver="dana",
    reason="CHG-1",
    at=stamp(NOW),
    run="run-1",
    question=ASKED,
    facts="sha256:fedc",
)
ANSWERED = (Answer(question=ASKED, at=NOW),)


def test_an_approval_is_the_answer_that_the_server_has_on_record() -> None:
    assert is_proven(GIVEN, "run-1", ANSWERED, now=NOW)


@pytest.mark.parametrize(
    ("approval", "run", "given", "now"),
    [
        (GIVEN, "run-2", ANSWERED, NOW),
        (replace(GIVEN, run=""), "run-1", ANSWERED, NOW),
        (replace(GIVEN, at=""), "run-1", ANSWERED, NOW),
        (replace(GIVEN, at="last night"), "run-1", ANSWERED, NOW),
        (replace(GIVEN, at="2026-11-24T09:00:00"), "run-1", ANSWERED, NOW),
        (replace(GIVEN, at="2026-11-24T09:00:01Z"), "run-1", ANSWERED, NOW),
        (replace(GIVEN, question="gate-1-before-0123456789ab-1"), "run-1", ANSWERED, NOW),
        (GIVEN, "run-1", (), NOW),
        (replace(GIVEN, at="2099-01-01T00:00:00Z"), "run-1", ANSWERED, NOW),
        (GIVEN, "run-1", ANSWERED, NOW - timedelta(minutes=6)),  # from the future, however it got there
    ],
)
def test_any_other_is_not_taken(approval: Approval, run: str, given: tuple[Answer, ...], now: datetime) -> None:
    assert not is_proven(approval, run, given, now=now)


def test_clocks_may_differ_by_some_minutes() -> None:
    assert is_proven(GIVEN, "run-1", ANSWERED, now=NOW - timedelta(minutes=4))


def test_only_a_suspension_that_was_resumed_is_an_answer() -> None:
    def at(minute: int, name: str, question: str = "") -> RunState:
        return RunState(name=name, at=NOW + timedelta(minutes=minute), question=question)

    history = [
        at(0, "Running"),
        at(5, "Resuming"),
        at(4, "Suspended", ASKED),
        at(6, "Running"),
        at(7, "Suspended", "gate-1-before-0123456789ab-1"),
        at(8, "Crashed"),
        at(9, "Resuming"),
    ]
    assert answers(history) == (Answer(question=ASKED, at=NOW + timedelta(minutes=5)),)
    assert answers(()) == ()


TYPED = WithoutGates(plan="p", facts="f", by="dana", reason="lab", at=stamp(NOW), token="t")


@pytest.mark.parametrize(
    ("decision", "tokens", "later", "counts"),
    [
        (TYPED, ("t",), timedelta(), True),
        (TYPED, ("other", "t"), timedelta(hours=23), True),
        (TYPED, ("t",), timedelta(seconds=DAY), False),
        (TYPED, ("t",), -timedelta(minutes=6), False),
        (TYPED, (), timedelta(), False),
        (TYPED, ("other",), timedelta(), False),
        (replace(TYPED, token=""), ("",), timedelta(), False),
        (replace(TYPED, plan="q"), ("t",), timedelta(), False),
        (replace(TYPED, facts="g"), ("t",), timedelta(), False),
        (replace(TYPED, at="soon"), ("t",), timedelta(), False),
    ],
)
def test_leaving_gates_out_holds_for_one_plan_one_run_and_one_day(
    decision: WithoutGates, tokens: tuple[str, ...], later: timedelta, *, counts: bool
) -> None:
    assert decision.counts("p", "f", tokens, now=NOW + later) is counts
