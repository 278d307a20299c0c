"""The report of a fleet: every cluster's verdict with its evidence, under one digest."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from aks_entra.core.evidence.observations import StateSeen
from aks_entra.core.evidence.rotation_debt import Debt, Record, Sighting
from aks_entra.core.evidence.sightings import records_in
from aks_entra.core.planning.rollout import StageResult
from aks_entra.core.preflight import Skip
from aks_entra.core.storable import canonical
from aks_entra.core.verdict.history import RolloutHistory
from aks_entra.core.verdict.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """How a fleet's migration or verification ended. Times are ISO 8601 in UTC."""

    name: str
    plan_digest: str
    started_at: str
    ended_at: str
    verdicts: tuple[Verdict, ...]
    stages: tuple[StageResult, ...] = ()
    skip_rules: tuple[Skip, ...] = ()  # of the plan: rules that were skipped, each with its reason
    history: RolloutHistory | None = None  # None: no rollout, or a report of an earlier version
    version: Literal[1] = 1

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits over everything in the report."""
        content = asdict(self, dict_factory=_without_what_is_new)
        return f"sha256:{hashlib.sha256(canonical(content).encode()).hexdigest()}"

    def counts(self) -> dict[Outcome, int]:
        """Return the number of clusters for each outcome. Outcomes without a cluster are left out."""
        outcomes = [verdict.outcome for verdict in self.verdicts]
        return {outcome: outcomes.count(outcome) for outcome in Outcome if outcome in outcomes}


_NEW: Final = frozenset(
    {
        *("skip_rules", "uid", "etag", "old_credentials", "issued_at", "connections", "mixed", "under_ca"),
        *("reason_code", "running", "history", "unconfirmed", "voluntary", "unproven", "signs_until", "key_seen_at"),
        *("checked_at", "unchecked"),
    }
)


def _without_what_is_new(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Leave out new fields that are empty, so that digests of earlier reports stay valid."""
    return {key: value for key, value in fields if key not in _NEW or (value and (key, value) != ("connections", 1))}


def records_of(report: FleetReport, source: str) -> tuple[Record, ...]:
    """Return a report's sightings for rotation debt. `source` says where the report is kept, and is cited."""
    return tuple(record for verdict in report.verdicts for record in records_of_verdict(verdict, source))


def records_of_verdict(verdict: Verdict, source: str) -> tuple[Record, ...]:
    """Return the sightings of one cluster, and the answer about old credentials at that time."""
    found = records_in(verdict.cluster.key, verdict.evidence, source)
    old = verdict.old_credentials
    if old is None or old.debt is not Debt.NONE:
        return found
    uid = next((one.uid for one in reversed(verdict.evidence) if isinstance(one, StateSeen)), "")
    dead = Record(
        cluster=verdict.cluster.key,
        sighting=Sighting.KNOWN_DEAD,
        at=old.through,
        ca=old.ca,
        source=source,
        uid=uid,
        since=old.since or "",
        because=old.because,
    )
    return (*found, dead)
