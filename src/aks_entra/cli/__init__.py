"""The command line `aks-entra`: few verbs, nouns of the domain. Each module registers its own commands.

Starting must be quick: what is heavy (Azure's, Graph's and Prefect's libraries) is imported inside the commands.
"""

from __future__ import annotations

import sys

import typer

from aks_entra.cli import (
    access,
    break_glass,
    doctor,
    gates,
    inventory,
    kubeconfig,
    members,
    migrate,
    output,
    plan,
    provision,
    report,
    rollback,
    up,
    verify,
    version,
)

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

app = typer.Typer(
    name="aks-entra",
    help="Move fleets of AKS clusters to Microsoft Entra ID sign-in, close the local-account backdoor, and prove it.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
)


@app.callback()
def _everything() -> None:
    """Move fleets of AKS clusters to Microsoft Entra ID sign-in, close the local-account backdoor, and prove it."""


def main() -> None:
    """Entry point of `aks-entra`. What a command did not foresee is one message and exit code 1 as well."""
    try:
        with output.guarded():
            app(prog_name="aks-entra")
    except typer.Exit as leaving:
        sys.exit(leaving.exit_code)


for _module in (
    inventory,
    plan,
    migrate,
    gates,
    members,
    verify,
    report,
    provision,
    rollback,
    break_glass,
    access,
    kubeconfig,
    doctor,
    up,
    version,
):
    _module.register(app)
