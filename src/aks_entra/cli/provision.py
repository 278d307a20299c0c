"""`aks-entra provision`: create a cluster with local accounts off and its admin group, through Prefect."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import Annotated, Any

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.cli.local.server import prefect_here
from aks_entra.cli.progress_board import board
from aks_entra.cli.run_endings import unreported
from aks_entra.cli.shown import print_report
from aks_entra.core.verdict.verdict import Outcome


class Tier(StrEnum):
    """Azure's tiers of a cluster's control plane."""

    FREE = "Free"
    STANDARD = "Standard"
    PREMIUM = "Premium"


_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(provision)


def provision(
    *,
    resource_group: Annotated[
        str,
        typer.Option(
            "--resource-group", "-g", metavar="NAME", help="Resource group. It is created if it does not exist."
        ),
    ],
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="Name of the cluster.")],
    location: Annotated[
        str, typer.Option("--location", "-l", metavar="REGION", help="Create the cluster in this Azure region.")
    ],
    admin_group: Annotated[
        list[str],
        typer.Option(
            "--admin-group", metavar="NAME|ID", help="Make this group administrator of the cluster. Can be repeated."
        ),
    ],
    subscription: output.Subscription = None,
    create_group: Annotated[
        bool, typer.Option("--create-group", help="Create admin groups that are given by name and do not exist.")
    ] = False,
    member: Annotated[
        list[str] | None,
        typer.Option(
            "--member",
            metavar="UPN|ID",
            help="Add this member to a group that is created. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    azure_rbac: Annotated[
        bool,
        typer.Option("--azure-rbac/--no-azure-rbac", help="Use Azure RBAC for Kubernetes authorization, or do not."),
    ] = True,
    node_count: Annotated[int, typer.Option("--node-count", "-c", min=1, max=1000, help="Number of nodes.")] = 3,
    node_vm_size: Annotated[
        str | None,
        typer.Option(
            "--node-vm-size", "-s", metavar="SIZE", help="Size of a node. Default: Azure's.", show_default=False
        ),
    ] = None,
    kubernetes_version: Annotated[
        str | None,
        typer.Option("--kubernetes-version", "-k", metavar="VERSION", help="Version of Kubernetes. Default: Azure's."),
    ] = None,
    tier: Annotated[Tier, typer.Option("--tier", help="Pricing tier of the control plane.")] = Tier.STANDARD,
    local: output.Local = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Create a cluster with Microsoft Entra ID on and local accounts off, and prove sign-in.

    The exit code is 0 only if the cluster is verified.
    """
    chosen = subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
    with output.guarded():
        if not chosen:
            output.usage("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
        if member and not create_group:
            output.usage("--member: members are added only to a group that is created", remedy="add --create-group")
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
            await stack.enter_async_context(prefect_here(tell=output.say))
        await prefect_client.require_online(prefect_client.PROVISION_CLUSTER)
        run = await prefect_client.start(prefect_client.PROVISION_CLUSTER, parameters)
        page = prefect_client.page_of(run.id)
        output.say(f"run {run.name} · {page}")
        try:
            with board() as shown:
                async for now in prefect_client.follow(run.id):
                    shown.show(now)
        except asyncio.CancelledError:
            output.say(
                "stopped" if local else f"the run continues: {page} · to cancel it: prefect flow-run cancel {run.id}"
            )
            raise
        report = await prefect_client.report_of(run.id)
        if report is None:
            raise await unreported(run.id)
    print_report(report, format_)
    if any(verdict.outcome is not Outcome.VERIFIED for verdict in report.verdicts):
        raise typer.Exit(output.ExitCode.FAILED)
