"""Shows a run's progress on stderr: on a terminal one screen, elsewhere lines. With `-o json` these are for programs.

A small fleet has a line for each cluster. A large one has counts, and the clusters that somebody has to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from aks_entra.cli import output
from aks_entra.core.rollout.progress import (
    FEW,
    LINE,
    WITHOUT,
    ClusterProgress,
    Overview,
    StepProgress,
    StepState,
    overview,
)
from aks_entra.report import progress_lines
from aks_entra.report.progress_lines import duration, short_title
from aks_entra.report.terminal import SafeText, safe_line, side_by_side
from aks_entra.report.time_left import LOOK, NO_GATE, time_left
from aks_entra.report.verdict_text import STYLES

if TYPE_CHECKING:
    from aks_entra.core.planning.gates import Side
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.prefect_client import Snapshot

MARKS: Final = {
    StepState.RUNNING: ("⠿", "cyan"),
    StepState.DONE: ("✓", "green"),
    StepState.FAILED: ("✗", "red"),
    StepState.STOPPED: ("✗", "red"),
}
WORTH_TELLING: Final = 5.0  # seconds; a shorter step is shown without its duration
BAR: Final = 40  # columns
QUIET: Final = 300.0  # seconds
ESTIMATE: Final = 30.0  # seconds


class Board:
    """Shows snapshots of one run, one after the other. `events`: as JSON, one line for each change."""

    def __init__(
        self,
        live: Live | None = None,
        *,
        events: bool = False,
        request_rate: float = 1.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._live, self._events, self._clock, self._rate = live, events, clock, request_rate
        self._known: dict[str, ClusterProgress] = {}
        self._state = ""
        self._line: tuple[object, datetime] = (None, datetime.min.replace(tzinfo=UTC))
        self._left = ("", datetime.min.replace(tzinfo=UTC))
        self._named: set[str] = set()
        self._reached = NO_GATE

    def show(
        self,
        snapshot: Snapshot,
        plan: FleetPlan | None = None,
        clusters: Sequence[ClusterProgress] | None = None,
        reached: Mapping[tuple[str, Side], datetime] = NO_GATE,
    ) -> None:
        """Show the present state. Without a plan: what the tasks of the run itself do.

        `reached`: when gates were reached, for the time left.
        """
        self._reached = reached
        clusters = snapshot.clusters if clusters is None else clusters
        whole = overview(plan, clusters, self._clock()) if plan is not None else None
        many = whole is not None and whole.clusters > FEW
        if self._events:
            self._tell_events(snapshot, clusters, whole)
        elif self._live is not None:
            left = self._time_left(plan, clusters) if plan and many else ""
            body = screen(plan, whole, left=left) if plan and whole and many else (lines_of(clusters, self._clock()),)
            self._live.update(Group(*body, status(snapshot, many=many)), refresh=True)
        elif plan is not None and whole is not None and many:
            self._tell_counts(snapshot, plan, clusters, whole)
        else:
            self._tell_changes(clusters)
        if self._live is None and not self._events and snapshot.run.state != self._state:
            output.say(f"{snapshot.run.name}: {_state(snapshot)}", style="dim")
        self._state = snapshot.run.state
        self._known = {one.key: one for one in clusters}

    def _time_left(self, plan: FleetPlan, clusters: Sequence[ClusterProgress]) -> str:
        """Return the time left, at most `ESTIMATE` seconds old: it costs 0.3 s of CPU for a thousand clusters."""
        now, (_, at) = self._clock(), self._left
        if now - at >= timedelta(seconds=ESTIMATE):
            self._left = (time_left(plan, clusters, now, reached=self._reached, request_rate=self._rate), now)
        return self._left[0]

    def _tell_changes(self, clusters: Sequence[ClusterProgress]) -> None:
        """Print a line for each step that began or ended, and for each verdict."""
        for one in clusters:
            known = self._known.get(one.key)
            for place, step in enumerate(one.steps):
                if known is None or place >= len(known.steps) or known.steps[place].state is not step.state:
                    output.say(f"{one.cluster} · {step.title}: {_words(step)}")
            if one.ended and not one.planned and (known is None or known.verdict != one.verdict):
                output.say(f"{one.cluster}: {_verdict(one)}")

    def _tell_counts(
        self, snapshot: Snapshot, plan: FleetPlan, clusters: Sequence[ClusterProgress], whole: Overview
    ) -> None:
        """Print one line about the fleet, at most every `LINE` seconds, and the clusters that newly need somebody.

        While nothing changes there is a line every `QUIET` seconds.
        """
        now, (before, at) = self._clock(), self._line
        changed = (whole.counts, whole.steps) != before
        due = now - at >= timedelta(seconds=LINE.seconds(whole.clusters) if changed else QUIET)
        if not (due or (changed and snapshot.run.ended)):
            return
        self._line = ((whole.counts, whole.steps), now)
        left = self._time_left(plan, clusters)
        output.say(progress_lines.line_of_log(whole, left=left))
        fresh = [one for one in whole.attention if one.key not in self._named]
        self._named.update(one.key for one in fresh)
        if fresh:
            output.say(*(f"  {line}" for line in progress_lines.attention(fresh)))

    def _tell_events(self, snapshot: Snapshot, clusters: Sequence[ClusterProgress], whole: Overview | None) -> None:
        """Print a JSON object for each change of a cluster, and one for each change of the run's state."""
        now, run = self._clock(), snapshot.run
        found = list(progress_lines.changes(self._known, clusters))
        if run.state != self._state:
            found.insert(0, dict.fromkeys(progress_lines.CHANGE))
        for change in found:
            output.say_json(progress_lines.event(now, str(run.id), run.state, whole, change))


@contextmanager
def board(format_: output.Format = output.Format.TABLE, *, request_rate: float = 1.0) -> Iterator[Board]:
    """Yield a board for a run that is followed. `request_rate`: the setting of that name, for the time left."""
    console = output.stderr()
    if format_ is output.Format.JSON or not output.redraws(console):
        yield Board(events=format_ is output.Format.JSON, request_rate=request_rate)
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield Board(live, request_rate=request_rate)


def screen(plan: FleetPlan, whole: Overview, *, left: str = "") -> Iterator[RenderableType]:
    """Yield what a terminal shows of a large fleet: it needs at most 23 lines of 80 columns."""
    yield _line(f"{plan.name} · {whole.ended:,} of {whole.clusters:,} clusters ended", "bold")
    bar = Table.grid(padding=(0, 1, 0, 0))
    bar.add_row(
        ProgressBar(total=max(whole.clusters, 1), completed=whole.ended, width=BAR),
        safe_line(" · ".join(part for part in (f"{whole.percent} %", left) if part)),
    )
    yield bar
    yield side_by_side(*_counts(whole))
    for text in progress_lines.attention(whole.attention):
        yield _line(text, "red")
    if text := progress_lines.at_work(whole):
        yield safe_line(text)
    yield _line(progress_lines.stages(whole))
    if whole.running:
        yield safe_line("longest at their step:", "dim")
    for text, one in zip(progress_lines.slowest(whole), whole.running, strict=False):
        yield _line(f"  {text}", "yellow" if one.slow else "")


def lines_of(clusters: Sequence[ClusterProgress], now: datetime) -> Table:
    """Return a table with a line for each cluster: its steps, and its verdict."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    for one in clusters:
        line = [_step(step, now) for step in one.steps if not (step.title == LOOK and step.state is StepState.DONE)]
        if one.ended:
            line.append(safe_line(_verdict(one), STYLES_OF_WORDS[one.verdict]))
        table.add_row(
            safe_line(one.cluster), side_by_side(*line) if one.steps or one.ended else safe_line("waits", "dim")
        )
    return table


def status(snapshot: Snapshot, *, many: bool = False) -> RenderableType:
    """Return the state of the run and of its batches, on one line. It turns while the run does something."""
    running = [batch for batch in snapshot.batches if not batch.ended]
    text = f"{snapshot.run.name}: {_state(snapshot)}"
    if many:
        states = sorted({one.state for one in running})
        counted = [(state, sum(one.state == state for one in running)) for state in states]
        text += f" · batches: {progress_lines.counted(counted)}" if counted else ""
    else:
        text += "".join(f" · {one.name}: {one.state}" for one in running)
    return safe_line(text, "dim") if snapshot.run.ended or snapshot.gate else Spinner("dots", safe_line(text))


def _state(snapshot: Snapshot) -> str:
    """Return the run's state. If it waits for a time: what it waits for, and until when."""
    return snapshot.run.message if snapshot.run.waits else snapshot.run.state


def _words(step: StepProgress) -> str:
    return f"{step.state}{_took(step.seconds, ' in ')}" if step.ended else "…"


def _verdict(one: ClusterProgress) -> str:
    """Return the verdict, with its reason if it is not good."""
    because = f": {one.because}" if one.because and (one.counts_against or one.planned) else ""
    return f"{one.verdict}{because}"


def _took(seconds: float, before: str) -> str:
    return f"{before}{duration(seconds)}" if seconds >= WORTH_TELLING else ""


def _step(step: StepProgress, now: datetime) -> SafeText:
    mark, style = MARKS[step.state]
    return safe_line(f"{mark} {short_title(step.title)}{_took(step.lasts(now), ' ')}  ", style)


def _counts(whole: Overview) -> Iterator[SafeText]:
    """Yield the counts, each in the colour of its verdict."""
    for place, (word, number) in enumerate(whole.counts):
        yield safe_line(f"{' · ' if place else ''}{word} {number:,}", STYLES_OF_WORDS.get(word, ""))


STYLES_OF_WORDS: Final = {WITHOUT: "bold red", **{str(outcome): style for outcome, style in STYLES.items()}}


def _line(text: str, style: str = "") -> SafeText:
    """Return text that takes one line, however narrow the terminal is."""
    line = safe_line(text, style)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
