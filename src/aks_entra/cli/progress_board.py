"""Shows a run's progress on stderr: on a terminal a line for each cluster, elsewhere a line for each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from aks_entra.cli import output
from aks_entra.report.terminal import safe_line, side_by_side

if TYPE_CHECKING:
    from uuid import UUID

    from aks_entra.prefect_client import Snapshot, StepView

MARKS: Final = {"Completed": ("✓", "green"), "Failed": ("✗", "red"), "Crashed": ("✗", "red"), "Cancelled": ("✗", "red")}
SHORT: Final = {
    "look": "look",
    "ensure admin group": "group",
    "enable Entra": "Entra on",
    "update Entra": "Entra changed",
    "prove sign-in": "sign-in",
    "record baseline": "baseline",
    "disable local accounts": "accounts off",
    "rotate certificates": "rotate",
    "verify nodes": "nodes",
    "prove old credentials dead": "old credentials dead",
}
WORTH_TELLING: Final = 5.0  # seconds; a shorter step is shown without its duration


class Board:
    """Shows snapshots of one run, one after the other."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._told: dict[UUID, str] = {}
        self._state = ""

    def show(self, snapshot: Snapshot) -> None:
        """Show the present state."""
        if self._live is not None:
            self._live.update(_table(snapshot), refresh=True)
            return
        for step in snapshot.steps:
            if self._told.get(step.id) != step.state and step.cluster:
                self._told[step.id] = step.state
                if step.ended or step.state == "Running":
                    output.say(f"{step.cluster} · {step.step}: {_words(step)}")
        if snapshot.run.state != self._state:
            self._state = snapshot.run.state
            output.say(f"{snapshot.run.name}: {_state(snapshot)}", style="dim")


@contextmanager
def board() -> Iterator[Board]:
    """Yield a board for a run that is followed."""
    console = output.stderr()
    if not console.is_terminal:
        yield Board(None)
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield Board(live)


def _state(snapshot: Snapshot) -> str:
    """Return the run's state. If it waits for a time: what it waits for, and until when."""
    return snapshot.run.message if snapshot.run.waits else snapshot.run.state


def _words(step: StepView) -> str:
    if not step.ended:
        return "…"
    took = f" in {duration(step.seconds)}" if step.seconds >= WORTH_TELLING else ""
    return f"{'done' if step.completed else step.state.lower()}{took}"


def duration(seconds: float) -> str:
    """Return a duration as people write it: `9s`, `1m52` or `1h05`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours}h{left:02}"
    return f"{minutes}m{rest:02}" if minutes else f"{rest}s"


def _table(snapshot: Snapshot) -> Group:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    clusters: dict[str, list[StepView]] = {}
    for step in sorted(snapshot.steps, key=lambda one: (one.began is None, one.began)):
        if step.cluster:
            clusters.setdefault(step.cluster, []).append(step)
    for cluster, steps in clusters.items():
        line = []
        for step in _latest(steps):
            if step.step == "look" and step.completed:
                continue
            mark, style = MARKS.get(step.state, ("⠿", "cyan"))
            took = f" {duration(step.seconds)}" if step.seconds >= WORTH_TELLING else ""
            line.append(safe_line(f"{mark} {SHORT.get(step.step, step.step)}{took}  ", style))
        table.add_row(safe_line(cluster), side_by_side(*line))
    running = [batch for batch in snapshot.batches if not batch.ended]
    status = f"{snapshot.run.name}: {_state(snapshot)}" + "".join(f" · {one.name}: {one.state}" for one in running)
    bottom = safe_line(status, "dim") if snapshot.run.ended or snapshot.gate else Spinner("dots", safe_line(status))
    return Group(table, bottom)


def _latest(steps: list[StepView]) -> list[StepView]:
    """Return the newest run of each step, without the crashed runs of earlier attempts."""
    newest = {step.step: step for step in steps}
    return [step for step in steps if newest[step.step] is step]
