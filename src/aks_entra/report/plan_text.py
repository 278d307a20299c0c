"""A plan on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aks_entra.core.preflight import Finding, Severity
from aks_entra.report.plan_view import NOTHING_WRITTEN, SEVERITY_MARKS, ClusterView, PlanView, StepView, size

_STYLES = {"+": "green", "−": "yellow", "↻": "magenta", "?": "cyan"}  # noqa: RUF001 - the plan's own mark
_SEVERITIES = {Severity.BLOCKER: "red", Severity.WARNING: "yellow", Severity.UNKNOWN: "magenta", Severity.INFO: "dim"}


def render(view: PlanView) -> Iterator[RenderableType]:
    """The whole plan, stage by stage, then what is held back, who gains and loses, and the digest."""
    yield from _changes(view)
    for stage in view.stages:
        yield Text.assemble((f"Stage {stage.name}", "bold"), f" ({stage.rules})")
        for cluster in stage.clusters:
            yield from _cluster(cluster)
    for title, held in (("Refused", view.refused), ("Skipped", view.skipped)):
        if held:
            yield Text.assemble((f"{title} ({len(held)})", "bold red" if title == "Refused" else "bold"))
            for cluster in held:
                yield Text("  " + cluster.names[0], style="bold")
                yield _findings(cluster.findings)
    if view.done:
        yield Text(f"As it should be ({len(view.done)})", style="bold")
        grid = Table.grid(padding=(0, 2))
        for cluster in view.done:
            grid.add_row(Text(cluster.names[0]), Text(cluster.because, style="dim"))
        yield _indented(grid, 2)
    if view.everywhere:
        yield Text(
            "On every cluster above" if len(view.stages) == 1 else "On every cluster of these stages", style="bold"
        )
        yield _findings(view.everywhere)
    if view.changes:
        people = Table.grid(padding=(0, 2))
        people.add_column(no_wrap=True)
        people.add_row(Text("Who gains access:", style="bold"), Text("\n".join(view.gains) or "nobody new"))
        people.add_row(Text("Who loses access:", style="bold"), Text("\n".join(view.loses) or "nobody"))
        people.add_row(Text("Who proves sign-in:", style="bold"), Text(f"{view.prover} (an automation, not a person)"))
        yield people
    yield from (Text(f"Later: {one}", style="bold yellow") for one in (view.later,) if one)
    yield Text(f"{view.summary} · {NOTHING_WRITTEN}", style="bold")
    yield Text(f"plan {view.digest}")


def _changes(view: PlanView) -> Iterator[RenderableType]:
    if view.follows:
        yield Text(f"Second part of plan {view.follows}: the rotation that it left owed", style="bold")
    if view.replaces:
        yield Text(f"In place of plan {view.replaces}: clusters moved since", style="bold yellow")
        grid = Table.grid(padding=(0, 2))
        for name, differences in view.moved:
            grid.add_row(Text(name), Text("; ".join(differences)))
        yield _indented(grid, 2)


def _cluster(cluster: ClusterView) -> Iterator[RenderableType]:
    yield Text.assemble("  ", (", ".join(cluster.names), "bold"), f"  {size(cluster)}")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for step in cluster.steps:
        grid.add_row(Text(step.mark, style=_STYLES.get(step.mark, "")), Text(step.title), _notes(step))
    yield _indented(grid, 4)
    if cluster.findings:
        yield _findings(cluster.findings)


def _notes(step: StepView) -> Text:
    text = Text()
    for index, note in enumerate(step.notes):
        loud = "bold red" if note == "ONE WAY" else "yellow" if step.interrupts and "down" in note else ""
        text.append(" · " if index else "").append(note, style=loud)
    return text


def _findings(findings: tuple[Finding, ...]) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in findings:
        style = _SEVERITIES[finding.severity]
        text = Text(finding.message)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", style="dim")
        grid.add_row(Text(SEVERITY_MARKS[finding.severity], style=style), Text(finding.rule, style=style), text)
    return _indented(grid, 4)


def _indented(grid: Table, by: int) -> Padding:
    return Padding(grid, (0, 0, 0, by), expand=False)
