"""How long the rest of a rollout takes, from the durations that it had so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Final

from aks_entra.core.durations import moment
from aks_entra.core.estimate.durations import Durations, Span
from aks_entra.core.estimate.expected import remaining_time
from aks_entra.core.estimate.model import AtWork
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.progress import ClusterProgress, seconds_of_steps
from aks_entra.core.steps import KINDS, Step, VerifyOutcome
from aks_entra.report.expected_time import about

_TITLES: Final = frozenset(kind.title for kind in KINDS.values())
NO_GATE: Final[Mapping[tuple[str, Side], datetime]] = {}
LOOK: Final = "look"
"""The task that reads which steps are left. It is no step of a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationsSoFar(Durations):
    """Durations of steps as they were in this rollout, by their titles, in seconds; for other steps those published."""

    took: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def of(self, step: Step, *, tier: str = "Standard") -> Span:
        """Return the seconds of a step. The last one has several parts, each with a title of its own."""
        titles = {KINDS[type(step)].title}
        if isinstance(step, VerifyOutcome):
            titles = {title for title in self.took if title not in _TITLES and title != LOOK}
        known = [self.took[title] for title in titles if title in self.took]
        if not known:
            return Durations.of(self, step, tier=tier)
        return Span(sum(map(min, known)), sum(map(median, known)), sum(map(max, known)))


def time_left(
    plan: FleetPlan,
    clusters: Sequence[ClusterProgress],
    now: datetime,
    *,
    reached: Mapping[tuple[str, Side], datetime] = NO_GATE,
    request_rate: float = 1.0,
) -> str:
    """Return how long the rest takes, in words. Empty if nothing is left.

    `reached`: when gates were reached, by the name of the stage and the side; the wait of a gate that is not among
    them counts in full. `request_rate`: the setting of that name. People's approvals are counted, and their time is not
    known.
    """
    expected = remaining_time(
        plan,
        now,
        ended=[one.key for one in clusters if one.ended],
        at_work={
            one.key: AtWork(title=step.title, since=moment(step.began))
            for one in clusters
            if (step := one.running) is not None
        },
        reached=reached,
        durations=DurationsSoFar(took=seconds_of_steps(clusters)),
        request_rate=request_rate,
    )
    if not expected.total.likely:
        return ""
    asked = expected.approvals
    people = f" and {asked} approval{'' if asked == 1 else 's'}" if asked else ""
    return f"about {about(expected.total.likely)}{people} left"
