"""The doors of one cluster for a terminal: the id that a fleet file uses, the title, the state and the reason."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from aks_entra.core.doors.model import Door, DoorState
from aks_entra.report.doors_view import rows
from aks_entra.report.terminal import borderless_table, safe_line, stacked

_STYLES = {DoorState.CLOSED: "green", DoorState.OPEN: "bold red", DoorState.NOT_LOOKED_AT: "magenta"}


def render(doors: Iterable[Door]) -> Table:
    """Return the table."""
    table = borderless_table("DOOR")
    table.add_column("STATE", no_wrap=True)
    table.add_column("BECAUSE", overflow="fold", ratio=3)
    table.add_column("WHAT TO DO", overflow="fold", ratio=2)
    for one in rows(doors):
        door = stacked(safe_line(one.kind), safe_line(one.title, "dim"))
        table.add_row(door, safe_line(one.state, _STYLES[one.state]), safe_line(one.because), safe_line(one.remedy))
    return table
