"""The command line `aks-entra-sandbox`. The module of a command is imported when that command is called."""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = {  # name: (module with `register(app)`, help)
    "exec": ("start", "Run a command inside a new sandbox."),
    "up": ("start", "Run a sandbox until Ctrl-C."),
    "env": ("enter", "Print the export lines that bring a shell into a running sandbox."),
    "sign-in": ("enter", "Sign in as a user of the world, by device code or at the address for a browser."),
    "clock": ("running", "Show or advance the clock of a running sandbox."),
    "fault": ("running", "Inject faults into a running sandbox."),
    "report": ("running", "Show what a running sandbox was asked."),
    "record": ("record", "Record what a command says to the real Azure, with stand-ins for ids, names and secrets."),
    "replay": ("record", "Say where the sandbox answers otherwise than a recording."),
    "world": ("world", "Import, export and list world files."),
}


class Commands(TyperGroup):
    """Lists the commands from the table, and imports the module of the one that is called.

    A command that only talks to a running sandbox starts three times as fast without the sandbox's own modules.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, text) in COMMANDS.items():
            self.add_command(TyperCommand(name, short_help=text))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return name, command and remaining arguments, as `click` wants it, with the command itself loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        loaded = typer.Typer()
        import_module(f"azure_sandbox.cli.{COMMANDS[name][0]}").register(loaded)
        return name, typer.main.get_group(loaded).commands[name], rest


app = typer.Typer(
    cls=Commands,
    help="A local Azure for AKS, Microsoft Entra ID and Microsoft Graph, on loopback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aks-entra-sandbox {metadata.version('aks-entra')}")
        raise typer.Exit


@app.callback()
def _everything(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run a local Azure for AKS, Microsoft Entra ID and Microsoft Graph, on loopback."""


def main() -> None:
    """Run `aks-entra-sandbox`."""
    app(prog_name="aks-entra-sandbox")
