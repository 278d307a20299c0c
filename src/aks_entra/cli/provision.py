"""`aks-entra provision`: a cluster that is closed from its first day, with its admin group, through Prefect."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import Annotated, Any

import typer

from aks_entra.cli import output


class Tier(StrEnum):
    """Azure's tiers of a cluster's control plane."""

    FREE = "Free"
    STANDARD = "Standard"
    PREMIUM = "Premium"


_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(provision)


def provision(  # noqa: PLR0913 - one parameter for each option
    *,
    resource_group: Annotated[
        str, typer.Option("--resource-group", "-g", metavar="NAME", help="Created unless it exists.")
    ],
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="Name of the cluster.")],
    location: Annotated[str, typer.Option("--location", "-l", metavar="REGION", help="Azure region.")],
    admin_group: Annotated[
        list[str],
        typer.Option("--admin-group", metavar="NAME|ID", help="Who administers the cluster; several by repeating it."),
    ],
    subscription: output.Subscription = None,
    create_group: Annotated[
        bool, typer.Option("--create-group", help="Create admin groups that are given by name and do not exist.")
    ] = False,
    member: Annotated[
        list[str] | None,
        typer.Option("--member", metavar="UPN|ID", help="First member of a group to create.", show_default=False),
    ] = None,
    azure_rbac: Annotated[
        bool, typer.Option("--azure-rbac/--no-azure-rbac", help="Azure RBAC for Kubernetes authorization.")
    ] = True,
    node_count: Annotated[int, typer.Option("--node-count", "-c", min=1, max=1000, help="Nodes.")] = 3,
    node_vm_size: Annotated[
        str | None, typer.Option("--node-vm-size", "-s", metavar="SIZE", help="Default: Azure's.", show_default=False)
    ] = None,
    kubernetes_version: Annotated[
        str | None, typer.Option("--kubernetes-version", "-k", metavar="VERSION", help="Default: Azure's.")
    ] = None,
    tier: Annotated[Tier, typer.Option("--tier", help="What Azure charges and promises.")] = Tier.STANDARD,
    local: Annotated[
        bool, typer.Option("--local", help="Start Prefect's server and a worker here, for this command only.")
    ] = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Create a cluster with Microsoft Entra ID on and local accounts off, and prove sign-in.

    Exit code 0 only when it is verified.
    """
    chosen = subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
    with output.guarded():
        if not chosen:
            output.usage("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
        if member and not create_group:
            output.usage("--member: only a group that is created gets first members", remedy="add --create-group")
    parameters = {
        "subscription": chosen,
        "resource_group": resource_group,
        "name": name,
        "location": location,
        "admin_groups": [_group(one, create=create_group, members=member or []) for one in admin_group],
        "azure_rbac": azure_rbac,
        "nodes": node_count,
        "node_vm_size": node_vm_size,
        "version": kubernetes_version,
        "tier": tier.value,
    }
    output.run(_provision(parameters, local=local, format_=format_))


def _group(text: str, *, create: bool, members: list[str]) -> dict[str, Any]:
    if _GUID.fullmatch(text):
        return {"id": text}
    return {"name": text, "create": True, "members": members} if create else {"name": text}


async def _provision(parameters: dict[str, Any], *, local: bool, format_: output.Format) -> None:
    async with AsyncExitStack() as stack:
        if local:
            from aks_entra.cli.local import prefect_here  # noqa: PLC0415 - only where it is asked for

            await stack.enter_async_context(prefect_here(tell=output.say))
        from aks_entra import prefect_client  # noqa: PLC0415 - after its environment was set; it takes a second
        from aks_entra.cli.board import board  # noqa: PLC0415 - startup is quick without it
        from aks_entra.cli.migrate import print_report, unreported  # noqa: PLC0415 - as above
        from aks_entra.core.verdict import Outcome  # noqa: PLC0415 - as above

        await prefect_client.require_online(prefect_client.PROVISION_CLUSTER)
        run = await prefect_client.start(prefect_client.PROVISION_CLUSTER, parameters)
        page = prefect_client.page_of(run.id)
        output.say(f"run {run.name} · {page}")
        try:
            with board() as shown:
                async for now in prefect_client.follow(run.id):
                    shown.show(now)
        except asyncio.CancelledError:
            output.say("stopped" if local else f"the run goes on: {page} · cancel: prefect flow-run cancel {run.id}")
            raise
        report = await prefect_client.report_of(run.id)
        if report is None:
            raise await unreported(run.id)
    print_report(report, format_)
    if any(verdict.outcome is not Outcome.VERIFIED for verdict in report.verdicts):
        raise typer.Exit(output.ExitCode.FAILED)
