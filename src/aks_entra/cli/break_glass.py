"""`aks-entra break-glass`: local accounts open for a stated time, the kubeconfig in one place, closed after a proof.

Works in this process alone: on the day it is needed nothing else may be up. Until when stands on the cluster, so that
the scheduled sweep (or `--close`) closes where this process has died.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from aks_entra.cli import output
from aks_entra.cli.glass import Request, at_the_glass, fits

_DURATION: Final = re.compile(
    r"(?:(?P<hours>\d{1,2})h)?(?:(?P<minutes>\d{1,4})m)?(?:(?P<seconds>\d{1,5})s)?", re.IGNORECASE
)
_SHORTEST, _LONGEST = timedelta(seconds=10), timedelta(hours=24)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("break-glass", short_help="Open local accounts for a stated time, and close them after a proof.")(
        break_glass
    )


def break_glass(  # noqa: PLR0913 - one parameter for each option
    cluster: Annotated[
        str, typer.Argument(metavar="CLUSTER", help="RESOURCE-GROUP/NAME, a name that is there once, or the ARM id.")
    ],
    *,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="45m|1h30m", help="How long: seconds to a day.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands on the cluster.")] = "",
    ticket: Annotated[str, typer.Option("--ticket", metavar="ID", help="A ticket; it stands there too.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where the admin kubeconfig goes: a new file. Default: NAME.kubeconfig; none for one more `--for`.",
            show_default=False,
        ),
    ] = None,
    close: Annotated[bool, typer.Option("--close", help="Prove sign-in and close now.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave once it is open: the scheduled sweep, or --close, closes it.")
    ] = False,
    fleet: Annotated[
        Path | None,
        typer.Option(
            "--fleet", metavar="FLEET.yaml", help="Whose prover proves sign-in. Default: who runs.", show_default=False
        ),
    ] = None,
    subscription: output.Subscription = None,
    yes: output.Yes = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Open local accounts of a closed cluster for a stated time, hand out the admin kubeconfig, and close again.

    At the end sign-in is proven first. Where it still fails, accounts stay open and this says so (exit code 1). From
    then on a rotation is owed: what was handed out works until the certificates are rotated.

    It cannot help when Microsoft Entra ID itself is down: Azure's API needs it too.
    """
    with output.guarded():
        if close == (lasting is not None):
            output.usage("open it or close it?", remedy="give --for 45m and --reason, or --close")
        if lasting is not None and not reason.strip():
            output.usage("why?", remedy="give --reason: it stands on the cluster as long as it is open")
        request = Request(
            cluster=cluster,
            subscription=subscription or os.environ.get("AZURE_SUBSCRIPTION_ID"),
            lasting=_duration(lasting) if lasting is not None else None,
            reason=fits("--reason", reason.strip()),
            ticket=fits("--ticket", ticket.strip()),
            out=out,
            fleet=fleet,
            wait=not no_wait,
            format_=format_,
        )
        if not close:
            output.confirm(f"Open local accounts of {cluster} for {lasting}? A rotation is owed afterwards.", yes=yes)
    output.run(at_the_glass(request))


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text.strip())
    length = (
        timedelta(**{unit: int(match[unit] or 0) for unit in ("hours", "minutes", "seconds")})
        if match and text.strip()
        else None
    )
    if length is None or not _SHORTEST <= length <= _LONGEST:
        output.usage(f"--for {text}: not a time between 10 seconds and a day", remedy="write 45m, 2h or 1h30m")
    return length
