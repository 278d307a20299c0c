"""The expected time of a plan, or of the rest of a rollout: a pure model.

People's approvals take a time that nobody knows. They are counted, and their time is in no span.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from aks_entra.core.durations import stamp
from aks_entra.core.estimate.course import Course, Rollout
from aks_entra.core.estimate.durations import PUBLISHED, Durations, Span
from aks_entra.core.estimate.model import AtWork, ExpectedTime
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import FleetPlan

_NOBODY: Final[Mapping[str, AtWork]] = {}
_NOWHERE: Final[Mapping[tuple[str, Side], datetime]] = {}


def expected_time(
    plan: FleetPlan, now: datetime, *, durations: Durations = PUBLISHED, request_rate: float = 1.0
) -> ExpectedTime:
    """Return how long a plan takes if it begins now. `request_rate`: the setting of that name."""
    return remaining_time(plan, now, durations=durations, request_rate=request_rate)


def remaining_time(
    plan: FleetPlan,
    now: datetime,
    *,
    ended: Collection[str] = (),
    at_work: Mapping[str, AtWork] = _NOBODY,
    reached: Mapping[tuple[str, Side], datetime] = _NOWHERE,
    durations: Durations = PUBLISHED,
    request_rate: float = 1.0,
) -> ExpectedTime:
    """Return how long the rest of a rollout takes.

    Args:
        plan: The plan that is carried out.
        now: The time from which it is counted, with its time zone.
        ended: The clusters (`ClusterId.key`) that have a verdict.
        at_work: What is done to the other clusters that have begun, by `ClusterId.key`.
        reached: When gates were reached, by the name of the stage and the side.
        durations: How long steps take.
        request_rate: The setting of that name.
    """
    rollout = Rollout(
        plan=plan,
        now=now,
        ended=frozenset(ended),
        at_work=at_work,
        reached=reached,
        durations=durations,
        request_rate=request_rate,
    )
    low, likely, high = (Course(rollout, scenario) for scenario in ("low", "likely", "high"))
    stages = tuple(
        replace(
            middle.time,
            work=Span(least.work, middle.work, most.work),
            waits=Span(least.waits, middle.waits, most.waits),
            unknown=tuple(dict.fromkeys((*least.time.unknown, *middle.time.unknown, *most.time.unknown))),
        )
        for least, middle, most in zip(low.passed, likely.passed, high.passed, strict=True)
    )
    total = Span(low.at, likely.at, high.at)
    return ExpectedTime(since=stamp(now), total=total, stages=stages, basis=durations.basis)
