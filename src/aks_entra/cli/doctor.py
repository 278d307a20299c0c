"""`aks-entra doctor`: check that this machine has what sign-in to a cluster needs. It only reads."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.adapters.identity.entra_keys import keys_in
from aks_entra.adapters.records import open_store
from aks_entra.cli import cluster_argument, output
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.plan_input import read_settings
from aks_entra.core.doctor import EntraKeys, Light, PlaceOfRecords, PrefectServer, examine, sound
from aks_entra.doctor import collect
from aks_entra.errors import AksEntraError
from aks_entra.host import server_auth
from aks_entra.host.entra_key_file import age_of
from aks_entra.report.terminal import table

if TYPE_CHECKING:
    from rich.table import Table

    from aks_entra.core.doctor import Check
    from aks_entra.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    cluster: Annotated[
        str | None,
        typer.Argument(metavar="CLUSTER", help="Also check this cluster: `resource-group/name`, or its ARM id."),
    ] = None,
    *,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Check that this machine has what sign-in to a cluster needs.

    If PREFECT_API_URL is set, also check that the server asks for authentication and that its schedules run.

    The exit code is 0 if no check failed, else 1.
    """
    checks = output.run(_examine(cluster, subscription))
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/doctor", "checks": [_plain(check) for check in checks]})
    else:
        output.emit(_table(checks))
    if not sound(checks):
        raise typer.Exit(output.ExitCode.FAILED)


async def _examine(named: str | None, subscription: str | None) -> tuple[Check, ...]:
    with output.progress("checking this machine"):
        async with wiring.open_session(read_settings()) as session:
            cluster = await cluster_argument.found(session.ports.arm, named, subscription) if named else None
            patient = await collect.look(session.ports, cluster)
            groups = await collect.signing_groups(session.ports, _signers(), patient.signed_in.tenant_id)
        return examine(
            replace(
                patient,
                prefect=await _prefect(),
                records=await _records(),
                entra_keys=key_file(read_settings()),
                signing_groups=groups,
            )
        )


def _signers() -> dict[str, str]:
    """Return the settings that name groups for signed approvals."""
    settings = read_settings()
    return {"AKS_ENTRA_APPROVERS": settings.approvers, "AKS_ENTRA_ACCESS_APPROVERS": settings.access_approvers}


async def _prefect() -> PrefectServer | None:
    """Look at the Prefect server that PREFECT_API_URL names, if it names one."""
    if not os.environ.get("PREFECT_API_URL"):
        return None
    try:
        await prefect_client.require_server()
        authenticates = await prefect_client.asks_for_authentication()
        overdue = await prefect_client.overdue_schedules()
    except AksEntraError as error:
        return PrefectServer(error=error.message, remedy=error.remedy)
    return PrefectServer(authenticates=authenticates, overdue=overdue)


async def _records() -> PlaceOfRecords | None:
    """Look at the store of records. None if neither a store nor a Prefect server is named."""
    api = os.environ.get("PREFECT_API_URL", "")
    place = server_auth.records_place(read_settings(), api)
    shared = bool(api) and not server_auth.on_this_machine(api)
    if not place:
        return PlaceOfRecords(shared=shared) if api else None
    found = PlaceOfRecords(place=place, folder="://" not in place, shared=shared)
    try:
        async with open_store(read_settings().model_copy(update={"records": place})) as store:
            await store.keys("")
    except AksEntraError as error:
        return replace(found, error=error.message, remedy=error.remedy)
    return found


def key_file(settings: Settings) -> EntraKeys | None:
    """Look at the file with Entra's signing keys. None if no file is named."""
    file = settings.entra_keys
    if not file:
        return None
    try:
        keys_in(Path(file))
        age = age_of(file, wiring.SystemClock().now())
    except AksEntraError as error:
        return EntraKeys(file=file, error=error.message, remedy=error.remedy)
    return EntraKeys(file=file, age=age)


def _plain(check: Check) -> dict[str, str]:
    return {
        "name": check.name,
        "light": check.light.value,
        "found": check.found,
        "wanted": check.wanted,
        "remedy": check.remedy,
    }


def _table(checks: tuple[Check, ...]) -> Table:
    marks = {Light.OK: "✓", Light.WARNING: "⚠", Light.FAILED: "✗", Light.UNKNOWN: "?"}
    rows = [(marks[check.light], check.name, check.found, check.wanted, check.remedy) for check in checks]
    return table(("", "CHECK", "FOUND", "WANTED", "REMEDY"), rows)
