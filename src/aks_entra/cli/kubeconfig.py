"""`aks-entra kubeconfig`: write a kubeconfig that calls kubelogin, and never holds a credential."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from aks_entra.cli import cluster_argument, output
from aks_entra.cli.deferred import wiring
from aks_entra.cli.plan_input import read_settings
from aks_entra.core.access.kubelogin import ENVIRONMENT, Mode, SignIn, arguments, refusal
from aks_entra.doctor import kubeconfig_file as files
from aks_entra.doctor.kubeconfig_file import Entry
from aks_entra.errors import Refused


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(kubeconfig)


def kubeconfig(
    *,
    resource_group: Annotated[
        str, typer.Option("--resource-group", "-g", metavar="NAME", help="Resource group of the cluster.")
    ],
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="Name of the cluster.")],
    mode: Annotated[
        Mode, typer.Option("--login", help="Let kubelogin sign in this way. Device policies refuse devicecode.")
    ] = Mode.INTERACTIVE,
    client_id: Annotated[
        str, typer.Option("--client-id", metavar="ID", help="Sign in as this application or managed identity.")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Write to this file; use - to print. Default: $KUBECONFIG, or ~/.kube/config.",
        ),
    ] = None,
    context: Annotated[
        str, typer.Option("--context", metavar="NAME", help="Name of the context. Default: the cluster's name.")
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite-existing", help="Replace an existing entry of the same name.")
    ] = False,
    subscription: output.Subscription = None,
) -> None:
    """Write a kubeconfig that gets its tokens from kubelogin. It is merged into an existing file."""
    entry = output.run(_entry(f"{resource_group}/{name}", subscription, mode, client_id, context))
    if file is not None and str(file) == "-":
        output.emit_text(files.merged("", entry, overwrite=True))
        return
    with output.guarded():
        target = file or files.default_file()
        files.write(target, entry, overwrite=overwrite)
    output.say(f'Merged "{entry.named}" as current context in {target}')
    for need in ENVIRONMENT.get(mode, ()):
        output.say(f"  {mode.value} needs {need}")
    if shutil.which("kubelogin") is None:
        output.say("  kubelogin is not on PATH: az aks install-cli", style="warning")


async def _entry(named: str, subscription: str | None, mode: Mode, client_id: str, context: str) -> Entry:
    async with wiring.open_session(read_settings()) as session:
        ports = session.ports
        cluster = await cluster_argument.found(ports.arm, named, subscription)
        posture = await ports.arm.cluster(cluster)
        why, remedy = refusal(posture)
        if why:
            raise Refused(why, remedy=remedy, code="NoKubeconfig")
        await ports.arm.certificate_authority(cluster)
        ca_pem = ports.vault.authority(cluster)
        tenant = posture.tenant_id or await ports.arm.tenant_of(cluster.subscription_id)
    return Entry(
        cluster=cluster,
        server=f"https://{posture.fqdn}:443",
        ca_pem=ca_pem or "",
        arguments=arguments(SignIn(mode=mode, tenant_id=tenant, client_id=client_id)),
        context=context,
    )
