"""A report for a terminal: the verdict of each cluster, the counts, and the digests."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.report.terminal import borderless_table, joined, safe_line, stacked

STYLES = {
    Outcome.VERIFIED: "green",
    Outcome.NOT_VERIFIED: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.REFUSED: "red",
    Outcome.SKIPPED: "dim",
}


def render(report: FleetReport) -> Iterator[RenderableType]:
    """Return the table, the counts, and the digests of plan and report."""
    table = borderless_table("CLUSTER")
    table.add_column("VERDICT", no_wrap=True)
    table.add_column("BECAUSE", overflow="fold")
    for verdict in report.verdicts:
        because = [joined(verdict.because, " · ")]
        if verdict.next:
            because.append(safe_line(f"→ {verdict.next}", "dim"))
        if verdict.grade:
            because.append(safe_line(f"proof: {verdict.grade}", "dim"))
        outcome = safe_line(verdict.outcome, STYLES[verdict.outcome])
        table.add_row(safe_line(str(verdict.cluster)), outcome, stacked(*because))
    if report.verdicts:
        yield table
    for stage in report.stages:
        yield safe_line(stage.because, "" if stage.go_on else "red")
    for gate, decision in report.history.decisions if report.history else ():
        yield safe_line(f"{gate}: {decision.verb} by {decision.by} ({decision.reason})", "dim")
    for skip in report.skip_rules:
        yield safe_line(f"preflight rule {skip.rule} was skipped: {skip.reason}", "dim")
    yield safe_line(counts(report), "bold")
    yield safe_line(f"plan {report.plan_digest}")
    yield safe_line(f"report {report.digest}")


def counts(report: FleetReport) -> str:
    """Return the counts, as in `3 clusters · 2 verified · 1 refused`."""
    total = len(report.verdicts)
    parts = [f"{total} cluster{'' if total == 1 else 's'}"]
    return " · ".join(parts + [f"{count} {outcome}" for outcome, count in report.counts().items()])
