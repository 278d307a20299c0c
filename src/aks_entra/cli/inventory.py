"""`aks-entra inventory`: which clusters exist, and who can sign in to them. It only reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import fleet_model, wiring
from aks_entra.cli.earlier_reports import EvidenceFrom, gather
from aks_entra.cli.plan_input import locate, located, read_settings, teller
from aks_entra.core.planning.fleet import Selector
from aks_entra.planning.inventory import inventory as take_inventory
from aks_entra.report.inventory_text import render
from aks_entra.report.inventory_view import document

if TYPE_CHECKING:
    from aks_entra.core.planning.fleet import WantedGroup
    from aks_entra.errors import AksEntraError
    from aks_entra.planning.inventory import Row


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(inventory)


def inventory(
    fleet: Annotated[
        Path | None,
        typer.Argument(metavar="FLEET.yaml", help="Show the clusters of this fleet file.", show_default=False),
    ] = None,
    *,
    subscription: Annotated[
        list[str] | None,
        typer.Option(
            "--subscription",
            metavar="NAME|ID",
            help="Name or id of a subscription. Can be repeated. Default: $AZURE_SUBSCRIPTION_ID.",
            show_default=False,
        ),
    ] = None,
    resource_group: output.ResourceGroup = None,
    name: output.Name = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            metavar="KEY=VALUE",
            help="Select only clusters with this tag. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also ask each API server for its certificate. This needs no credential.")
    ] = False,
    read: Annotated[
        bool, typer.Option("--read", help="Also read each cluster's CA, and look at other ways in. Implies --probe.")
    ] = False,
    evidence: EvidenceFrom = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show every cluster: how people sign in, and whether old credentials still open it.

    This takes one or two requests for each subscription, and writes nothing. If one of several subscriptions cannot be
    listed, the clusters of the others are shown, and the exit code is 1.
    """
    with output.guarded():
        selectors, declared = _selectors(fleet, subscription or [], resource_group, name, tag or [])
    problems: list[AksEntraError] = []
    rows = output.run(
        _inventory(selectors, declared, fleet, problems, probe=probe or read, read=read, evidence=evidence)
    )
    if format_ is output.Format.JSON:
        output.emit_json(document(rows))
    else:
        output.emit(*render(rows))
    for problem in problems:
        output.say(f"Not shown: {locate(problem, fleet)}", style="error")
    if problems:
        raise typer.Exit(output.ExitCode.FAILED)


async def _inventory(
    selectors: tuple[Selector, ...],
    declared: tuple[WantedGroup, ...],
    fleet: Path | None,
    problems: list[AksEntraError],
    *,
    probe: bool,
    read: bool,
    evidence: list[Path] | None,
) -> tuple[Row, ...]:
    settings = read_settings()
    with output.progress("reading " + ", ".join(dict.fromkeys(one.subscription for one in selectors))) as tell:
        records = await gather(evidence, settings)
        async with wiring.open_session(settings) as session:
            with located(fleet):
                return await take_inventory(
                    session.ports,
                    selectors,
                    probe=probe,
                    read=read,
                    records=records,
                    on_progress=teller(tell),
                    declared=declared,
                    on_problem=problems.append,
                )


def _selectors(
    fleet: Path | None, subscriptions: list[str], resource_group: str | None, name: str | None, tags: list[str]
) -> tuple[tuple[Selector, ...], tuple[WantedGroup, ...]]:
    """Return the selectors of the fleet file, with the groups that it declares, or the selectors of the options."""
    pairs = tuple(sorted(_pair(tag) for tag in tags))
    if fleet is not None:
        if subscriptions or resource_group or name or pairs:
            output.usage(
                "the fleet file already selects the clusters",
                remedy="leave out --subscription, --resource-group, --name and --tag, or the file",
            )
        whole = fleet_model.load_fleet_file(fleet).to_fleet()
        return whole.selectors, whole.target.admin_groups
    subscriptions = subscriptions or [one for one in [os.environ.get("AZURE_SUBSCRIPTION_ID")] if one]
    if not subscriptions:
        output.usage(
            "no subscription is named",
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
