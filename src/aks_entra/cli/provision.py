"""`aks-entra provision`: create a cluster with local accounts off and its admin group, through Prefect."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from aks_entra.cli import cluster_input, output
from aks_entra.cli.cluster_input import Asked, Request
from aks_entra.cli.deferred import cluster_body, prefect_client, wiring
from aks_entra.cli.local.server import prefect_here
from aks_entra.cli.plan_input import read_settings
from aks_entra.cli.progress_board import board
from aks_entra.cli.run_endings import unreported
from aks_entra.cli.shown import print_report
from aks_entra.core.creation.preview import Course, Preview
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.execution.creation_preview import preview
from aks_entra.planning.admin_groups import resolve_groups
from aks_entra.report import creation_text


class Tier(StrEnum):
    """Azure's tiers of a cluster's control plane."""

    FREE = "Free"
    STANDARD = "Standard"
    PREMIUM = "Premium"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(provision)


def provision(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CLUSTER.yaml]", help="The cluster file. Use - to read standard input.", show_default=False
        ),
    ] = None,
    *,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE.json",
            help="Create a cluster like this ARM document: what `az aks show -o json` prints, or a template.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be created and what stands against it. Write nothing.")
    ] = False,
    resource_group: Annotated[
        str | None,
        typer.Option(
            "--resource-group",
            "-g",
            metavar="NAME",
            help="Resource group. It is created if it does not exist.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="Name of the cluster.", show_default=False)
    ] = None,
    location: Annotated[
        str | None,
        typer.Option(
            "--location", "-l", metavar="REGION", help="Create the cluster in this Azure region.", show_default=False
        ),
    ] = None,
    admin_group: Annotated[
        list[str] | None,
        typer.Option(
            "--admin-group",
            metavar="NAME|ID",
            help="Make this group administrator of the cluster. Can be repeated.",
            show_default=False,
        ),
    ] = None,
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
        bool, typer.Option("--azure-rbac/--no-azure-rbac", help="Azure RBAC is always on.", hidden=True)
    ] = True,
    node_count: Annotated[
        int | None,
        typer.Option("--node-count", "-c", min=1, max=1000, help="Number of nodes. Default: 3.", show_default=False),
    ] = None,
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
    tier: Annotated[
        Tier | None,
        typer.Option("--tier", help="Pricing tier of the control plane. Default: Standard.", show_default=False),
    ] = None,
    work_queue: Annotated[
        str | None,
        typer.Option(
            "--work-queue",
            metavar="NAME",
            help="Let workers of this queue create and prove it: those in the network of a private API server.",
            show_default=False,
        ),
    ] = None,
    local: output.Local = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Create a cluster with Microsoft Entra ID on and local accounts off, and prove sign-in.

    Describe it in a cluster file, by an ARM document (--from), or with options. The exit code is 0 only if the cluster
    is verified.
    """
    asked = Asked(
        subscription=subscription or os.environ.get("AZURE_SUBSCRIPTION_ID"),
        resource_group=resource_group,
        name=name,
        location=location,
        admin_groups=tuple(admin_group or ()),
        create_group=create_group,
        members=tuple(member or ()),
        node_count=node_count,
        node_vm_size=node_vm_size,
        kubernetes_version=kubernetes_version,
        tier=tier.value if tier else None,
    )
    with output.guarded():
        if file is not None and from_ is not None:
            output.usage("a cluster file and --from both describe the cluster", remedy="leave one of the two out")
        if member and not create_group:
            output.usage("--member: members are added only to a group that is created", remedy="add --create-group")
        if not azure_rbac:
            output.usage(
                "--no-azure-rbac: Azure RBAC is on in every cluster that is created here", remedy="leave it out"
            )
        request = _request(file, from_, asked).with_queue(work_queue)
    if dry_run:
        output.run(_dry_run(request, format_))
        return
    for note in request.notes:
        output.say(f"note: {note}", style="warning")
    output.run(_provision(request, local=local, format_=format_))


def _request(file: Path | None, document: Path | None, asked: Asked) -> Request:
    if file is not None:
        return cluster_input.from_file(file, asked)
    if document is not None:
        return cluster_input.from_document(document, asked)
    return cluster_input.from_options(asked)


async def _dry_run(request: Request, format_: output.Format) -> None:
    with request.located():
        found = await _preview(request)
    if format_ is output.Format.JSON:
        output.emit_json(creation_text.document_of(found, request.notes, request.place))
    else:
        output.emit(*creation_text.render(found, request.notes, request.place))
    if found.course is Course.REFUSE:
        raise typer.Exit(output.ExitCode.REFUSED)


async def _preview(request: Request) -> Preview:
    cluster = request.cluster
    async with wiring.open_session(read_settings(), look_only=True) as session:
        ports = session.ports
        prover = await ports.callers.prover()
        subscription_id = await ports.arm.subscription_id(cluster.subscription)
        wanted = tuple(group.to_wanted() for group in cluster.admin_groups)
        groups = await resolve_groups(ports.directory, wanted, prover.object_id)
        known = tuple(group.id for group in groups if group.id)
        new = cluster_body.new_cluster_of(cluster, subscription_id, await ports.arm.tenant_of(subscription_id), known)
        return await preview(ports.arm, new, groups_known=len(known) == len(groups))


async def _provision(request: Request, *, local: bool, format_: output.Format) -> None:
    cluster = request.cluster
    parameters: dict[str, Any] = {"cluster": cluster.model_dump(mode="json", exclude_defaults=True)}
    parameters["cluster"] |= {"version": 1, "kind": "cluster"}
    async with AsyncExitStack() as stack:
        if local:
            await stack.enter_async_context(prefect_here(tell=output.say))
        await prefect_client.require_online(prefect_client.PROVISION_CLUSTER)
        run = await prefect_client.start(
            prefect_client.PROVISION_CLUSTER, parameters, work_queue=None if local else cluster.work_queue
        )
        page = prefect_client.page_of(run.id)
        output.say(f"run {run.name} · {page}")
        try:
            with board(format_) as shown:
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
    named = report.verdicts[0].cluster
    output.say(
        f"to sign in: aks-entra kubeconfig -g {named.resource_group} -n {named.name} "
        f"--subscription {named.subscription_id}, then kubectl get nodes"
    )
