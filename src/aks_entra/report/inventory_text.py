"""An inventory for a terminal: one line for each cluster, then the counts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.planning.inventory import Row
from aks_entra.report import doors_view
from aks_entra.report import inventory_view as view
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
