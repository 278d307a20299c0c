"""`aks-entra inventory`: which clusters exist, and who can sign in to them. It only reads."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import fleet_model, wiring
from aks_entra.cli.earlier_reports import EvidenceFrom, gather
from aks_entra.cli.plan_input import locate, located, read_settings, teller, writable, write_new
from aks_entra.core.planning.fleet import Selector
from aks_entra.planning.inventory import inventory as take_inventory
from aks_entra.planning.selection import Selection
from aks_entra.report import inventory_csv, inventory_summary
from aks_entra.report.inventory_text import render, render_board
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
    management_group: Annotated[
        list[str] | None,
        typer.Option(
            "--management-group",
            metavar="ID",
            help="Every subscription below this management group. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    tenant: Annotated[bool, typer.Option("--tenant", help="Every subscription that this identity can see.")] = False,
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
    summary: Annotated[bool, typer.Option("--summary", help="Show a board: how many are in which state.")] = False,
    by: Annotated[
        str, typer.Option("--by", metavar="KEY", help="Group the board by subscription, posture or tag:NAME.")
    ] = "subscription",
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write CSV with one line for each cluster.", show_default=False),
    ] = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show every cluster: how people sign in, and whether old credentials still open it.

    This takes one or two requests for each subscription, and writes nothing. A tenant or a management group takes one
    for each 1,000 clusters (Azure Resource Graph). If one of several subscriptions cannot be listed, the clusters of
    the others are shown, and the exit code is 1. Use - as FILE to write CSV to standard output.
    """
    with output.guarded():
        inventory_summary.grouping(by)
        if csv is not None and str(csv) != "-":
            writable(csv, replace=True)
        elif csv is not None and (summary or format_ is output.Format.JSON):
            other = "--summary" if summary else "-o json"
            output.usage(
                f"--csv - and {other} both print on standard output",
                remedy=f"name a file for the CSV, or leave out {other}",
            )
        narrow = _Narrow(resource_group, name, tuple(sorted(_pair(one) for one in tag or [])))
        wanted, declared = _wanted(fleet, subscription or [], management_group or [], narrow, tenant=tenant)
    problems: list[AksEntraError] = []
    notes: list[str] = []
    wanted = replace(wanted, fresh=False, on_problem=problems.append, on_note=notes.append)
    rows = output.run(_inventory(wanted, declared, fleet, probe=probe or read, read=read, evidence=evidence))
    if csv is not None and str(csv) != "-":
        with output.guarded():
            write_new(csv, inventory_csv.render(rows), replace=True)
        output.say(f"csv: {csv}", style="dim")
    if csv is not None and str(csv) == "-":
        output.emit_text(inventory_csv.render(rows))
    elif format_ is output.Format.JSON:
        output.emit_json(inventory_summary.document(rows, by) if summary else document(rows))
    else:
        output.emit(*(render_board(rows, by) if summary else render(rows)))
    for note in dict.fromkeys(notes):
        output.say(note, style="dim")
    for problem in problems:
        output.say(*f"Not shown: {locate(problem, fleet)}".split("\n"), style="error")
    if problems:
        raise typer.Exit(output.ExitCode.FAILED)


async def _inventory(
    wanted: Selection,
    declared: tuple[WantedGroup, ...],
    fleet: Path | None,
    *,
    probe: bool,
    read: bool,
    evidence: list[Path] | None,
) -> tuple[Row, ...]:
    settings = read_settings()
    with output.progress("reading " + ", ".join(dict.fromkeys(one.place for one in wanted.selectors))) as tell:
        records = await gather(evidence, settings)
        async with wiring.open_session(settings) as session:
            with located(fleet):
                return await take_inventory(
                    session.ports,
                    wanted,
                    probe=probe,
                    read=read,
                    records=records,
                    on_progress=teller(tell),
                    declared=declared,
                )


@dataclass(frozen=True, slots=True)
class _Narrow:
    """The options that narrow a selection."""

    resource_group: str | None
    name: str | None
    tags: tuple[tuple[str, str], ...]


def _wanted(
    fleet: Path | None, subscriptions: list[str], management_groups: list[str], narrow: _Narrow, *, tenant: bool
) -> tuple[Selection, tuple[WantedGroup, ...]]:
    """Return the clusters of the fleet file, with the groups that it declares, or the clusters of the options."""
    places = bool(subscriptions) + bool(management_groups) + tenant
    if fleet is not None:
        if places or narrow.resource_group or narrow.name or narrow.tags:
            output.usage(
                "the fleet file already selects the clusters",
                remedy="leave out the options that select clusters, or the file",
            )
        whole = fleet_model.load_fleet_file(fleet).to_fleet()
        return Selection(selectors=whole.selectors, excluded=whole.excluded), whole.target.admin_groups
    if places > 1:
        output.usage(
            "more than one option says where the clusters are",
            remedy="give one of --subscription, --management-group and --tenant",
        )
    for option, names in (("--subscription", subscriptions), ("--management-group", management_groups)):
        if any(not one.strip() for one in names):
            output.usage(f"{option}: is empty", remedy="write a value, or remove the option")
    if not places:
        subscriptions = [one for one in [os.environ.get("AZURE_SUBSCRIPTION_ID")] if one]
    if not places and not subscriptions:
        output.usage(
            "no subscription is named",
            remedy="add --subscription NAME|ID (`az account list -o table` shows them), --management-group ID or "
            "--tenant, or name a fleet file",
        )
    where = [
        *(Selector(subscription=one) for one in dict.fromkeys(subscriptions)),
        *(Selector(management_group=one) for one in dict.fromkeys(management_groups)),
        *([Selector(tenant=True)] if tenant else []),
    ]
    narrowed = (replace(one, resource_group=narrow.resource_group, name=narrow.name, tags=narrow.tags) for one in where)
    return Selection(selectors=tuple(narrowed)), ()


def _pair(tag: str) -> tuple[str, str]:
    key, equals, value = tag.partition("=")
    if not key or not equals:
        output.usage(f"--tag {tag}: not KEY=VALUE", remedy="write --tag env=prod")
    return key, value
