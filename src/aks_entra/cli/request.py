"""`aks-entra request`: send the event that asks for a run of a fleet, and say which run began."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from pydantic import ValidationError

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.errors import Refused
from aks_entra.fleet_file.errors import problems_of
from aks_entra.fleet_file.model import load_fleet_file
from aks_entra.fleet_file.runs import RequestFile
from aks_entra.fleet_file.yaml_lines import read

if TYPE_CHECKING:
    from uuid import UUID

PATIENCE: Final = 60.0
"""Seconds until the server's triggers have started a run, on a slow machine."""


class Run(StrEnum):
    """What is asked for."""

    MIGRATE = "migrate"
    VERIFY = "verify"
    INVENTORY = "inventory"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(request)


def request(
    fleet: Annotated[
        str,
        typer.Argument(
            metavar="FLEET|FLEET.yaml",
            help="The name of a deployed fleet, or a fleet file, whose content is sent.",
            show_default=False,
        ),
    ],
    *,
    ticket: Annotated[
        str,
        typer.Option(
            "--ticket",
            callback=output.typed,
            metavar="ID",
            help="Give the number of the change ticket. The gate shows it.",
            show_default=False,
        ),
    ],
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            callback=output.typed,
            metavar="TEXT",
            help="Give the reason. The gate shows it.",
            show_default=False,
        ),
    ] = "",
    run: Annotated[Run, typer.Option("--run", help="Choose which run of a deployed fleet to start.")] = Run.MIGRATE,
    no_wait: output.NoWait = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Ask Prefect for a run of a fleet, as a ticket system does: an event starts it.

    A migration plans the fleet and waits at its gate. The command ends when the run has begun.
    """
    output.run(_request(fleet, run, {"ticket": ticket, **({"reason": reason} if reason else {})}, no_wait, format_))


async def _request(fleet: str, run: Run, said: dict[str, str], no_wait: bool, format_: output.Format) -> None:
    require_sendable(said)
    payload: dict[str, Any] = dict(said)
    content = load_fleet_file(Path(fleet)) if _is_file(fleet) else None
    if content is not None:
        if run is not Run.MIGRATE:
            raise Refused(f"--run {run} needs a deployed fleet", remedy=f"aks-entra deploy {fleet}; then give its name")
        fleet, payload = content.name, {**payload, "fleet": content.to_parameter()}
    await prefect_client.require_server()
    deployment = prefect_client.requested_deployment(fleet, run, with_content=content is not None)
    known = await prefect_client.runs_begun(deployment)
    if content is not None:
        event = await prefect_client.request_with_content(fleet, payload)
    else:
        if run is Run.MIGRATE:
            await prefect_client.require_idle(fleet)
        event = await prefect_client.request(fleet, run, payload)
    output.say(f"requested: {run} of fleet {fleet} (event {event})")
    await _say_which_began(deployment, known, said["ticket"], event, no_wait=no_wait, format_=format_)


def require_sendable(said: dict[str, str]) -> None:
    """Raise Refused that names the option, if the flow would refuse what a request says."""
    if not said["ticket"].strip():
        raise Refused("--ticket is empty", remedy="name the ticket")
    try:
        RequestFile.model_validate(said)
    except ValidationError as error:
        problem = next(problems_of(error, RequestFile, read("")))
        raise Refused(f"--{problem.where} {problem.message}", remedy=problem.remedy) from error


async def _say_which_began(
    deployment: str, known: frozenset[UUID], ticket: str, event: UUID, *, no_wait: bool, format_: output.Format
) -> None:
    began = None if no_wait else await prefect_client.await_run(deployment, known, ticket, seconds=PATIENCE)
    page = prefect_client.page_of(began.id) if began is not None else ""
    if format_ is output.Format.JSON:
        run = str(began.id) if began is not None else None
        output.emit_json(
            {"kind": "aks-entra/request", "deployment": deployment, "event": str(event), "run": run, "page": page}
        )
    elif began is not None:
        output.emit_lines(f"run {began.name} ({str(began.id)[:8]}) began · {page}")
    if began is None and not no_wait:
        output.say(
            f"no run of {deployment} was seen within {PATIENCE:.0f} s",
            "  → look for the event and its automation in Prefect's UI",
            style="warning",
        )
        raise typer.Exit(output.ExitCode.FAILED)


def _is_file(fleet: str) -> bool:
    """Whether a fleet file is meant: a path, or a name that ends as one."""
    return fleet == "-" or "/" in fleet or Path(fleet).suffix in {".yaml", ".yml"}
