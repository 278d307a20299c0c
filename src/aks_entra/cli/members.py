"""`aks-entra skip` and `aks-entra stop`: leave one member of a rollout out, or stop the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.migrate import Approver, signed_in
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.core.plan import FleetPlan

Run = Annotated[str, typer.Argument(metavar="RUN", help="The rollout's run: the beginning of its id, or its name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(skip)
    app.command()(stop)


def skip(
    run: Run,
    clusters: Annotated[list[str], typer.Argument(metavar="CLUSTER...", help="Names, or resource-group/name.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the report.")],
    approver: Approver = None,
) -> None:
    """Leave clusters out of a rollout that goes on, from their next turn on."""
    output.run(_skip(run, clusters, reason=reason, approver=approver))


def stop(run: Run) -> None:
    """Stop a rollout: what Azure has begun goes on there, and each cluster's verdict says where it stands."""
    output.run(_stop(run))


async def _skip(run: str, clusters: list[str], *, reason: str, approver: str | None) -> None:
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    await prefect_client.require_server()
    plan = await plan_of_run(run)
    await leave_out(plan, clusters, reason=reason, by=approver or await signed_in())


async def leave_out(plan: FleetPlan, clusters: list[str], *, reason: str, by: str) -> None:
    """Note that members are skipped, and say so. Refused before anything is noted when one is not of the plan."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    if not reason.strip():
        raise Refused("a member is skipped for a reason", remedy="add --reason; it stands in the report")
    for cluster in [prefect_client.member_of(plan, name) for name in clusters]:
        await prefect_client.skip(plan, cluster, by=by, reason=reason)
        output.say(f"✓ {cluster} is skipped ({reason})", style="good")


async def try_again(plan: FleetPlan, clusters: list[str], *, by: str) -> None:
    """Note that members are tried again, and say so."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    for cluster in [prefect_client.member_of(plan, name) for name in clusters]:
        await prefect_client.retry(plan, cluster, by=by)
        output.say(f"✓ {cluster} is tried again", style="good")


async def _stop(run: str) -> None:
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    await prefect_client.require_server()
    found = await prefect_client.find_run(run)
    for name in await prefect_client.stop(found.id):
        output.say(f"stopping {name}")
    output.say(f"go on later: aks-entra migrate --resume {str(found.id)[:8]}")


async def plan_of_run(run: str) -> FleetPlan:
    """The plan that a run carries out. Refused when it has none yet."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    found = await prefect_client.find_run(run)
    digest = await prefect_client.noted_plan(found.id)
    if digest is None:
        raise Refused(f"run {found.name} has no plan yet", remedy="wait until it has one")
    return await prefect_client.load_plan(digest)
