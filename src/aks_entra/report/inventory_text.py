"""An inventory on a terminal: one line for each cluster, then the counts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from aks_entra.core.debt import Debt
from aks_entra.report import inventory_view as view
from aks_entra.survey import Row

_DEBTS = {Debt.ALIVE: "yellow", Debt.OWED: "bold red", Debt.UNKNOWN: "magenta", Debt.NONE: "green"}


def render(rows: tuple[Row, ...]) -> Iterator[RenderableType]:
    """The table, what could not be looked at, the counts and the depth."""
    several = len({row.posture.cluster.subscription_id for row in rows}) > 1
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for title in (*(("SUBSCRIPTION",) if several else ()), "CLUSTER", "IDENTITY", "ADMIN GROUPS", "LOCAL ACCOUNTS"):
        table.add_column(title, overflow="fold")
    table.add_column("OLD CREDENTIALS", overflow="fold")
    table.add_column("NODES", justify="right")
    table.add_column("STATE")
    for row in rows:
        posture = row.posture
        table.add_row(
            *([Text(posture.cluster.subscription_id)] if several else []),
            Text(str(posture.cluster)),
            Text(view.identity(posture)),
            _loud(view.groups(row)),
            Text(view.local_accounts(posture), style="yellow" if posture.local_accounts else ""),
            Text(view.old_credentials(row), style=_DEBTS[row.old_credentials.debt]),
            Text(str(posture.nodes)),
            Text(view.state(posture)),
        )
    if rows:
        yield table
    for row in rows:
        if row.problem:
            yield Text(f"⚠ {row.posture.cluster}: {row.problem}", style="yellow")
    for line in view.drifts(rows):
        yield Text(f"⚠ {line}", style="yellow")
    yield Text(view.summary(rows), style="bold")
    if rows:
        yield Text(view.depth(rows), style="dim")


def _loud(text: str) -> Text:
    return Text(text, style="red" if "!" in text else "")
