"""An inventory of many clusters as a board: how many are in which state, grouped, and what is owed since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aks_entra.core.cluster import Posture
from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.errors import Refused
from aks_entra.planning.inventory import Row
from aks_entra.report.inventory_view import Prospect, identity, prospect

UNTAGGED = "(no such tag)"
_FIELD = "--by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the board. `owed_since`: when the oldest of the owed credentials was seen to work, ISO 8601."""

    name: str
    clusters: int
    prospects: dict[Prospect, int]
    debts: dict[Debt, int]
    owed_since: str = ""
    problems: int = 0


def board(rows: Iterable[Row], by: str) -> tuple[Line, ...]:
    """Group clusters by `subscription`, `posture` or `tag:NAME` (names ignore case), the largest group first.

    Raises:
        Refused: `by` is none of these.
    """
    key, groups = grouping(by), dict[str, list[Row]]()
    for row in rows:
        groups.setdefault(key(row.posture), []).append(row)
    lines = (line_of(name, members) for name, members in groups.items())
    return tuple(sorted(lines, key=lambda line: (-line.clusters, line.name)))


def line_of(name: str, rows: list[Row]) -> Line:
    """Return one line for these clusters."""
    owed = [row.old_credentials.since for row in rows if row.old_credentials.debt is Debt.OWED]
    return Line(
        name=name,
        clusters=len(rows),
        prospects=dict(Counter(prospect(row) for row in rows)),
        debts=dict(Counter(row.old_credentials.debt for row in rows)),
        owed_since=min((since for since in owed if since), default=""),
        problems=sum(bool(row.problem) for row in rows),
    )


def document(rows: tuple[Row, ...], by: str) -> dict[str, Any]:
    """Return the board as a JSON document, with a total over all groups."""
    return {
        "kind": "aks-entra/inventory-summary",
        "by": by,
        "groups": [_shown(line) for line in board(rows, by)],
        "total": _shown(line_of("total", list(rows))),
    }


def _shown(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "clusters": line.clusters,
        "prospects": {str(one): line.prospects.get(one, 0) for one in Prospect},
        "old_credentials": {str(one): line.debts.get(one, 0) for one in Debt},
        "owed_since": line.owed_since,
        "problems": line.problems,
    }


def grouping(by: str) -> Callable[[Posture], str]:
    """Return what names the group of a cluster. Raises Refused as `board` does."""
    kind, _, name = by.partition(":")
    if kind not in {"subscription", "posture", "tag"} or bool(name) != (kind == "tag"):
        raise Refused(
            f"clusters cannot be grouped by {by!r}", field=_FIELD, remedy="write subscription, posture or tag:NAME"
        )
    if kind == "subscription":
        return lambda posture: posture.cluster.subscription_id.lower()
    if kind == "posture":
        return lambda posture: f"{identity(posture)}, local accounts {'on' if posture.local_accounts else 'off'}"
    return lambda posture: next((it for key, it in posture.tags if key.casefold() == name.casefold()), UNTAGGED)
