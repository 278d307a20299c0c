"""`aks-entra deploy`: make or update fleets' Prefect deployments and notifications, after showing what changes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.cli.plan import CHANGES, PlanCommand
from aks_entra.cli.plan_input import located
from aks_entra.core.deployments import Change, ChangeKind, Deployment, changes, summary
from aks_entra.errors import Refused
from aks_entra.fleet_file.model import FleetFile, load_fleet_file
from aks_entra.report.deployment_changes import document, render

if TYPE_CHECKING:
    from collections.abc import Sequence


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=PlanCommand)(deploy)


def deploy(
    fleets: Annotated[list[Path], typer.Argument(metavar="FLEET.yaml", help="The fleet files.", show_default=False)],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit as Terraform does: 0 nothing to do, 1 error, 2 changes."),
    ] = False,
    yes: output.Yes = False,
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="NAME",
            help="Work pool of the runs. Default: the one in prefect.yaml.",
            show_default=False,
        ),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(
            "--queue",
            metavar="NAME",
            help="Work queue of the runs. Default: the one in prefect.yaml.",
            show_default=False,
        ),
    ] = None,
    job_variable: Annotated[
        list[str] | None,
        typer.Option(
            "--job-variable",
            metavar="NAME=VALUE",
            help="Set a job variable of the work pool. The value is JSON or text. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option(
            "--notify",
            metavar="TYPE/NAME",
            help="Tell this notification block, such as slack-webhook/ops, what people have to know. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Also remove the deployments of fleets that none of these files describes, "
            "and notifications that no --notify asks for.",
        ),
    ] = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Make or update the Prefect deployments of fleets: migrate, verify and inventory, with what starts them.

    The fleet file's `runs` names schedules and triggers. `--notify` makes the automations that tell people what
    happens. Only what this command made is changed.
    """
    try:
        with output.guarded():
            variables = _variables(job_variable or [])
            blocks = _blocks(notify or [])
            named = _load(fleets)
        made = output.run(
            _deploy(named, pool, queue, variables, blocks, prune=prune, dry_run=dry_run, yes=yes, format_=format_)
        )
    except typer.Exit as leaving:
        if detailed_exitcode and leaving.exit_code == output.ExitCode.REFUSED:
            raise typer.Exit(output.ExitCode.FAILED) from None
        raise
    if detailed_exitcode and _effective(made):
        raise typer.Exit(CHANGES)


def _load(files: Sequence[Path]) -> dict[Path, FleetFile]:
    """Read all files, before anything is asked or written. Raises Refused."""
    named = {file: load_fleet_file(file) for file in files}
    seen: dict[str, Path] = {}
    for file, fleet in named.items():
        if fleet.name in seen:
            raise Refused(
                f"{seen[fleet.name]} and {file} both describe fleet {fleet.name}", remedy="rename one of them"
            )
        seen[fleet.name] = file
    return named


def _variables(given: Sequence[str]) -> dict[str, Any]:
    """Return `--job-variable NAME=VALUE`: the value is JSON, or else text. Raises Refused."""
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise Refused(f"--job-variable {text}: not NAME=VALUE", remedy="write --job-variable cpu=500m")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def _blocks(given: Sequence[str]) -> tuple[str, ...]:
    """Return the blocks of `--notify TYPE/NAME`. Raises Refused."""
    for text in given:
        kind, _, name = text.partition("/")
        if not kind.strip() or not name.strip() or "/" in name:
            raise Refused(
                f"--notify {text}: not TYPE/NAME",
                remedy="write --notify slack-webhook/ops, as `prefect block ls` shows the block",
            )
    return tuple(given)


async def _deploy(
    named: dict[Path, FleetFile],
    pool: str | None,
    queue: str | None,
    variables: dict[str, Any],
    blocks: Sequence[str],
    *,
    prune: bool,
    dry_run: bool,
    yes: bool,
    format_: output.Format,
) -> tuple[Change, ...]:
    await prefect_client.require_server()
    made = await _changes(named, pool, queue, variables, blocks, prune=prune)
    names = [fleet.name for fleet in named.values()]
    todo = _effective(made)
    if format_ is output.Format.TABLE:
        output.emit(*render(made))
    if todo and not dry_run:
        await output.confirm(f"Apply these changes ({summary(todo)})?", yes=yes)
        for change in todo:
            await prefect_client.require_no_runs_left(change)
        for change in todo:
            apply = prefect_client.apply_notification if change.of_automation else prefect_client.apply_deployment
            await apply(change)
            output.say(f"✓ {change.name}: {_done(change)}", style="good")
    await _remarks(names, made, applied=not dry_run)
    if not dry_run:
        await _work_queues(named, made)
    if format_ is output.Format.JSON:
        listed = [await prefect_client.deployment_pages(name) for name in names]
        listed += [await prefect_client.notification_pages()] if any(one.of_automation for one in made) else []
        pages = {name: page for one in listed for name, page in one.items()}
        output.emit_json(document(made, applied=bool(todo) and not dry_run, pages=pages))
    return tuple(made)


async def _changes(
    named: dict[Path, FleetFile],
    pool: str | None,
    queue: str | None,
    variables: dict[str, Any],
    blocks: Sequence[str],
    *,
    prune: bool,
) -> list[Change]:
    """Compare what is wanted with what the server has. Without `--notify` and `--prune`, notifications stay."""
    made: list[Change] = []
    for file, fleet in named.items():
        with located(file):
            wanted = await prefect_client.wanted_deployments(fleet, pool=pool, queue=queue, variables=variables)
            made += changes(wanted, await prefect_client.found_deployments(fleet.name))
    if prune:
        names = {fleet.name for fleet in named.values()}
        for name in await prefect_client.deployed_fleets():
            if name not in names:
                made += changes((), await prefect_client.found_deployments(name))
    if blocks or prune:
        notifications = await prefect_client.wanted_notifications(blocks) if blocks else ()
        made += changes(notifications, await prefect_client.found_notifications())
    return made


def _effective(made: Sequence[Change]) -> list[Change]:
    return [one for one in made if one.kind is not ChangeKind.NOTHING]


def _done(change: Change) -> str:
    return {ChangeKind.CREATE: "created", ChangeKind.REMOVE: "removed"}.get(change.kind, "updated")


async def _work_queues(named: dict[Path, FleetFile], made: Sequence[Change]) -> None:
    """Make the work queues that the fleets name, and say which of them no worker polls."""
    pools = {one.wanted.name: one.wanted.pool for one in made if isinstance(one.wanted, Deployment)}
    for fleet in named.values():
        if (pool := pools.get(fleet.name)) is None:
            continue
        for queue in await prefect_client.work_queues_without_worker(fleet, pool):
            output.say(
                f"warning: no worker polls the work queue {queue} of pool {pool}; its clusters are not planned",
                f"  → prefect worker start --pool {pool} --work-queue {queue}",
                style="warning",
            )


async def _remarks(fleets: Sequence[str], made: Sequence[Change], *, applied: bool) -> None:
    """Say what keeps deployments from running. What a person paused stays paused, and no worker is started."""
    for off in await asyncio.gather(*map(prefect_client.switched_off_deployments, fleets)):
        for name in off:
            output.say(f"note: somebody paused {name}, its schedule or its trigger; it stays paused", style="dim")
    if any(one.of_automation for one in made):
        for name in await prefect_client.switched_off_notifications():
            output.say(f"note: somebody switched {name} off; it stays off", style="dim")
    if applied:
        pools = [one.wanted.pool for one in made if isinstance(one.wanted, Deployment)]
        for pool in await prefect_client.pools_without_worker(pools):
            output.say(
                f"warning: no worker of pool {pool} is online; runs wait for one",
                f"  → prefect worker start --pool {pool}",
                style="warning",
            )
