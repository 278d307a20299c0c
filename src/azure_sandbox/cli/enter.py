"""The commands that bring a user into a running sandbox: `env` and `sign-in`."""

from __future__ import annotations

from typing import Annotated

import typer

from azure_sandbox.cli.browser_sign_in import sign_in_at
from azure_sandbox.cli.control_client import CREDENTIALS, NoSandbox, environment_of, port_around
from azure_sandbox.cli.device_sign_in import NotSignedIn, sign_in
from azure_sandbox.cli.running import (
    DEFAULT_PORT,
    NetworkOption,
    PersonOption,
    PortOption,
    ProxyPortOption,
    fail,
    wanted_port,
)


def env(port: ProxyPortOption = DEFAULT_PORT, network: NetworkOption = "", *, person: PersonOption = False) -> None:
    """Print the export lines that bring a shell into a running sandbox: eval "$(aks-entra-sandbox env)"."""
    if network and port == DEFAULT_PORT:
        port = port_around() or port  # another network of the sandbox that this shell is in
    try:
        lines = environment_of(port, network).splitlines(keepends=True)
        hidden = tuple(f"export {name}=" for name in CREDENTIALS) if person else ()
        typer.echo("".join(line for line in lines if not line.startswith(hidden)), nl=False)
    except NoSandbox as error:
        fail(f"no sandbox is up on port {port} ({error}); start one with: aks-entra-sandbox up --port {port}", 1)


def sign_in_command(
    code: Annotated[
        str,
        typer.Argument(metavar="CODE|URL", help="The code, or the address of the sign-in page.", show_default=False),
    ],
    name: Annotated[str, typer.Option("--as", help="The user who signs in: display name, UPN or object ID.")],
    port: PortOption = None,
) -> None:
    """Sign in as a user of the world: with the CODE of a device-code sign-in, or at the URL that opens in a browser.

    For a URL whose answer the application expects in the address bar, it prints the address to paste.
    """
    at = wanted_port(port)
    try:
        if code.startswith("https://"):
            typer.echo(sign_in_at(code, name, at))
            return
        typer.echo(f"{sign_in(code, name, at)} has signed in")
    except NoSandbox as error:
        fail(f"no sandbox is up on port {at} ({error}); start one with: aks-entra-sandbox up", 1)
    except NotSignedIn as error:
        fail(str(error), 1)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("env")(env)
    app.command("sign-in")(sign_in_command)
