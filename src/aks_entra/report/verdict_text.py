"""A fleet's verdicts on a terminal: VERDICT and BECAUSE, then the counts and the report's digest."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Outcome

STYLES = {
    Outcome.VERIFIED: "green",
    Outcome.NOT_VERIFIED: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.REFUSED: "red",
    Outcome.SKIPPED: "dim",
}


def render(report: FleetReport) -> Iterator[RenderableType]:
    """The table, the counts, and the digests of plan and report."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    table.add_column("CLUSTER", overflow="fold")
    table.add_column("VERDICT", no_wrap=True)
    table.add_column("BECAUSE", overflow="fold")
    for verdict in report.verdicts:
        because = Text(" · ".join(verdict.because))
        if verdict.next:
            because.append(f"\n→ {verdict.next}", style="dim")
        if verdict.grade:
            because.append(f"\nproof: {verdict.grade}", style="dim")
        table.add_row(Text(str(verdict.cluster)), Text(verdict.outcome, style=STYLES[verdict.outcome]), because)
    if report.verdicts:
        yield table
    for stage in report.stages:
        yield Text(stage.because, style="" if stage.go_on else "red")
    for skip in report.skip_rules:
        yield Text(f"preflight rule {skip.rule} was passed over: {skip.reason}", style="dim")
    yield Text(counts(report), style="bold")
    yield Text(f"plan {report.plan_digest}")
    yield Text(f"report {report.digest}")


def counts(report: FleetReport) -> str:
    """`3 clusters · 2 verified · 1 refused`."""
    total = len(report.verdicts)
    parts = [f"{total} cluster{'' if total == 1 else 's'}"]
    return " · ".join(parts + [f"{count} {outcome}" for outcome, count in report.counts().items()])
