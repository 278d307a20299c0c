"""The command line `aks-entra`. The module of a command is imported when that command is called."""

from __future__ import annotations

import sys
from typing import Annotated, ClassVar

import typer

from aks_entra.cli import output, version
from aks_entra.cli.lazy_group import Command, LazyGroup

EPILOG = """\b
Exit codes:
  0    done, or verified
  1    something failed, or a cluster is not verified
  2    wrong usage, bad input, or refused before anything was written
  130  interrupted with Ctrl-C (143 with SIGTERM)
  `plan --detailed-exitcode`: 0 nothing to do, 1 error, 2 there are changes
\b
A first day:
  aks-entra inventory --subscription prod-eu --probe
  aks-entra plan fleet.yaml --out plan.json
  aks-entra migrate plan.json
  aks-entra verify plan.json
"""


_FOR, _FILE, _MODE = {"--for": "--duration"}, {"--out": "--file"}, {"--mode": "--login"}


class _Commands(LazyGroup):
    table: ClassVar = {
        "inventory": Command(
            "aks_entra.cli.inventory", "Show how people sign in to each cluster, and what old credentials open."
        ),
        "plan": Command("aks_entra.cli.plan", "Show what a migration would change. This is the dry run."),
        "migrate": Command("aks_entra.cli.migrate", "Migrate a fleet: stages, gates, batches, verdicts."),
        "approve": Command("aks_entra.cli.approving", "Approve or reject plans at gates."),
        "sign": Command("aks_entra.cli.signing", "Sign an approval at Microsoft Entra ID, and print its code."),
        "approvals": Command("aks_entra.cli.approvals", "Print what signed approvals need in Microsoft Entra ID."),
        "gates": Command("aks_entra.cli.gates", "List the runs that wait for an approval or for a time."),
        "metrics": Command("aks_entra.cli.metrics", "Serve gates, verdicts, rotations and break-glass to Prometheus."),
        "skip": Command("aks_entra.cli.skip_and_stop", "Leave clusters out of a rollout that is running."),
        "stop": Command("aks_entra.cli.skip_and_stop", "Stop a rollout. It can be resumed later."),
        "verify": Command("aks_entra.cli.verify", "Check each cluster from outside, and say what is proven."),
        "report": Command("aks_entra.cli.report", "Show a report, or write it as HTML, JUnit, SARIF, CSV or JSON."),
        "provision": Command("aks_entra.cli.provision", "Create a cluster with Entra ID on and local accounts off."),
        "rollback": Command(
            "aks_entra.cli.rollback", "Undo the reversible parts of a migration.", {"--here": "--local"}
        ),
        "break-glass": Command(
            "aks_entra.cli.break_glass", "Open local accounts for a limited time, then close them.", _FOR | _FILE
        ),
        "doors": Command("aks_entra.cli.doors", "Show the other ways into a cluster, and who can use them."),
        "whose": Command("aks_entra.cli.whose", "Say which cluster a leaked credential belongs to, and if it is dead."),
        "records": Command("aks_entra.cli.records", "Check, list, export, import and prune the store of records."),
        "access": Command("aks_entra.cli.access", "Explain, grant, request and end access to clusters."),
        "kubeconfig": Command(
            "aks_entra.cli.kubeconfig", "Write a kubeconfig for kubelogin, without a credential.", _MODE
        ),
        "doctor": Command("aks_entra.cli.doctor", "Check az, kubectl, kubelogin, helm, network, clock and tenant."),
        "up": Command("aks_entra.cli.up", "Run a Prefect server, the flows and a worker on this machine."),
        "deploy": Command("aks_entra.cli.deploy", "Make or update the Prefect deployments of fleets."),
        "request": Command("aks_entra.cli.request", "Ask Prefect for a run of a fleet, by an event."),
        "demo": Command("aks_entra.cli.demo", "Migrate a made-up fleet on this machine. It needs no Azure."),
        "version": Command("aks_entra.cli.version", "Print the version."),
    }


app = typer.Typer(
    name="aks-entra",
    cls=_Commands,
    help="Move fleets of AKS clusters to Microsoft Entra ID sign-in, close the local-account backdoor, and prove it.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        version.version()
        raise typer.Exit


@app.callback()
def _everything(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Move fleets of AKS clusters to Microsoft Entra ID sign-in, close the local-account backdoor, and prove it."""


def main() -> None:
    """Run `aks-entra`. An unexpected error is also printed as one message, and ends with exit code 1."""
    try:
        with output.guarded():
            app(prog_name="aks-entra")
    except typer.Exit as leaving:
        sys.exit(leaving.exit_code)
