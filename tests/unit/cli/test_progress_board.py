"""What `migrate` shows while it works: at seven clusters and at a thousand, on a terminal, in a log, and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console, Group
from rich.live import Live

from aks_entra.cli import output
from aks_entra.cli.progress_board import Board, board, lines_of, screen, status
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.progress import ClusterProgress, StepState, overview
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.prefect_client import Gate, RunView, Snapshot
from aks_entra.text.safe import LINE_END
from tests.support.golden_files import approved
from tests.support.progress_samples import at_step, clusters, ended, fleet, seven, thousand, waiting
from tests.support.rollouts import NOW

RUN = UUID("0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302")
SCREEN = 24  # lines of a small terminal
ERASES_LINE = "\x1b[2K"


def run(state: str = "Running", *, name: str = "able-fox", **how: Any) -> RunView:
    view = RunView(id=RUN, name=name, state=state, message="", ended=False, completed=False)
    return replace(view, **how)


def now(state: str = "Running", *batches: RunView, **how: Any) -> Snapshot:
    return Snapshot(run=run(state, **how), batches=batches)


BATCHES = tuple(run(name=f"rest {place} of 5", state="Late" if place == 5 else "Running") for place in range(1, 6))


def shown(*what: object, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(Group(*what))  # type: ignore[arg-type]
    return [line.rstrip() for line in captured.get().splitlines()]


def large(left: str) -> list[str]:
    plan, found = thousand()
    whole = overview(plan, found, NOW)
    return shown(*screen(plan, whole, left=left), status(now("Running", *BATCHES), many=True))


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


class Log:
    """A board without a terminal, and the lines that it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *, events: bool = False) -> None:
        self.clock = Watch()
        self._board = Board(events=events, clock=self.clock)
        self._capsys = capsys

    def show(
        self, snapshot: Snapshot, plan: FleetPlan | None = None, found: Sequence[ClusterProgress] | None = None
    ) -> list[str]:
        self._board.show(snapshot, plan, found)
        captured = self._capsys.readouterr()
        assert captured.out == ""
        return captured.err.splitlines()


def test_golden() -> None:
    approved(
        "progress-on-a-terminal",
        [
            ("7 clusters", shown(lines_of(seven()[1], NOW), status(now("Running", *BATCHES[:1])), width=110)),
            ("1,000 clusters", large("about 4 h 40 min left")),
        ],
    )


def test_a_thousand_clusters_fit_a_terminal_of_80_columns() -> None:
    lines = large("about 12 h 05 min and 2 approvals left")
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80


def test_a_terminal_shows_a_small_and_a_large_fleet() -> None:
    console = Console(width=80, height=30, file=io.StringIO(), force_terminal=True, color_system=None)
    with Live(console=console, auto_refresh=False) as live:
        one = Board(live, clock=Watch())
        for plan, found, line in ((*seven(), "waits"), (*thousand(), "410 of 1,000 clusters ended")):
            one.show(now(), plan, found)
            with console.capture() as captured:
                console.print(live.get_renderable())
            assert line in captured.get()


def test_a_run_that_waits_for_a_person_or_has_ended_does_not_turn() -> None:
    gate = Gate(run=RUN, run_name="able-fox", plan="sha256:1", moment="before", stage=0, asked="x")
    waits = Snapshot(run=run("Suspended"), gate=gate)
    assert shown(status(waits)) == ["able-fox: Suspended"]
    assert shown(status(now("Failed", ended=True))) == ["able-fox: Failed"]
    assert shown(status(now("Waiting", message="window at 20:00", waits=True)))[0].endswith("able-fox: window at 20:00")


def test_a_log_of_a_small_fleet_has_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(capsys)
    plan = fleet(2, 2)
    one, two = clusters(2)
    assert log.show(now(), plan, (at_step(one, 0, seconds=0), waiting(two))) == [
        "shop-weu/shop-0001 · look: …",
        "able-fox: Running",
    ]
    assert log.show(now(), plan, (at_step(one, 0, seconds=0), waiting(two))) == []
    assert log.show(now(), plan, (at_step(one, 4, seconds=0), waiting(two)))[-2:] == [
        "shop-weu/shop-0001 · disable local accounts: done in 1m55",
        "shop-weu/shop-0001 · rotate certificates: …",
    ]
    assert log.show(now("Completed"), plan, (ended(one, Outcome.FAILED, "no quota"), waiting(two))) == [
        "shop-weu/shop-0001 · rotate certificates: failed in 21m00",
        "shop-weu/shop-0001: failed: no quota",
        "able-fox: Completed",
    ]


def test_a_log_of_a_thousand_clusters_has_one_line_in_half_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(capsys)
    plan, found = thousand()
    first, *named, state = log.show(now(), plan, found)
    assert first.startswith("410 of 1,000 clusters ended (41 %) · failed 7 · without a verdict 1 · not verified 12")
    assert first.endswith(" left")
    assert len(named) == 9
    assert named[-1] == "    and 12 more"
    assert state == "able-fox: Running"
    changed = (*found[:460], ended(clusters(461)[-1], Outcome.FAILED, "no quota"), *found[461:])
    log.clock.at += timedelta(seconds=29)
    assert log.show(now(), plan, changed) == []
    log.clock.at += timedelta(seconds=1)
    line, *named = log.show(now(), plan, changed)
    assert line.startswith("411 of 1,000 clusters ended (41 %) · failed 8 · ")
    assert named == ["  ✗ shop-weu/shop-0461: failed: no quota"]
    log.clock.at += timedelta(seconds=299)
    assert log.show(now(), plan, changed) == []
    log.clock.at += timedelta(seconds=1)
    assert [line[:23] for line in log.show(now(), plan, changed)] == ["411 of 1,000 clusters e"]
    assert len(log.show(now("Failed", ended=True), plan, found)) == 2


def test_json_has_an_object_for_each_change_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(capsys, events=True)
    plan = fleet(1, 1)
    (one,) = clusters(1)
    begins = [json.loads(line) for line in log.show(now("Pending"))]
    assert [(event["run_state"], event["cluster"], event["counts"]) for event in begins] == [("Pending", None, {})]
    first, second = (json.loads(line) for line in log.show(now(), plan, (at_step(one, 0, seconds=0),)))
    assert (first["run"], first["run_state"], first["cluster"]) == (str(RUN), "Running", None)
    assert (second["kind"], second["at"]) == ("aks-entra/progress", "2026-11-24T12:00:00Z")
    assert (second["cluster"], second["step"], second["step_state"]) == ("shop-weu/shop-0001", "look", "running")
    assert second["counts"] == {"clusters": 1, "under way": 1}
    assert log.show(now(), plan, (at_step(one, 0, seconds=0),)) == []
    last = json.loads(log.show(now(), plan, (ended(one),))[-1])
    assert (last["verdict"], last["counts"]) == ("verified", {"clusters": 1, "verified": 1})


def test_the_tasks_of_a_run_without_a_plan_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(capsys)
    found = replace(at_step(clusters(1)[0], 0, seconds=0), cluster="a name\nof two lines")
    first, _ = log.show(Snapshot(run=run(), clusters=(found,)))
    assert first == f"a name{LINE_END}of two lines · look: …"


def test_without_a_terminal_or_with_json_no_screen_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    for format_ in output.Format:
        with board(format_) as one:
            one.show(now())
    people, programs = capsys.readouterr().err.splitlines()
    assert people == "able-fox: Running"
    assert json.loads(programs)["run_state"] == "Running"


def test_what_is_said_while_a_screen_is_drawn_stays_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next redraw would erase it: how to approve at a gate, for example."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    plan, found = seven()
    with board() as one:
        one.show(now(), plan, found)
        capsys.readouterr()
        output.say("aks-entra approve 0b7d5c1e --plan 1234", style="warning")
        printed = capsys.readouterr().err
    erased, drawn_again = printed.index(ERASES_LINE), printed.rindex("able-fox: Running")
    assert erased < printed.index("aks-entra approve 0b7d5c1e --plan 1234") < drawn_again


def test_a_terminal_that_cannot_redraw_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On such a terminal (TERM=dumb, as in Emacs) a screen would appear when the run has ended."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    with board() as one, output.progress("reading"):
        one.show(now())
        assert capsys.readouterr().err == "reading\nable-fox: Running\n"


def test_a_terminal_gets_a_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    stopped = replace(at_step(clusters(1)[0], 0, seconds=0))
    stopped = replace(stopped, steps=(replace(stopped.steps[0], state=StepState.STOPPED, seconds=9),))
    with board() as one:
        one.show(Snapshot(run=run("Cancelled", ended=True), clusters=(stopped,)))
    assert "✗ look 9s" in capsys.readouterr().err
