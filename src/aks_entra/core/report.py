"""A fleet's report: every cluster's verdict with its evidence, under one digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from aks_entra.core.debt import Record, Sighting
from aks_entra.core.evidence import (
    CertificatesRotated,
    ClusterCreated,
    Evidence,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    StateSeen,
)
from aks_entra.core.preflight import Skip
from aks_entra.core.rollout import StageResult
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.core.weigh import outlived


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """How a fleet's migration or verification ended. Times are ISO 8601 in UTC."""

    name: str
    plan_digest: str
    started_at: str
    ended_at: str
    verdicts: tuple[Verdict, ...]
    stages: tuple[StageResult, ...] = ()
    skip_rules: tuple[Skip, ...] = ()  # of the plan: rules that were passed over, each with its reason
    version: Literal[1] = 1

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits over everything in the report."""
        content = asdict(self, dict_factory=_without_what_is_new)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def counts(self) -> dict[Outcome, int]:
        """How many clusters ended how, in the outcomes' order; outcomes without a cluster are left out."""
        outcomes = [verdict.outcome for verdict in self.verdicts]
        return {outcome: outcomes.count(outcome) for outcome in Outcome if outcome in outcomes}


def _without_what_is_new(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """What a report of an earlier version did not have is left out where it is empty: its digest still holds."""
    return {key: value for key, value in fields if key not in {"skip_rules", "uid"} or value}


def records_of(report: FleetReport, source: str) -> tuple[Record, ...]:
    """Our own evidence of a report, as `core.debt` weighs it. `source` is what is cited: where the report is kept."""
    return tuple(record for verdict in report.verdicts for record in _records(verdict, source))


def _records(verdict: Verdict, source: str) -> Iterator[Record]:
    """One cluster's sightings. A rotation counts only when accounts were seen closed under its CA."""
    states = [one for one in verdict.evidence if isinstance(one, StateSeen)]
    seen = partial(Record, cluster=verdict.cluster.key, source=source, uid=next((one.uid for one in states), ""))
    closed_under = {state.ca for state in states if not state.local_accounts}
    for one in verdict.evidence:
        if isinstance(one, LocalAccountsDisabled) and one.changed:
            yield seen(sighting=Sighting.ACCOUNTS_ON, at=one.at)
        sighting, ca = _sighting(one, closed_under)
        if sighting is Sighting.ROTATED_CLOSED and outlived(verdict.evidence):
            continue
        if sighting is not None:
            yield seen(sighting=sighting, at=one.at, ca=ca)


def _sighting(one: Evidence, closed_under: set[str]) -> tuple[Sighting | None, str | None]:
    match one:
        case StateSeen():
            return (Sighting.ACCOUNTS_ON if one.local_accounts else Sighting.ACCOUNTS_OFF), one.ca
        case LocalAccountsEnabled():
            return Sighting.ACCOUNTS_ON, None
        case LocalAccountsDisabled():
            return Sighting.ACCOUNTS_OFF, None
        case CertificatesRotated() if one.ca_after in closed_under:
            return Sighting.ROTATED_CLOSED, one.ca_after
        case ClusterCreated(changed=True) if len(closed_under) == 1:
            return Sighting.CREATED_CLOSED, next(iter(closed_under))
        case _:
            return None, None
