"""`aks-entra inventory`: what there is, and what can become of it. Reads only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.planning import located, read_settings, teller
from aks_entra.cli.records import EvidenceFrom, gather

if TYPE_CHECKING:
    from aks_entra.core.fleet import Selector, WantedGroup
    from aks_entra.survey import Row


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Show who signs in how, and what old keys still open.")(inventory)


def inventory(  # noqa: PLR0913 - one parameter for each option
    fleet: Annotated[
        Path | None,
        typer.Argument(metavar="FLEET.yaml", help="Take the clusters of this fleet file.", show_default=False),
    ] = None,
    *,
    subscription: Annotated[
        list[str] | None,
        typer.Option(
            "--subscription",
            metavar="NAME|ID",
            help="Name or id of a subscription; several by repeating it.  [default: $AZURE_SUBSCRIPTION_ID]",
            show_default=False,
        ),
    ] = None,
    resource_group: output.ResourceGroup = None,
    name: output.Name = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag", metavar="KEY=VALUE", help="Only clusters with this tag. Repeat for several.", show_default=False
        ),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also ask each API server for its certificate (needs no credential).")
    ] = False,
    read: Annotated[
        bool, typer.Option("--read", help="Also read each cluster's CA from its user kubeconfig. Implies --probe.")
    ] = False,
    evidence: EvidenceFrom = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show every cluster: who signs in how, and whether old credentials still open it.

    One or two requests for each subscription; nothing is written.
    """
    with output.guarded():
        selectors, declared = _selectors(fleet, subscription or [], resource_group, name, tag or [])
    rows = output.run(_inventory(selectors, declared, fleet, probe=probe or read, read=read, evidence=evidence))
    if format_ is output.Format.JSON:
        from aks_entra.report.inventory_view import document  # noqa: PLC0415 - startup is quick without it

        output.emit_json(document(rows))
        return
    from aks_entra.report.inventory_text import render  # noqa: PLC0415 - startup is quick without it

    output.emit(*render(rows))


async def _inventory(
    selectors: tuple[Selector, ...],
    declared: tuple[WantedGroup, ...],
    fleet: Path | None,
    *,
    probe: bool,
    read: bool,
    evidence: list[Path] | None,
) -> tuple[Row, ...]:
    from aks_entra import survey  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    settings = read_settings()
    with output.progress("looking at " + ", ".join(dict.fromkeys(one.subscription for one in selectors))) as tell:
        records = await gather(evidence, settings)
        async with open_session(settings) as session:
            with located(fleet):
                return await survey.inventory(
                    session.ports,
                    selectors,
                    probe=probe,
                    read=read,
                    records=records,
                    on_progress=teller(tell),
                    declared=declared,
                )


def _selectors(
    fleet: Path | None, subscriptions: list[str], resource_group: str | None, name: str | None, tags: list[str]
) -> tuple[tuple[Selector, ...], tuple[WantedGroup, ...]]:
    """Which clusters are meant: those of a fleet file, with the groups it declares, or those of the options."""
    from aks_entra.core.fleet import Selector  # noqa: PLC0415 - startup is quick without it

    pairs = tuple(sorted(_pair(tag) for tag in tags))
    if fleet is not None:
        if subscriptions or resource_group or name or pairs:
            output.usage(
                "a fleet file says which clusters",
                remedy="leave out --subscription, --resource-group, --name and --tag, or the file",
            )
        from aks_entra.fleet_file import load_fleet_file  # noqa: PLC0415 - startup is quick without it

        whole = load_fleet_file(fleet).to_fleet()
        return whole.selectors, whole.target.admin_groups
    subscriptions = subscriptions or [one for one in [os.environ.get("AZURE_SUBSCRIPTION_ID")] if one]
    if not subscriptions:
        output.usage(
            "which clusters? No subscription is named",
            remedy="add --subscription NAME|ID (`az account list -o table` shows them), or name a fleet file",
        )
    chosen = tuple(
        Selector(subscription=one, resource_group=resource_group, name=name, tags=pairs)
        for one in dict.fromkeys(subscriptions)
    )
    return chosen, ()


def _pair(tag: str) -> tuple[str, str]:
    key, equals, value = tag.partition("=")
    if not key or not equals:
        output.usage(f"--tag {tag}: not KEY=VALUE", remedy="write --tag env=prod")
    return key, value
