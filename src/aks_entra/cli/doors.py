"""`aks-entra doors`: which ways into a cluster remain when everybody signs in with Entra ID. It only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aks_entra.cli import cluster_argument, output
from aks_entra.cli.deferred import wiring
from aks_entra.cli.plan_input import read_settings
from aks_entra.errors import AksEntraError
from aks_entra.probes.doors import look
from aks_entra.report.doors_text import render
from aks_entra.report.doors_view import document

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.doors.model import Door


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doors)


def doors(
    cluster: cluster_argument.Cluster,
    *,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show the other ways into a cluster: closed (with the proof), open (for whom) or not looked at (why).

    It writes nothing. The exit code is 0 also if a door is open: a fleet file says which doors must be closed.
    """
    found, seen = output.run(_doors(cluster, subscription))
    if format_ is output.Format.JSON:
        output.emit_json(document(found, seen))
        return
    output.emit(render(seen))


async def _doors(named: str, subscription: str | None) -> tuple[ClusterId, tuple[Door, ...]]:
    with output.progress(f"reading {named}"):
        async with wiring.open_session(read_settings()) as session:
            arm = session.ports.arm
            posture = await arm.cluster(await cluster_argument.found(arm, named, subscription))
            try:
                posture = posture.with_ca(await arm.certificate_authority(posture.cluster))
            except AksEntraError as error:
                output.say(f"Without the cluster's CA nobody can look inside it: {error}", style="warning")
            seen = await look(session.ports, posture)
    return posture.cluster, tuple(door for one in seen for door in one.doors)
