"""`aks-entra kubeconfig`: a kubeconfig for one way to sign in, with a command in it and never a credential."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import clusters, output
from aks_entra.cli.planning import read_settings
from aks_entra.core.kubelogin import ENVIRONMENT, Mode, SignIn, arguments, refusal
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.kubeconfig import Entry


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Write a kubeconfig for kubelogin, without any static credential.")(kubeconfig)


def kubeconfig(
    *,
    resource_group: Annotated[str, typer.Option("--resource-group", "-g", metavar="NAME", help="Resource group.")],
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="Name of the cluster.")],
    mode: Annotated[
        Mode, typer.Option("--mode", help="How kubelogin signs in; devicecode fails under device policies.")
    ] = Mode.INTERACTIVE,
    client_id: Annotated[
        str, typer.Option("--client-id", metavar="ID", help="Application or managed identity to sign in as.")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Default: KUBECONFIG, else ~/.kube/config; - prints it."),
    ] = None,
    context: Annotated[str, typer.Option("--context", metavar="NAME", help="Default: the cluster's name.")] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite-existing", help="Replace a different entry of the same name.")
    ] = False,
    subscription: output.Subscription = None,
) -> None:
    """Write a kubeconfig that asks kubelogin for a token each time; merged into the file that is there, mode 0600."""
    from aks_entra import kubeconfig as files  # noqa: PLC0415 - startup is quick without it

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
    from aks_entra.kubeconfig import Entry  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    async with open_session(read_settings()) as session:
        ports = session.ports
        cluster = await clusters.found(ports.arm, named, subscription)
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
