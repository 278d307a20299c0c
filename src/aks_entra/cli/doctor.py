"""`aks-entra doctor`: whether this machine has what the documented way into a cluster needs. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import clusters, output
from aks_entra.cli.planning import read_settings

if TYPE_CHECKING:
    from rich.table import Table

    from aks_entra.core.doctor import Check


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Check az, kubectl, kubelogin, helm, network, clock and tenant.")(doctor)


def doctor(
    cluster: Annotated[
        str | None,
        typer.Argument(metavar="CLUSTER", help="Also check against this cluster (resource-group/name, or its id)."),
    ] = None,
    *,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Check what the documented way into a cluster needs of this machine.

    Exit code 0 when nothing failed, 1 when something did.
    """
    checks = output.run(_examine(cluster, subscription))
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/doctor", "checks": [_plain(check) for check in checks]})
    else:
        output.emit(_table(checks))
    from aks_entra.core.doctor import sound  # noqa: PLC0415 - startup is quick without it

    if not sound(checks):
        raise typer.Exit(output.ExitCode.FAILED)


async def _examine(named: str | None, subscription: str | None) -> tuple[Check, ...]:
    from aks_entra import checkup  # noqa: PLC0415 - startup is quick without it
    from aks_entra.core.doctor import examine  # noqa: PLC0415 - as above
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    with output.progress("looking around"):
        async with open_session(read_settings()) as session:
            cluster = await clusters.found(session.ports.arm, named, subscription) if named else None
            return examine(await checkup.look(session.ports, session.machine, cluster))


def _plain(check: Check) -> dict[str, str]:
    return {
        "name": check.name,
        "light": check.light.value,
        "found": check.found,
        "wanted": check.wanted,
        "remedy": check.remedy,
    }


def _table(checks: tuple[Check, ...]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - startup is quick without it

    from aks_entra.core.doctor import Light  # noqa: PLC0415 - as above

    marks = {Light.OK: "✓", Light.WARNING: "⚠", Light.FAILED: "✗", Light.UNKNOWN: "?"}
    table = Table(box=None, pad_edge=False)
    for heading in ("", "CHECK", "FOUND", "WANTED", "REMEDY"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        table.add_row(marks[check.light], check.name, check.found, check.wanted, check.remedy)
    return table
