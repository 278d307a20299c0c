"""`aks-entra skip` and `aks-entra stop`: leave clusters out of a rollout, or stop all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.decision import Approver, signed_in
from aks_entra.cli.deferred import prefect_client
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import FleetPlan

Run = Annotated[str, typer.Argument(metavar="RUN", help="The beginning of the run's id, or its name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(skip)
    app.command()(stop)


def skip(
    run: Run,
    clusters: Annotated[
        list[str],
        typer.Argument(metavar="CLUSTER", help="Name of a cluster, or `resource-group/name`. Can be repeated."),
    ],
    *,
    reason: Annotated[
        str, typer.Option("--reason", callback=output.typed, metavar="TEXT", help="Give the reason. It is recorded.")
    ],
    approver: Approver = None,
) -> None:
    """Leave clusters out of a rollout that is running, from their next turn on."""
    output.run(_skip(run, clusters, reason=reason, approver=approver))


def stop(run: Run) -> None:
    """Stop a rollout. Azure completes what it has begun; each cluster's verdict says how far it got."""
    output.run(_stop(run))


async def _skip(run: str, clusters: list[str], *, reason: str, approver: str | None) -> None:
    await prefect_client.require_server()
    plan = await plan_of_run(run)
    await leave_out(plan, clusters, reason=reason, by=approver or await signed_in())


async def leave_out(plan: FleetPlan, clusters: list[str], *, reason: str, by: str) -> None:
    """Record that clusters are skipped. Raises Refused, before anything is recorded, if one is not in the plan."""
    if not reason.strip():
        raise Refused("skipping a cluster needs a reason", remedy="add --reason; the report contains it")
    for cluster in [prefect_client.member_of(plan, name) for name in clusters]:
        await prefect_client.skip(plan, cluster, by=by, reason=reason)
        output.say(f"✓ {cluster} will be skipped ({reason})", style="good")


async def try_again(plan: FleetPlan, clusters: list[str], *, by: str) -> None:
    """Record that clusters are tried again. Raises Refused if one is not in the plan."""
    for cluster in [prefect_client.member_of(plan, name) for name in clusters]:
        await prefect_client.retry(plan, cluster, by=by)
        output.say(f"✓ {cluster} will be tried again", style="good")


async def _stop(run: str) -> None:
    await prefect_client.require_server()
    found = await prefect_client.find_run(run)
    for name in await prefect_client.stop(found.id):
        output.say(f"stopping {name}")
    output.say(f"to continue later: aks-entra migrate --resume {str(found.id)[:8]}")


async def plan_of_run(run: str) -> FleetPlan:
    """Return the plan that a run carries out. Raises Refused if it has none yet."""
    found = await prefect_client.find_run(run)
    digest = await prefect_client.noted_plan(found.id)
    if digest is None:
        raise Refused(f"run {found.name} has no plan yet", remedy="wait until it has one")
    return await prefect_client.load_plan(digest)
