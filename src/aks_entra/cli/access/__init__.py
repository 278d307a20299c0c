"""`aks-entra access …`: who gets into a cluster, why, for how long, and under which policy."""

from __future__ import annotations

import typer

from aks_entra.cli.access import conditional_access, explain, grants, groups

access = typer.Typer(
    name="access",
    help="Who gets in, why, and for how long: explain, grant, request, activate, approve, revoke, list.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(access)


for _module in (explain, grants, groups, conditional_access):
    _module.register(access)
