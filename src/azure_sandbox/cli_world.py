"""Commands about worlds: import what Azure prints, export what runs, the schema of the format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from azure_sandbox.cli_running import MISUSED, PortOption, asked, fail
from azure_sandbox.world import WORLDS, WorldError, schema
from azure_sandbox.world_export import dump_world
from azure_sandbox.world_import import import_files

world = typer.Typer(help="World files.", no_args_is_help=True, add_completion=False)
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="File to write. Default: stdout.")]


@world.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="What `az … list -o json` printed; docs/reference/sandbox.md.")],
    output: OutputOption = None,
    operator: Annotated[
        str, typer.Option("--as", help="The imported service principal that the environment signs in as.")
    ] = "",
) -> None:
    """Make a world out of clusters that exist, and of the people, roles and locks around them, to rehearse on."""
    try:
        document = import_files(files, operator=operator, tell=lambda note: typer.echo(note, err=True))
    except WorldError as error:
        fail(str(error), MISUSED)
    _write(dump_world(document), output)


@world.command("export")
def export(output: OutputOption = None, port: PortOption = None) -> None:
    """Write the world of a running sandbox as it stands, with its secrets, which work nowhere else."""
    _write(str(asked(port, "GET", "/world")), output)


@world.command("schema")
def schema_command(output: OutputOption = None) -> None:
    """The JSON Schema of world files."""
    _write(json.dumps(schema(), indent=2) + "\n", output)


@world.command("list")
def list_() -> None:
    """The worlds that come with the sandbox; `--world NAME` starts one."""
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
    """Put the commands into the application."""
    app.add_typer(world, name="world")
