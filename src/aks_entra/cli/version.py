"""`aks-entra version`: which program this is."""

from __future__ import annotations

import platform

import typer

from aks_entra import __version__
from aks_entra.cli import output


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Print the version.")(version)


def version(
    *,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Print the version of aks-entra and of the Python that runs it."""
    if format_ is output.Format.JSON:
        output.emit_json({"aks-entra": __version__, "python": platform.python_version()})
    else:
        output.emit_text(f"aks-entra {__version__} (Python {platform.python_version()})")
