"""An inventory as CSV for spreadsheets: one line for each cluster."""

from __future__ import annotations

from typing import Final

from aks_entra.planning.inventory import Row
from aks_entra.report import inventory_view as view
from aks_entra.report.csv_rows import written

COLUMNS: Final = (
    "cluster",
    "subscription",
    "resource_id",
    "location",
    "version",
    "identity",
    "admin_groups",
    "local_accounts",
    "old_credentials",
    "owed_or_dead_since",
    "nodes",
    "state",
    "prospect",
    "tags",
    "problem",
)


def render(rows: tuple[Row, ...]) -> str:
    """Return the table with its header (RFC 4180)."""
    return written(COLUMNS, (_cells(row) for row in rows))


def _cells(row: Row) -> tuple[str, ...]:
    posture = row.posture
    return (
        str(posture.cluster),
        posture.cluster.subscription_id,
        posture.cluster.resource_id,
        posture.location,
        posture.version,
        view.identity(posture),
        view.groups(row),
        view.local_accounts(posture),
        f"{row.old_credentials.debt}: {row.old_credentials.because}",
        row.old_credentials.since or "",
        str(posture.nodes),
        view.state(posture),
        str(view.prospect(row)),
        "; ".join(f"{key}={value}" for key, value in posture.tags),
        row.problem,
    )
