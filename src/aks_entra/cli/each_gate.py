"""Does the work of several gates, so that one that is refused stops no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aks_entra.cli import output
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aks_entra.errors import AksEntraError
    from aks_entra.prefect_client import Gate


async def for_each(gates: Iterable[tuple[Gate, Callable[[], Awaitable[object]]]]) -> int:
    """Do the work of each gate. Say which was refused and why, and return how many were."""
    refused = 0
    for gate, work in gates:
        try:
            await work()
        except Refused as error:
            say_refused(gate, error)
            refused += 1
    return refused


def say_refused(gate: Gate, error: AksEntraError) -> None:
    """Say why a gate was not answered, and what to do."""
    remedy = (f"  → {error.remedy}",) if error.remedy else ()
    output.say(f"Error: run {gate.run_name}: {error.message}", *remedy, style="error")


def exit_if_refused(refused: int, *, of: int) -> None:
    """Exit if some were refused: with 2 if nothing was done, and else with 1."""
    if refused:
        raise typer.Exit(output.ExitCode.REFUSED if refused == of else output.ExitCode.FAILED)
