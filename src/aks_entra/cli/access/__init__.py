"""`aks-entra access …`: who gets into a cluster, why, for how long, and under which policy."""

from __future__ import annotations

from typing import ClassVar

import typer

from aks_entra.cli.lazy_group import Command, LazyGroup

_EXPLAIN, _GRANTS, _GROUPS = (f"aks_entra.cli.access.{name}" for name in ("explain", "grants", "groups"))
_TO, _FOR, _OF = {"--for-whom": "--to"}, {"--for": "--duration"}, {"--of": "--user"}


class _Commands(LazyGroup):
    table: ClassVar = {
        "explain": Command(_EXPLAIN, "Explain why a person can or cannot get in, or do something."),
        "grant": Command(_GRANTS, "Give access now, for a time, without an approval.", _TO | _FOR),
        "request": Command(_GRANTS, "Ask for access. It is given once another person approves it.", _TO | _FOR),
        "revoke": Command(_GRANTS, "End all grants that a person or group has on a cluster.", _TO),
        "list": Command(_GRANTS, "List what was granted, to whom and until when."),
        "sweep": Command(_GRANTS, "End every grant whose time is over."),
        "create-group": Command(_GROUPS, "Create a role-assignable group for just-in-time access."),
        "policy": Command(_GROUPS, "Show or set what an activation requires."),
        "assign": Command(_GROUPS, "Make a user an eligible or active member, for a time.", _FOR),
        "activate": Command(_GROUPS, "Activate your own membership.", _FOR),
        "deactivate": Command(_GROUPS, "End a membership.", _OF),
        "prove-end": Command(_GROUPS, "Prove that a membership is over.", _OF),
        "approve": Command(_GROUPS, "Decide on a request, or list the requests that wait for you."),
        "conditional-access": Command(
            "aks_entra.cli.access.conditional_access", "Write or show a Conditional Access policy.", _OF
        ),
    }


access = typer.Typer(
    name="access",
    cls=_Commands,
    help="Explain, grant, request, approve, end and list access to clusters.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(access)
