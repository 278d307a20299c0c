"""Reads what `aks-entra metrics` shows from Prefect's server: gates, reports, break-glass records and schedules."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import when
from aks_entra.core.evidence.break_glass import Opening
from aks_entra.core.schedules import overdue
from aks_entra.core.verdict.break_glass import opening_digest
from aks_entra.core.verdict.report import FleetReport
from aks_entra.prefect_client import approvals, break_glass_records, names, overview, schedules, stored_evidence
from aks_entra.prefect_client.stored_documents import words_of
from aks_entra.report.metrics import Collected, FleetState, Measurements, OpenBreakGlass, WaitingGate, fleet_states

_T = TypeVar("_T")
_log: Final = logging.getLogger(__name__)


class ReportCache:
    """Parses each report once, because a report of a thousand clusters takes a second. It keeps no evidence."""

    def __init__(self) -> None:
        self._known: dict[str, FleetReport] = {}
        self._used: set[str] = set()

    def load(self, text: str) -> FleetReport:
        """Return a report without its evidence. Raises Refused, as `documents.load_report` does."""
        digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
        if digest not in self._known:
            whole = documents.load_report(text)
            self._known[digest] = replace(whole, verdicts=tuple(replace(one, evidence=()) for one in whole.verdicts))
        self._used.add(digest)
        return self._known[digest]

    def forget_unused(self) -> None:
        """Forget the reports that were not asked for since the last call: newer ones have replaced them."""
        self._known = {digest: report for digest, report in self._known.items() if digest in self._used}
        self._used.clear()


_cache: Final = ReportCache()


async def measure(seconds: float) -> Measurements:
    """Read everything that is shown. A collector that fails, or takes longer than `seconds`, is None and is logged."""
    gates, reports, break_glass, overdue = await asyncio.gather(
        _in_time("gates", _gates, seconds),
        _in_time("reports", _reports, seconds),
        _in_time("break_glass", _break_glass, seconds),
        _in_time("schedules", _schedules, seconds),
    )
    return Measurements(gates=gates, reports=reports, break_glass=break_glass, schedules=overdue)


async def _in_time(name: str, read: Callable[[], Awaitable[_T]], seconds: float) -> _T | None:
    try:
        async with asyncio.timeout(seconds):
            return await read()
    except Exception as error:  # noqa: BLE001 - the other collectors are still shown, and this one is shown as down
        _log.warning("the collector %s could not read Prefect's server: %s", name, words_of(error))
        return None


async def _gates() -> Collected[WaitingGate]:
    found = []
    for gate in await approvals.gates():
        fleet, stage = await overview.asked_about(gate) or ("", "")
        found.append(WaitingGate(fleet=fleet, stage=stage, side=gate.moment, since=gate.since))
    return Collected(read=tuple(found))


async def _reports() -> Collected[FleetState]:
    found = await stored_evidence.all_reports(_cache.load)
    _cache.forget_unused()
    fleets = [report for _, report in found.read if not _of_one_cluster(report)]
    return Collected(read=fleet_states(fleets, (one.clusters for one in found.unread)), unreadable=len(found.unread))


def _of_one_cluster(report: FleetReport) -> bool:
    """Whether a report is about a break-glass opening or a created cluster. Neither is a fleet, and neither has a plan.

    A digest replaces the plan's digest there. It is made from the cluster and the time at which the report begins.
    """
    began = report.started_at
    return any(
        report.plan_digest
        in {
            names.provision_digest(one.cluster, began),
            opening_digest(one.cluster, Opening(until="", since=began, reason="")),
        }
        for one in report.verdicts
    )


async def _break_glass() -> Collected[OpenBreakGlass]:
    records, unread = await break_glass_records.open_records()
    found = [
        OpenBreakGlass(cluster=ClusterId.parse(record.cluster), until=when(record.opening.until)) for record in records
    ]
    return Collected(read=tuple(found), unreadable=len(unread))


async def _schedules() -> Collected[tuple[str, bool]]:
    now = datetime.now(UTC)
    found = await schedules.read_schedules(now=now)
    return Collected(read=tuple((one.shown, bool(overdue((one,), now))) for one in found))
