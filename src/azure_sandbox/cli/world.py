"""The commands for world files: import what `az` printed, export a running sandbox, print the schema, list worlds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from azure_sandbox.cli.running import MISUSED, PortOption, asked, fail
from azure_sandbox.world.export import dump_world
from azure_sandbox.world.importing.files import import_files
from azure_sandbox.world.model import WORLDS, WorldError, schema

world = typer.Typer(help="Import, export and list world files.", no_args_is_help=True, add_completion=False)
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="File to write. Default: standard output.")]


@world.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files with the output of `az … list -o json`; docs/reference/sandbox.md lists the commands."
        ),
    ],
    output: OutputOption = None,
    operator: Annotated[
        str, typer.Option("--as", help="The imported service principal that clients in the sandbox sign in as.")
    ] = "",
) -> None:
    """Make a world from existing clusters and the users, roles and locks around them, to rehearse a change on it."""
    try:
        document = import_files(files, operator=operator, tell=lambda note: typer.echo(note, err=True))
    except WorldError as error:
        fail(str(error), MISUSED)
    _write(dump_world(document), output)


@world.command("export")
def export(output: OutputOption = None, port: PortOption = None) -> None:
    """Write the present state of a running sandbox as a world file. Its secrets open nothing but a sandbox."""
    _write(str(asked(port, "GET", "/world")), output)


@world.command("schema")
def schema_command(output: OutputOption = None) -> None:
    """Print the JSON Schema of world files."""
    _write(json.dumps(schema(), indent=2) + "\n", output)


@world.command("list")
def list_() -> None:
    """List the built-in worlds; `--world NAME` starts one."""
    for file in sorted(WORLDS.glob("*.yaml")):
        typer.echo(f"{file.stem}: {file.read_text(encoding='utf-8').partition(chr(10))[0].lstrip('# ')}")


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{output}: {error.strerror}", MISUSED)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(world, name="world")
