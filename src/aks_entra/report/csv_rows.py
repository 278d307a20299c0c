"""A report as CSV for spreadsheets: one line for each cluster. A cell never begins a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from aks_entra.core.doors.model import DoorState
from aks_entra.core.evidence.observations import CertificatesRotated, StateSeen
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.report.doors_view import ways_in
from aks_entra.text.safe import for_csv

COLUMNS: Final = (
    "fleet",
    "cluster",
    "subscription",
    "resource_id",
    "verdict",
    "grade",
    "because",
    "next",
    "ca_before",
    "ca_after",
    "evidence",
    "ended_at",
    "plan_digest",
    "report_digest",
    "open_doors",
    "doors_not_looked_at",
)


def render(report: FleetReport) -> str:
    """Return the table with its header (RFC 4180)."""
    return written(COLUMNS, (_row(report, verdict) for verdict in report.verdicts))


def written(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return any table with its header. A text that a spreadsheet would run gets an apostrophe in front."""
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([for_csv(cell) for cell in row])
    return target.getvalue()


def _row(report: FleetReport, verdict: Verdict) -> tuple[str, ...]:
    rotated = next((one for one in reversed(verdict.evidence) if isinstance(one, CertificatesRotated)), None)
    state = next((one for one in reversed(verdict.evidence) if isinstance(one, StateSeen)), None)
    return (
        report.name,
        str(verdict.cluster),
        verdict.cluster.subscription_id,
        verdict.cluster.resource_id,
        verdict.outcome,
        verdict.grade or "",
        "; ".join(verdict.because),
        verdict.next,
        rotated.ca_before if rotated else "",
        rotated.ca_after if rotated else state.ca if state else "",
        str(len(verdict.evidence)),
        report.ended_at,
        report.plan_digest,
        report.digest,
        _doors(verdict, DoorState.OPEN),
        _doors(verdict, DoorState.NOT_LOOKED_AT),
    )


def _doors(verdict: Verdict, state: DoorState) -> str:
    return " ".join(door.kind for door in ways_in(verdict.evidence) if door.state is state)
