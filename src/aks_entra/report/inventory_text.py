"""An inventory for a terminal: one line for each cluster, then the counts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.planning.inventory import Row
from aks_entra.report import doors_view
from aks_entra.report import inventory_view as view
from aks_entra.report.inventory_summary import Line, board, line_of
from aks_entra.report.terminal import borderless_table, safe_line

_DEBTS = {Debt.ALIVE: "yellow", Debt.OWED: "bold red", Debt.UNKNOWN: "magenta", Debt.NONE: "green"}


def render(rows: tuple[Row, ...]) -> Iterator[RenderableType]:
    """Return the table, what could not be read, the counts, and what was read."""
    several = len({row.posture.cluster.subscription_id for row in rows}) > 1
    titles = ("CLUSTER", "IDENTITY", "ADMIN GROUPS", "LOCAL ACCOUNTS", "OLD CREDENTIALS", "OTHER WAYS IN")
    table = borderless_table(*(("SUBSCRIPTION",) if several else ()), *titles)
    table.add_column("NODES", justify="right")
    table.add_column("STATE")
    for row in rows:
        posture = row.posture
        table.add_row(
            *([safe_line(posture.cluster.subscription_id)] if several else []),
            safe_line(str(posture.cluster)),
            safe_line(view.identity(posture)),
            safe_line(view.groups(row), "red" if view.groups_are_wrong(row) else ""),
            safe_line(view.local_accounts(posture), "yellow" if posture.local_accounts else ""),
            safe_line(view.old_credentials(row), _DEBTS[row.old_credentials.debt]),
            safe_line(doors_view.summary(row.doors)),
            safe_line(str(posture.nodes)),
            safe_line(view.state(posture)),
        )
    if rows:
        yield table
    for row in rows:
        if row.problem:
            yield safe_line(f"⚠ {row.posture.cluster}: {row.problem}", "yellow")
    for line in view.drifts(rows):
        yield safe_line(f"⚠ {line}", "yellow")
    yield safe_line(view.summary(rows), "bold")
    if rows:
        yield safe_line(view.depth(rows), "dim")


def render_board(rows: tuple[Row, ...], by: str) -> Iterator[RenderableType]:
    """Return the board of many clusters, with a total, and what was read. Raises Refused for an unknown `by`."""
    lines = board(rows, by)
    total = line_of("total", list(rows))
    prospects = [one for one in view.Prospect if total.prospects.get(one)]
    table = borderless_table(by.partition(":")[2].upper() or by.upper())
    for title in ("CLUSTERS", *(one.upper() for one in prospects), "OWED", "OWED SINCE", "UNKNOWN"):
        table.add_column(title, justify="right")
    for line in (*lines, total):
        table.add_row(*(safe_line(cell, style) for cell, style in _cells(line, prospects)))
    if rows:
        yield table
        yield safe_line(view.depth(rows), "dim")
    else:
        yield safe_line(view.summary(rows), "bold")


def _cells(line: Line, prospects: list[view.Prospect]) -> Iterator[tuple[str, str]]:
    yield line.name, ""
    yield str(line.clusters), "bold"
    for one in prospects:
        yield str(line.prospects.get(one, 0) or "–"), ""
    yield str(line.debts.get(Debt.OWED, 0) or "–"), _DEBTS[Debt.OWED] if line.debts.get(Debt.OWED) else ""
    yield line.owed_since[:10] or "–", ""
    yield str(line.debts.get(Debt.UNKNOWN, 0) or "–"), ""
