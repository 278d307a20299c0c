"""Plans and reports as commands print and store them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from aks_entra.cli import output
from aks_entra.cli.plan_input import write_new
from aks_entra.documents import dump_report
from aks_entra.report import plan_text, verdict_text
from aks_entra.report.plan_view import view_of

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.verdict.report import FleetReport


def show_plan(plan: FleetPlan) -> None:
    """Print a plan on stderr, for a person who is about to approve it."""
    output.show(*plan_text.render(view_of(plan)))


def print_report(report: FleetReport, format_: output.Format) -> None:
    """Print a report on stdout: a table with the reasons, or the whole report as JSON."""
    if format_ is output.Format.JSON:
        output.emit_document(dump_report(report))
        return
    output.emit(*verdict_text.render(report))


def keep(report: FleetReport, folder: Path) -> None:
    """Store a report in a new file in the folder for evidence, where `plan` and `verify` find it."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", report.name).strip("-")
    stamp = report.ended_at.replace(":", "").replace("-", "")[:15]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{stamp}-{report.digest[7:15]}.json"
    write_new(file, dump_report(report), replace=False)
    output.say(f"evidence stored in {file}", style="dim")
