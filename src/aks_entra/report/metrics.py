"""What operators watch, as Prometheus metrics: waiting gates, verdicts, rotation debt, break-glass, schedules.

What could not be read has no sample, and `aks_entra_up` of its collector is 0. It is never shown as 0, because nobody
knows that. This module must not know where the measurements come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aks_entra import __version__
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import when
from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.core.planning.gates import Side
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.text.safe import visible

_T = TypeVar("_T")
_EVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected(Generic[_T]):
    """What one collector read, and how many records it could not read."""

    read: tuple[_T, ...] = ()
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingGate:
    """A gate that waits for a person, since when. `fleet` and `stage` are empty for a request without a plan."""

    since: datetime | None
    fleet: str = ""
    stage: str = ""
    side: Side = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """A fleet by the newest verdict of each of its clusters. `reported` is when its newest report ended."""

    name: str
    reported: datetime | None
    outcomes: Mapping[Outcome, int]
    debts: Mapping[Debt, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBreakGlass:
    """A cluster whose break-glass opening has not ended, and until when it was opened."""

    cluster: ClusterId
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Everything that is shown. A collector that could not read is None. `schedules`: whether each is overdue."""

    gates: Collected[WaitingGate] | None
    reports: Collected[FleetState] | None
    break_glass: Collected[OpenBreakGlass] | None
    schedules: Collected[tuple[str, bool]] | None


def fleet_states(reports: Iterable[FleetReport], unreadable: Iterable[Collection[str]]) -> tuple[FleetState, ...]:
    """Return each fleet by the newest verdict of each of its clusters, over all of its reports.

    Args:
        reports: migrations, rollbacks and verifications. A report may be about a part of its fleet.
        unreadable: the clusters (`ClusterId.key`) of each report that cannot be read. It is empty if they are not
            known. Such a report may be newer than those that were read, so the fleets of its clusters are left out.
    """
    of: dict[str, list[FleetReport]] = {}
    for report in reports:
        of.setdefault(report.name, []).append(report)
    lost = tuple(frozenset(clusters) for clusters in unreadable)
    found = (_state(name, sorted(mine, key=_ended), lost) for name, mine in sorted(of.items()))
    return tuple(state for state in found if state is not None)


def _state(name: str, reports: list[FleetReport], lost: tuple[frozenset[str], ...]) -> FleetState | None:
    newest = {verdict.cluster.key: verdict for report in reports for verdict in report.verdicts}
    if any(not clusters or clusters & newest.keys() for clusters in lost):
        return None
    return FleetState(
        name=name,
        reported=when(reports[-1].ended_at),
        outcomes=Counter(verdict.outcome for verdict in newest.values()),
        debts=Counter(_debt(verdict) for verdict in newest.values()),
    )


def _ended(report: FleetReport) -> datetime:
    return when(report.ended_at) or _EVER


def _debt(verdict: Verdict) -> Debt:
    """Return what is known of old credentials. A verdict that did not weigh them says nothing."""
    return verdict.old_credentials.debt if verdict.old_credentials is not None else Debt.UNKNOWN


def families(found: Measurements) -> tuple[Metric, ...]:
    """Return the metric families of a scrape."""
    return (
        _gauge("aks_entra_build_info", "The version of aks-entra that reads.", ({"version": __version__}, 1)),
        *_health(
            {
                "gates": found.gates,
                "reports": found.reports,
                "break_glass": found.break_glass,
                "schedules": found.schedules,
            }
        ),
        *_gates(found.gates.read if found.gates else ()),
        *_fleets(found.reports.read if found.reports else ()),
        *_break_glass(found.break_glass.read if found.break_glass else ()),
        _gauge(
            "aks_entra_schedule_overdue",
            "1 if a scheduled deployment does not run: it is late, paused, without a worker, or does not exist.",
            *(({"deployment": name}, late) for name, late in (found.schedules.read if found.schedules else ())),
        ),
    )


def text(found: Measurements) -> str:
    """Return a scrape in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Fixed(found))
    return generate_latest(registry).decode()


class _Fixed(Collector):
    """A collector of measurements that were made before."""

    def __init__(self, found: Measurements) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return families(self._found)


def _health(collectors: Mapping[str, Collected[Any] | None]) -> Iterator[Metric]:
    yield _gauge(
        "aks_entra_up",
        "1 if a collector read everything. At 0, what it could not read has no sample.",
        *(({"collector": name}, one is not None and not one.unreadable) for name, one in collectors.items()),
    )
    yield _gauge(
        "aks_entra_unreadable_records",
        "Records at Prefect's server that are damaged, changed, or of a newer version.",
        *(({"collector": name}, one.unreadable) for name, one in collectors.items() if one is not None),
    )


def _gates(gates: tuple[WaitingGate, ...]) -> Iterator[Metric]:
    waiting: dict[tuple[str, str, str], list[WaitingGate]] = {}
    for gate in gates:
        waiting.setdefault((gate.fleet, gate.stage, gate.side), []).append(gate)
    series = [({"fleet": key[0], "stage": key[1], "side": key[2]}, mine) for key, mine in waiting.items()]
    yield _gauge(
        "aks_entra_gates_waiting",
        "Gates that wait for a person. A request without a plan has no fleet and no stage.",
        *((labels, len(mine)) for labels, mine in series),
    )
    oldest = ((labels, min((one.since for one in mine if one.since), default=None)) for labels, mine in series)
    yield _gauge(
        "aks_entra_gate_waiting_since_timestamp_seconds",
        "When the oldest of these gates began to wait.",
        *((labels, at.timestamp()) for labels, at in oldest if at is not None),
    )


def _fleets(fleets: tuple[FleetState, ...]) -> Iterator[Metric]:
    yield _gauge(
        "aks_entra_clusters",
        "Clusters of a fleet by their newest verdict.",
        *(
            ({"fleet": fleet.name, "verdict": str(outcome)}, fleet.outcomes.get(outcome, 0))
            for fleet in fleets
            for outcome in Outcome
        ),
    )
    yield _gauge(
        "aks_entra_rotation_debt",
        "Clusters of a fleet by what is known of old credentials. A rotation is owed unless they are dead (none).",
        *(({"fleet": fleet.name, "debt": str(debt)}, fleet.debts.get(debt, 0)) for fleet in fleets for debt in Debt),
    )
    yield _gauge(
        "aks_entra_last_report_timestamp_seconds",
        "When the newest report of a fleet ended.",
        *(({"fleet": fleet.name}, fleet.reported.timestamp()) for fleet in fleets if fleet.reported),
    )


def _break_glass(openings: tuple[OpenBreakGlass, ...]) -> Iterator[Metric]:
    series = [
        ({"subscription": one.cluster.subscription_id.lower(), "cluster": str(one.cluster)}, one.until)
        for one in openings
    ]
    yield _gauge(
        "aks_entra_break_glass_open",
        "1 while the record of a break-glass opening has not ended.",
        *((labels, 1) for labels, _ in series),
    )
    yield _gauge(
        "aks_entra_break_glass_open_until_timestamp_seconds",
        "When the sweep closes a break-glass opening.",
        *((labels, until.timestamp()) for labels, until in series if until is not None),
    )


def _gauge(name: str, help_: str, *samples: tuple[Mapping[str, str], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_)
    for labels, value in samples:
        family.add_sample(name, {label: visible(said) for label, said in labels.items()}, float(value))
    return family
