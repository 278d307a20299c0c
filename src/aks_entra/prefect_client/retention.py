"""Which records of a store may be removed, by what they say: see `aks_entra.core.retention`. It sends no request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from aks_entra import documents
from aks_entra.core.hooks.results import left
from aks_entra.core.retention import Entry, removable
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.ports.records import StoredRecord
from aks_entra.prefect_client.grant_records import ended_before
from aks_entra.prefect_client.kept_records import KEPT, beginning_of
from aks_entra.prefect_client.names import hexadecimal
from aks_entra.prefect_client.stored_evidence import newest_of_each_fleet

KNOWLEDGE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "report": "which CA served when, and whether accounts were open: old credentials are judged by it",
        "verification": "the same, of a look that writes nothing",
        "opened": "accounts that were seen open count until a rotation is proven",
        "entra-key": "signed approvals of all plans are checked by it",
        "baseline": "it has the CA and the salted hash of a token from before a rotation",
    }
)
"""The beginnings of the keys of what is never removed, each with its reason."""
_ENDS: Final = frozenset({"opening", "grant"})
"""The beginnings of the keys of what ends by itself. Everything else that may go belongs to a plan."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def prunable(records: Sequence[StoredRecord], older_than: datetime) -> tuple[tuple[StoredRecord, ...], ...]:
    """Return the records that may be removed, group by group, each group in the order in which it may be removed.

    A plan is removed before what is about it, and of each key the oldest record first. So whatever is left after an
    interruption says less than before, and nothing that was replaced counts again.

    Args:
        records: all records of a store, of each key the oldest first.
        older_than: records from before this moment are old.
    """
    newest = {one.key: one for one in records}
    group_of = {one.digest: _group(one) for one in records}
    over = _plans_that_are_over(newest.values())
    needed, knowledge = set[str](), set[str]()
    for one in newest.values():
        group, beginning = group_of[one.digest], beginning_of(one.key)
        if beginning in KNOWLEDGE or beginning not in KEPT:
            knowledge.add(group)
        elif beginning in _ENDS:
            needed |= set() if _ended(one, older_than) else {group}
        elif group not in over:
            needed.add(group)
    found = removable(
        (Entry(digest=one.digest, group=group_of[one.digest], at=one.at, before=one.before) for one in records),
        older_than=older_than,
        needed=needed,
        knowledge=knowledge,
    )
    groups: dict[str, list[StoredRecord]] = {}
    for one in records:
        if group_of[one.digest] in found:
            groups.setdefault(group_of[one.digest], []).append(one)
    return tuple(
        tuple(sorted(group, key=lambda one: beginning_of(one.key) != "plan")) for _, group in sorted(groups.items())
    )


def _group(record: StoredRecord) -> str:
    """Return the plan that a record is about (`plan-<64 digits>`), or the record's key if it stands by itself."""
    beginning = beginning_of(record.key)
    if beginning in KNOWLEDGE or beginning in _ENDS or beginning not in KEPT:
        return record.key
    rest = _text(record) if beginning == "plan-of" else record.key.removeprefix(f"{beginning}-")
    digest = _DIGEST.match(hexadecimal(rest))
    return f"plan-{digest[0]}" if digest else record.key


def _plans_that_are_over(newest: Iterable[StoredRecord]) -> frozenset[str]:
    """Return the plans of which nothing is left to do, and which are not the last one of their fleet."""
    reports = []
    for one in newest:
        if beginning_of(one.key) == "report":
            try:
                report = documents.load_report(_text(one))
            except Refused:
                continue
            reports += [report] if one.key == f"report-{hexadecimal(report.plan_digest)}" else []
    last = {report.plan_digest for report in newest_of_each_fleet(reports).values()}
    return frozenset(
        f"plan-{hexadecimal(report.plan_digest)}"
        for report in reports
        if report.plan_digest not in last and _is_over(report)
    )


def _is_over(report: FleetReport) -> bool:
    """Whether a resumed run would find nothing to do: clusters are verified or skipped, and their hooks are done."""
    ended = all(one.outcome in {Outcome.VERIFIED, Outcome.SKIPPED} for one in report.verdicts)
    return ended and all(one.go_on for one in report.stages) and not any(left(one.evidence) for one in report.verdicts)


def _ended(record: StoredRecord, older_than: datetime) -> bool:
    """Whether a record says that its opening was closed, or that its grant ended before this moment."""
    if beginning_of(record.key) == "grant":
        return ended_before(_text(record), older_than)
    try:
        return bool(documents.load_opening(_text(record)).ended)
    except Refused:
        return False


def _text(record: StoredRecord) -> str:
    """Return what a record says. Empty: it cannot be read."""
    try:
        return documents.unpack(record.packed)
    except Refused:
        return ""
