"""`aks-entra break-glass`: open local accounts for a limited time, then prove sign-in and close them.

It works in this process alone, because nothing else may be running when it is needed. If a Prefect server answers, a
record of the opening is stored there before the write. If this process dies, the scheduled sweep closes the accounts.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from aks_entra.cli import output
from aks_entra.cli.break_glass.request import Request
from aks_entra.cli.break_glass.session import fits, open_or_close

_DURATION: Final = re.compile(
    r"(?:(?P<hours>\d{1,2})h)?(?:(?P<minutes>\d{1,4})m)?(?:(?P<seconds>\d{1,5})s)?", re.IGNORECASE
)
_SHORTEST, _LONGEST = timedelta(seconds=10), timedelta(hours=24)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("break-glass")(break_glass)


def break_glass(
    cluster: Annotated[
        str,
        typer.Argument(
            metavar="CLUSTER",
            help="`resource-group/name`, the cluster's ARM id, or a name that is unique in the subscription.",
        ),
    ],
    *,
    lasting: Annotated[
        str | None,
        typer.Option(
            "--duration", metavar="TIME", help="Open for this long: 10s to 24h, as in 1h30m.", show_default=False
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Give the reason. It is recorded in a tag of the cluster.")
    ] = "",
    ticket: Annotated[
        str, typer.Option("--ticket", metavar="ID", help="Give the number of a ticket. It is recorded in a tag too.")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Write the admin kubeconfig to this new file. Default: NAME.kubeconfig, "
            "or no file if the accounts are open already.",
            show_default=False,
        ),
    ] = None,
    approval: Annotated[
        Path | None,
        typer.Option(
            "--approval",
            metavar="FILE",
            help="The signed approval of exactly this opening, where AKS_ENTRA_ACCESS_APPROVERS names approvers.",
            show_default=False,
        ),
    ] = None,
    close: Annotated[bool, typer.Option("--close", help="Prove sign-in, and close the accounts now.")] = False,
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="Return once accounts are open. The scheduled sweep, or --close, closes them."),
    ] = False,
    fleet: Annotated[
        Path | None,
        typer.Option(
            "--fleet",
            metavar="FLEET.yaml",
            help="Prove sign-in as the prover of this fleet file. Default: the identity that runs this.",
            show_default=False,
        ),
    ] = None,
    subscription: output.Subscription = None,
    yes: output.Yes = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Open local accounts for a limited time, write the admin kubeconfig to a file, and close the accounts at the end.

    Before it closes the accounts, it proves that sign-in works. If sign-in fails, the accounts stay open, and the exit
    code is 1. The kubeconfig works until the certificates are rotated, so a rotation must follow.

    This cannot help if Microsoft Entra ID itself is down, because Azure's API needs it too.
    """
    with output.guarded():
        if close == (lasting is not None):
            output.usage(
                "neither or both of --duration and --close were given",
                remedy="give --duration 45m and --reason, or --close",
            )
        if lasting is not None and not reason.strip():
            output.usage(
                "opening local accounts needs a reason", remedy="add --reason, which a tag of the cluster shows"
            )
        request = Request(
            cluster=cluster,
            subscription=subscription or os.environ.get("AZURE_SUBSCRIPTION_ID"),
            lasting=_duration(lasting) if lasting is not None else None,
            reason=fits("--reason", reason.strip()),
            ticket=fits("--ticket", ticket.strip()),
            file=file,
            fleet=fleet,
            wait=not no_wait,
            format_=format_,
            approval=approval,
        )
    if not close:
        question = f"Open local accounts of {cluster} for {lasting}? The certificates must be rotated afterwards."
        output.run(output.confirm(question, yes=yes))
    output.run(open_or_close(request))


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text.strip())
    length = (
        timedelta(**{unit: int(match[unit] or 0) for unit in ("hours", "minutes", "seconds")})
        if match and text.strip()
        else None
    )
    if length is None or not _SHORTEST <= length <= _LONGEST:
        output.usage(
            f"--duration {text}: not a duration between 10 seconds and 24 hours", remedy="write 45m, 2h or 1h30m"
        )
    return length
