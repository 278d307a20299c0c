"""One sign-in for the gates of several hours: which gates are asked about, and when it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner

from aks_entra.cli import app, output
from aks_entra.cli.watching import watch
from aks_entra.prefect_client import Gate

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
ONE = Gate(run=UUID(int=1), run_name="one", plan="sha256:1", stage=0, moment="before", asked="gate-0-before-1")
TWO = replace(ONE, run=UUID(int=2), run_name="two")
AGAIN = replace(ONE, asked="gate-0-before-2")  # its approval expired, and it asks again


class Hours:
    """A clock on which each look takes an hour. `shown`: what waits at each look; later, nothing does."""

    def __init__(self, *shown: tuple[Gate, ...], until: datetime, takes: timedelta = timedelta()) -> None:
        self.shown = list(shown)
        self.until = until
        self.takes = takes  # an answer
        self.at = NOON
        self.answered: list[Gate] = []

    async def waiting(self) -> tuple[Gate, ...]:
        return self.shown.pop(0) if self.shown else ()

    async def answer(self, gate: Gate) -> bool:
        self.answered.append(gate)
        self.at += self.takes
        return True

    async def sleep(self, _: float) -> None:
        self.at += timedelta(hours=1)

    async def watched(self) -> list[Gate]:
        await watch(self.waiting, self.answer, until=lambda: self.until, now=lambda: self.at, sleep=self.sleep)
        return self.answered


async def test_each_gate_that_begins_to_wait_is_asked_about_once_and_again_when_it_asks_again() -> None:
    clock = Hours((), (ONE,), (ONE, TWO), (TWO,), (AGAIN,), until=NOON + timedelta(hours=8))
    assert await clock.watched() == [ONE, TWO, AGAIN]
    assert clock.at == NOON + timedelta(hours=8)


async def test_a_gate_that_begins_to_wait_after_the_end_is_not_asked_about() -> None:
    clock = Hours((ONE,), (), (TWO,), until=NOON + timedelta(hours=2))
    assert await clock.watched() == [ONE]
    slow = Hours((ONE, TWO), until=NOON + timedelta(hours=1), takes=timedelta(hours=1))
    assert await slow.watched() == [ONE]


async def test_it_ends_as_soon_as_a_sign_in_ends_earlier_than_it() -> None:
    clock = Hours((ONE,), (TWO,), until=NOON + timedelta(hours=8))

    async def signed(gate: Gate) -> bool:
        clock.answered.append(gate)
        clock.until = NOON + timedelta(hours=1)  # the approvers let a sign-in sign for an hour
        return True

    await watch(clock.waiting, signed, until=lambda: clock.until, now=lambda: clock.at, sleep=clock.sleep)
    assert clock.answered == [ONE]


async def test_a_gate_whose_signature_was_refused_is_asked_about_again_while_it_waits() -> None:
    clock = Hours((ONE, TWO), (ONE, TWO), (TWO,), until=NOON + timedelta(hours=8))
    settled = iter([False, True, True])

    async def answer(gate: Gate) -> bool:
        clock.answered.append(gate)
        return next(settled)

    await watch(clock.waiting, answer, until=lambda: clock.until, now=lambda: clock.at, sleep=clock.sleep)
    assert clock.answered == [ONE, TWO, ONE]


async def test_a_question_without_an_answer_ends_the_watch_and_is_not_taken_for_a_server_that_is_away() -> None:
    clock = Hours((ONE,), (ONE,), until=NOON + timedelta(hours=8))

    async def closed(_: Gate) -> bool:
        raise typer.Exit(2)

    with pytest.raises(typer.Exit):
        await watch(clock.waiting, closed, until=lambda: clock.until, now=lambda: clock.at, sleep=clock.sleep)


async def test_a_server_that_is_away_is_said_once_and_its_gates_are_asked_about_later(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Hours((ONE,), (ONE, TWO), (ONE, TWO), until=NOON + timedelta(hours=8))
    lost = [True, True, False, True]

    async def answer(gate: Gate) -> bool:
        if lost and lost.pop(0):
            raise ConnectionError
        clock.answered.append(gate)
        return True

    await watch(clock.waiting, answer, until=lambda: clock.until, now=lambda: clock.at, sleep=clock.sleep)
    assert clock.answered == [ONE]
    assert capsys.readouterr().err.count("Prefect's server does not answer (ConnectionError)") == 1


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("4f1c09aa", "--watch"), "--watch asks about every run"),
        (("--all-waiting", "--watch", "--duration", "25h"), "--duration 25h is no time up to 24h"),
        (("--all-waiting", "--watch", "--duration", "soon"), "--duration soon is no time up to 24h"),
    ],
)
def test_a_wrong_command_line_is_refused(words: tuple[str, ...], because: str) -> None:
    ended = CliRunner().invoke(app, ["approve", "--reason", "CHG-1", *words])
    assert ended.exit_code == 2
    assert because in ended.output


async def test_a_question_at_a_terminal_is_answered_by_a_line_and_ends_with_its_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "w", buffering=1) as keyboard, os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        for line, yes in (("y", True), ("YES", True), ("n", False), ("", False)):
            keyboard.write(f"{line}\n")
            assert await output.asked("Approve?", unanswered="it waits") is yes
        unanswered = asyncio.ensure_future(output.asked("Approve?", unanswered="it waits"))
        await asyncio.wait([unanswered], timeout=0)
        unanswered.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unanswered
