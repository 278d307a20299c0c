"""`aks-entra gates`: which runs wait, for whom or for what, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aks_entra.cli import output

if TYPE_CHECKING:
    from aks_entra.prefect_client import Waiting


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gates)


def gates(*, format_: output.Output = output.Format.TABLE) -> None:
    """List the gates that wait: for an approval, or for a time."""
    output.run(_show(format_))


async def _show(format_: output.Format) -> None:
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    await prefect_client.require_server()
    found = await prefect_client.waiting()
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/gates", "gates": [_document(one) for one in found]})
        return
    if not found:
        output.say("no run waits at a gate")
        return
    from rich.table import Table  # noqa: PLC0415 - startup is quick without it

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for title in ("RUN", "PLAN", "WAITS FOR", "UNTIL"):
        table.add_column(title, overflow="fold")
    for one in found:
        table.add_row(str(one.run)[:8], one.plan, one.because, one.until or "somebody decides")
    output.emit(table)
    if any(not one.until for one in found):
        output.say("  aks-entra approve RUN --plan PLAN --reason …", style="dim")


def _document(one: Waiting) -> dict[str, str]:
    return {"run": str(one.run), "plan": one.plan, "because": one.because, "until": one.until, "page": one.page}
