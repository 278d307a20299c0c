"""`aks-entra demo`: run the demo that comes with the runbooks. What it does is in `demo/demo.py`."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.local.runbooks import find_checkout
from aks_entra.errors import Refused


class Gate(StrEnum):
    """Who decides at the gates of the demo."""

    YES = "yes"
    ASK = "ask"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    *,
    gate: Annotated[
        Gate, typer.Option("--gate", help="Who decides at the gates: the demo itself (`yes`), or you (`ask`).")
    ] = Gate.YES,
) -> None:
    """Migrate a made-up fleet, from inventory to evidence. It needs no Azure.

    Plan, report and logs are in .aks-entra/demo of the present folder.
    """
    with output.guarded():
        script = find_checkout() / "demo" / "demo.py"
        if not script.is_file():
            raise Refused("this installation has no demo", remedy="install the wheel of aks-entra, and try there")
    os.execv(sys.executable, [sys.executable, str(script), "--gate", gate])  # Ctrl-C reaches the demo alone  # noqa: S606
