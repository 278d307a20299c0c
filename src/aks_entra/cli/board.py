"""A migration's progress on stderr: a moving line per cluster on a terminal, plain lines of what changed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aks_entra.cli import output

if TYPE_CHECKING:
    from uuid import UUID

    from rich.console import Group
    from rich.live import Live

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
WORTH_TELLING: Final = 5.0  # seconds; shorter steps are shown without their duration


class Board:
    """Shows snapshots. `say` prints a line that stays."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._told: dict[UUID, str] = {}
        self._state = ""

    def show(self, snapshot: Snapshot) -> None:
        """Show how things stand now."""
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
    """A board for as long as something is followed."""
    console = output.stderr()
    if not console.is_terminal:
        yield Board(None)
        return
    from rich.live import Live  # noqa: PLC0415 - only where a terminal shows it

    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield Board(live)


def _state(snapshot: Snapshot) -> str:
    """The run's state; of one that waits for a time, for what and until when."""
    return snapshot.run.message if snapshot.run.waits else snapshot.run.state


def _words(step: StepView) -> str:
    if not step.ended:
        return "…"
    took = f" in {duration(step.seconds)}" if step.seconds >= WORTH_TELLING else ""
    return f"{'done' if step.completed else step.state.lower()}{took}"


def duration(seconds: float) -> str:
    """`9s`, `1m52`, `1h05`."""
    minutes, rest = divmod(int(seconds), 60)
    if minutes >= 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes // 60}h{minutes % 60:02}"
    return f"{minutes}m{rest:02}" if minutes else f"{rest}s"


def _table(snapshot: Snapshot) -> Group:
    from rich.console import Group  # noqa: PLC0415 - only where a terminal shows it
    from rich.spinner import Spinner  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    clusters: dict[str, list[StepView]] = {}
    for step in sorted(snapshot.steps, key=lambda one: (one.began is None, one.began)):
        if step.cluster:
            clusters.setdefault(step.cluster, []).append(step)
    for cluster, steps in clusters.items():
        line = Text()
        for step in _latest(steps):
            if step.step == "look" and step.completed:
                continue
            mark, style = MARKS.get(step.state, ("⠿", "cyan"))
            took = f" {duration(step.seconds)}" if step.seconds >= WORTH_TELLING else ""
            line.append(f"{mark} {SHORT.get(step.step, step.step)}{took}  ", style=style)
        table.add_row(Text(cluster), line)
    running = [batch for batch in snapshot.batches if not batch.ended]
    status = f"{snapshot.run.name}: {_state(snapshot)}" + "".join(f" · {one.name}: {one.state}" for one in running)
    bottom = Text(status, style="dim") if snapshot.run.ended or snapshot.gate else Spinner("dots", Text(status))
    return Group(table, bottom)


def _latest(steps: list[StepView]) -> list[StepView]:
    """The newest run of each step: an earlier attempt's crashed ones are not shown beside it."""
    newest = {step.step: step for step in steps}
    return [step for step in steps if newest[step.step] is step]
