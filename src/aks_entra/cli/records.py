"""`aks-entra records`: the store that AKS_ENTRA_RECORDS names."""

from __future__ import annotations

from typing import Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client

records = typer.Typer(
    name="records",
    help="Work with the record store that AKS_ENTRA_RECORDS names.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(records)


@records.callback()
def _group() -> None:
    """Work with the record store that AKS_ENTRA_RECORDS names."""


@records.command("import")
def import_(
    *,
    from_prefect: Annotated[
        bool, typer.Option("--from-prefect", help="Copy what only Prefect's server has, while no run works.")
    ] = False,
) -> None:
    """Copy to the store what it lacks. A second time copies nothing."""
    with output.guarded():
        if not from_prefect:
            output.usage("it is not said from where", remedy="add --from-prefect")
    output.run(_import_from_prefect())


async def _import_from_prefect() -> None:
    await prefect_client.require_server()
    copied = await prefect_client.import_from_prefect()
    output.say(f"✓ {copied} records were copied; from now on the store alone is read", style="good")
