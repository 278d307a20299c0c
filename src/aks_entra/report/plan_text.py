"""A plan for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table

from aks_entra.core.preflight import Finding, Severity
from aks_entra.report.expected_time import TITLE, TimeView
from aks_entra.report.plan_view import NOTHING_WRITTEN, ONE_WAY, SEVERITY_MARKS, ClusterView, PlanView, StepView, size
from aks_entra.report.terminal import joined, safe_line, side_by_side, stacked

_STYLES = {"+": "green", "−": "yellow", "↻": "magenta", "✓": "cyan"}
_SEVERITIES = {Severity.BLOCKER: "red", Severity.WARNING: "yellow", Severity.UNKNOWN: "magenta", Severity.INFO: "dim"}


def render(view: PlanView) -> Iterator[RenderableType]:
    """Return the plan: its stages, the clusters that are not migrated, who gains or loses access, and the digest."""
    yield from _changes(view)
    for stage in view.stages:
        yield side_by_side(safe_line(f"Stage {stage.name}", "bold"), safe_line(f" ({stage.rules})"))
        for cluster in stage.clusters:
            yield from _cluster(cluster)
    for title, held in (("Refused", view.refused), ("Skipped", view.skipped)):
        if held:
            yield safe_line(f"{title} ({len(held)})", "bold red" if title == "Refused" else "bold")
            for cluster in held:
                yield safe_line("  " + cluster.names[0], "bold")
                yield _findings(cluster.findings)
    if view.done:
        yield safe_line(f"Nothing to do ({len(view.done)})", "bold")
        grid = Table.grid(padding=(0, 2))
        for cluster in view.done:
            grid.add_row(safe_line(cluster.names[0]), safe_line(cluster.because, "dim"))
        yield _indented(grid, 2)
    if view.everywhere:
        yield safe_line(
            "On every cluster above" if len(view.stages) == 1 else "On every cluster of these stages", "bold"
        )
        yield _findings(view.everywhere)
    if view.changes:
        people = Table.grid(padding=(0, 2))
        people.add_column(no_wrap=True)
        people.add_row(safe_line("Who gains access:", "bold"), stacked(*map(safe_line, view.gains or ("nobody new",))))
        people.add_row(safe_line("Who loses access:", "bold"), stacked(*map(safe_line, view.loses or ("nobody",))))
        people.add_row(
            safe_line("Who proves sign-in:", "bold"), safe_line(f"{view.prover} (a service principal, not a person)")
        )
        yield people
    yield from _time(view.time) if view.time else ()
    yield from (safe_line(f"Later: {one}", "bold yellow") for one in (view.later,) if one)
    yield from (safe_line(f"{when}: {hook}", "bold") for when, hook in view.after)
    yield safe_line(f"{view.summary} · {NOTHING_WRITTEN}", "bold")
    yield safe_line(f"plan {view.digest}")


def _time(view: TimeView) -> Iterator[RenderableType]:
    yield safe_line(TITLE, "bold")
    grid = Table.grid(padding=(0, 2))
    for row in view.rows:
        grid.add_row(*map(safe_line, row))
    yield _indented(grid, 2)
    yield _indented(stacked(*(safe_line(note, "dim") for note in view.notes)), 2)


def _changes(view: PlanView) -> Iterator[RenderableType]:
    if view.follows:
        yield safe_line(f"Second part of plan {view.follows}: the rotation that it left for later", "bold")
    if view.replaces:
        yield safe_line(f"This replaces plan {view.replaces}, because clusters changed since", "bold yellow")
        grid = Table.grid(padding=(0, 2))
        for name, differences in view.moved:
            grid.add_row(safe_line(name), joined(differences, "; "))
        yield _indented(grid, 2)


def _cluster(cluster: ClusterView) -> Iterator[RenderableType]:
    yield side_by_side(safe_line("  "), joined(cluster.names, ", ", "bold"), safe_line(f"  {size(cluster)}"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for step in cluster.steps:
        grid.add_row(safe_line(step.mark, _STYLES.get(step.mark, "")), safe_line(step.title), _notes(step))
    yield _indented(grid, 4)
    if cluster.findings:
        yield _findings(cluster.findings)


def _notes(step: StepView) -> RenderableType:
    parts = []
    for index, note in enumerate(step.notes):
        loud = "bold red" if note == ONE_WAY else "yellow" if note == step.interruption else ""
        parts += [safe_line(" · " if index else ""), safe_line(note, loud)]
    return side_by_side(*parts)


def _findings(findings: tuple[Finding, ...]) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in findings:
        style = _SEVERITIES[finding.severity]
        lines = [safe_line(finding.message), *([safe_line(f"→ {finding.remedy}", "dim")] if finding.remedy else [])]
        mark = safe_line(SEVERITY_MARKS[finding.severity], style)
        grid.add_row(mark, safe_line(finding.rule, style), stacked(*lines))
    return _indented(grid, 4)


def _indented(grid: RenderableType, by: int) -> Padding:
    return Padding(grid, (0, 0, 0, by), expand=False)
