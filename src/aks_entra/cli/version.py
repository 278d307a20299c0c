"""`aks-entra version`: print the versions of aks-entra and Python, and where the runbooks are."""

from __future__ import annotations

import platform

import typer

from aks_entra import __version__
from aks_entra.cli import output
from aks_entra.host.runbooks import INSTALLATION


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(version)


def version(
    *,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Print the version of aks-entra and of the Python that runs it. JSON also says where the runbooks are."""
    if format_ is output.Format.JSON:
        output.emit_json({"aks-entra": __version__, "python": platform.python_version(), "runbooks": str(INSTALLATION)})
    else:
        output.emit_text(f"aks-entra {__version__} (Python {platform.python_version()})")
