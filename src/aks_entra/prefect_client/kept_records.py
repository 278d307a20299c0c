"""What outlives Prefect's server, by the beginnings of keys: the store of records keeps it, and Prefect shows it.

The rule: what a later command, sweep or plan still needs when Prefect's database is gone is kept. What only living flow
runs tell each other stays at Prefect, because those runs are gone with the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

KEPT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "plan": "a rollback, a verification and the next migration begin with it",
        "plan-of": "a report is found by its run as long as Prefect knows the run, also after its artifacts are gone",
        "approval": "a report says who approved, and until when it held",
        "rejection": "somebody said no, and that stays known",
        "signed-approval": "it proves by itself who approved",
        "entra-key": "a signed approval can be checked after Entra replaced its key",
        "without-gates": "a person typed that no approval is asked for",
        "baseline": "workloads are compared with what ran before the first write",
        "evidence": "a later attempt does nothing twice, and its report says what was done before",
        "reached": "gates and soak times count from it, and not from the day on which the database was lost",
        "verdict": "a stage that is proven is not begun again",
        "skip": "a cluster that a person skipped stays skipped",
        "report": "the evidence for rotation debt, and the way to each fleet's last plan",
        "verification": "the same, of a look that writes nothing",
        "opened": "accounts that were seen open count even after the next report",
        "opening": "the sweep ends a break-glass opening by it",
        "grant": "the sweep ends a grant by it",
    }
)
"""The beginnings of the keys of records, each with the reason why it must outlive the server."""

LIVE: Final = frozenset(
    {
        "access",
        "access-ended",
        "access-review",
        "batch-progress",
        "buried",
        "callers",
        "claim",
        "failed",
        "granted",
        "left",
        "page-plan",
        "page-progress",
        "page-timeline",
        "page-verification",
        "plan-part",
        "policy",
        "record-store",
        "table",
        "verify-part",
        "work-of",
    }
)
"""The beginnings of the keys of what living runs tell each other, and of pages for people: only Prefect has them."""

WITHOUT_VIEW: Final = frozenset({"baseline", "evidence"})
"""The beginnings of the keys of records that have no page for people: with a store, Prefect has no artifact of them.

A migration writes six of them for each cluster.
"""


def is_kept(key: str) -> bool:
    """Return whether the store keeps what is under a key, or under all keys that begin with it."""
    return beginning_of(key) in KEPT


def has_view(key: str) -> bool:
    """Return whether Prefect shows what the store keeps under a key."""
    return beginning_of(key) not in WITHOUT_VIEW


def beginning_of(key: str) -> str:
    """Return the beginning of a key that `KEPT` or `LIVE` names, or an empty text."""
    fitting = (one for one in (*KEPT, *LIVE) if f"{key}-".startswith(f"{one}-"))
    return max(fitting, key=len, default="")
