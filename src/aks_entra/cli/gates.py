"""`aks-entra gates`: list the runs that wait, with what they wait for, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.report.gate_callers import document_of, lines_of
from aks_entra.report.terminal import borderless_table, safe_line

if TYPE_CHECKING:
    from aks_entra.prefect_client import Waiting


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gates)


def gates(*, format_: output.Output = output.Format.TABLE) -> None:
    """List the runs that wait at a gate, for an approval or for a time."""
    output.run(_show(format_))


async def _show(format_: output.Format) -> None:
    await prefect_client.require_server()
    found = await prefect_client.waiting()
    overdue = await prefect_client.overdue_schedules()
    if format_ is output.Format.JSON:
        schedules = [{"deployment": it.deployment, "because": it.because, "remedy": it.remedy} for it in overdue]
        gates = [_document(one) for one in found]
        output.emit_json({"kind": "aks-entra/gates", "gates": gates, "overdue_schedules": schedules})
        return
    for late in overdue:
        output.say(f"warning: {late}", f"  → {late.remedy}", style="warning")
    if not found:
        output.say("no run waits at a gate")
        return
    shown = borderless_table("RUN", "PLAN", "WAITS FOR", "UNTIL")
    for one in found:
        until = one.until or "somebody decides"
        shown.add_row(safe_line(str(one.run)[:8]), safe_line(one.plan), safe_line(one.because), safe_line(until))
    output.emit(shown)
    for one in found:
        if one.callers:
            output.emit_lines(
                f"run {str(one.run)[:8]} waits for these callers with old credentials (read {one.callers.at}):"
            )
            for what, then in lines_of(one.callers):
                output.emit_lines(f"  {what}", *([f"    → {then}"] if then else []))
    if any(not one.until for one in found):
        output.say("  aks-entra approve RUN --plan PLAN --reason …", style="dim")


def _document(one: Waiting) -> dict[str, Any]:
    return {
        "run": str(one.run),
        "plan": one.plan,
        "because": one.because,
        "until": one.until,
        "page": one.page,
        **({"callers": document_of(one.callers)} if one.callers else {}),
    }
