"""`aks-entra approvals setup`: the app registration through which people sign approvals."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from aks_entra.cli import output

NAME: Final = "aks-entra approvals"
GRAPH: Final = "00000003-0000-0000-c000-000000000000"
"""The appId of Microsoft Graph, to which the OpenID permissions belong."""

approvals = typer.Typer(
    name="approvals",
    help="Print what signed approvals need in Microsoft Entra ID.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(approvals)


@approvals.callback()
def _group() -> None:
    """Print what signed approvals need in Microsoft Entra ID."""


@approvals.command()
def setup(
    *,
    name: Annotated[
        str, typer.Option("--name", "-n", callback=output.typed, metavar="NAME", help="Name of the app registration.")
    ] = NAME,
) -> None:
    """Print the commands that make the app registration, and the lines for the fleet file. It changes nothing.

    The application is a public client without a secret or a permission beyond `openid` and `profile`. Its ID tokens
    name the groups of the person.
    """
    output.emit_lines(*_lines(name))


def _lines(name: str) -> tuple[str, ...]:
    quoted = "'" + name.replace("'", "'\\''") + "'"
    return (
        "# With the role Application Administrator, or as a user who may register applications:",
        f"app=$(az ad app create --display-name {quoted} --sign-in-audience AzureADMyOrg \\",
        "  --public-client-redirect-uris http://localhost --query appId -o tsv)",
        'az ad app update --id "$app" --set groupMembershipClaims=SecurityGroup',
        'az ad sp create --id "$app"',
        "# Consent for everybody, with the role Cloud Application Administrator. Or each person consents once:",
        f'az ad app permission grant --id "$app" --api {GRAPH} --scope "openid profile"',
        "",
        "# In the fleet file, under `rollout`:",
        "approvers:",
        "  tenant_id: …   # az account show --query tenantId -o tsv",
        "  client_id: …   # echo $app",
        "  groups: […]    # az ad group show --group NAME --query id -o tsv",
        "  at_least: 1",
        "  not: requester",
    )
