"""`aks-entra approvals setup | sign`: the app registration of signed approvals, and approvals in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aks_entra.cli import output
from aks_entra.cli.decision import Reason, Ticket, at_most
from aks_entra.cli.deferred import wiring
from aks_entra.cli.plan_input import write_new
from aks_entra.cli.signing import NoBrowser, browser_here, sign_request
from aks_entra.documents import dump_signed_approval, load_signed_request
from aks_entra.errors import Refused
from aks_entra.settings import Settings

if TYPE_CHECKING:
    from aks_entra.core.planning.signed_request import SignedRequest

NAME: Final = "aks-entra approvals"
GRAPH: Final = "00000003-0000-0000-c000-000000000000"
"""The appId of Microsoft Graph, to which the OpenID permissions belong."""
SCOPE: Final = f'--api {GRAPH} --scope "openid profile"'

approvals = typer.Typer(
    name="approvals",
    help="Sign break-glass requests, and print what signed approvals need in Entra ID.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(approvals)


@approvals.callback()
def _group() -> None:
    """Sign break-glass requests, and print what signed approvals need in Entra ID."""


@approvals.command()
def setup(
    *,
    name: Annotated[
        str, typer.Option("--name", "-n", callback=at_most(256), metavar="NAME", help="Name of the app registration.")
    ] = NAME,
    create: Annotated[
        bool, typer.Option("--create", help="Make the app registration, unless there is one, and print its ids.")
    ] = False,
    yes: output.Yes = False,
) -> None:
    """Print the commands that make the app registration, and the lines for the fleet file. It changes nothing.

    With --create it makes the registration with your own rights (Application Administrator, or a user who may register
    applications). One that exists is never changed: compare its owners before you name it in a fleet file.

    The application is a public client without a secret or a permission beyond `openid` and `profile`. Its ID tokens
    name the groups of the person.
    """
    if create:
        output.run(_create(name, yes=yes))
        return
    output.emit_lines(*_lines(name))


async def _create(name: str, *, yes: bool) -> None:
    """Make the application once. An existing one is shown with its owners, because anybody may have made it."""
    async with wiring.open_session(Settings()) as session:
        tenant, port = (await session.ports.callers.runner()).tenant_id, session.access.applications
        assert port is not None  # noqa: S101 - a session on the real services has every port
        found = await port.found()
        if not found:
            await output.confirm(f"Register the application {name!r} in tenant {tenant}?", yes=yes)
            client_id = await port.make(name)
            output.say(f"✓ made {name} ({client_id})", style="good")
            output.say(f"  consent: az ad app permission grant --id {client_id} {SCOPE}")
    for one in found:
        owners = ", ".join(one.owners) or "nobody"
        output.say(f"{one.name} ({one.client_id}) exists already; its owners: {owners}", style="warning")
    if len(found) > 1:
        raise Refused(f"{len(found)} applications carry our tag", remedy="use the one whose owners you trust")
    output.emit_lines(*_fleet_file(tenant, found[0].client_id if found else client_id))


@approvals.command()
def sign(
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST", help="The file that `aks-entra break-glass` wrote.", show_default=False)
    ],
    *,
    reason: Reason,
    ticket: Ticket = "",
    no_browser: NoBrowser = False,
) -> None:
    """Show a break-glass request, sign its approval at Microsoft Entra ID, and write it into a file beside it.

    Give the file to the person who asked. It opens nothing but what it shows, and is valid for an hour.
    """
    with output.guarded():
        try:
            wanted = load_signed_request(request.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"{request}: cannot be read: {error}", remedy="name the request's file") from None
        if wanted.subject != "break-glass" or not wanted.lines:
            raise Refused(f"{request}: this is no request for break-glass", remedy="name the request's file")
    output.run(_sign(request, wanted, reason, ticket, no_browser=no_browser))


async def _sign(file: Path, request: SignedRequest, reason: str, ticket: str, *, no_browser: bool) -> None:
    output.say(*request.lines)
    output.say("You approve this break-glass opening", style="warning")
    async with wiring.open_session(Settings()) as session:
        port = session.ports.approvals
        assert port is not None  # noqa: S101 - a session on the real services has every port
        signed, person = await sign_request(port, request, reason, ticket, browser_here(no_browser=no_browser))
    out = file.with_name(f"{file.name.removesuffix('.request.json')}.approval.json")
    write_new(out, dump_signed_approval(signed), replace=True)
    output.say(f"✓ signed by {person.words}", style="good")
    output.emit_lines(str(out))


def _lines(name: str) -> tuple[str, ...]:
    quoted = "'" + name.replace("'", "'\\''") + "'"
    return (
        "# With the role Application Administrator, or as a user who may register applications:",
        f"app=$(az ad app create --display-name {quoted} --sign-in-audience AzureADMyOrg \\",
        "  --public-client-redirect-uris http://localhost --query appId -o tsv)",
        'az ad app update --id "$app" --set groupMembershipClaims=SecurityGroup',
        'az ad sp create --id "$app"',
        "# Consent for everybody, with the role Cloud Application Administrator. Or each person consents once:",
        f'az ad app permission grant --id "$app" {SCOPE}',
        "",
        "# In the fleet file, under `rollout`:",
        *_fleet_file("…   # az account show --query tenantId -o tsv", "…   # echo $app"),
    )


def _fleet_file(tenant: str, client: str) -> tuple[str, ...]:
    return (
        "approvers:",
        f"  tenant_id: {tenant}",
        f"  client_id: {client}",
        "  groups: […]    # az ad group show --group NAME --query id -o tsv",
        "  at_least: 1",
        "  not: requester",
    )
