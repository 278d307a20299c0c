"""How long the steps of a plan take: published or recorded durations, as ranges.

Sources of the published ones: `startTime` and `endTime` of operations in public recordings of AKS (2022 to 2024), and
AKS' page on certificate rotation, which says "up to 30 minutes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from aks_entra.core.durations import when
from aks_entra.core.evidence.rotation_debt import Record, Sighting
from aks_entra.core.steps import (
    AssignDenyPolicy,
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    ProveSignIn,
    RecordBaseline,
    RemoveDenyPolicy,
    RotateCertificates,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
    consequence,
    writes,
)

POLL_INTERVAL: Final = 30.0
"""Seconds between two looks at running operations, as AKS' own clients wait. A step ends at the next look."""
LONGEST_RECORDED: Final = 7200.0
"""Seconds. A record of a longer rotation tells of a run that was interrupted, not of Azure."""

MEDIANS: Final[Mapping[type, float]] = {
    EnableEntra: 160.0,
    UpdateEntra: 175.0,
    DisableLocalAccounts: 113.0,
    EnableLocalAccounts: 101.0,
    RotateCertificates: 1500.0,  # no recording is public: the usual time in issue threads
}
"""Seconds of Azure's operations."""


@dataclass(frozen=True, slots=True)
class Span:
    """A number of seconds that is not known exactly: the least, the likely and the most."""

    low: float = 0.0
    likely: float = 0.0
    high: float = 0.0

    def __add__(self, other: Span) -> Span:
        """Return the span of one after the other."""
        return Span(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def less(self, seconds: float) -> Span:
        """Return what is left of it after a time. It is never negative."""
        return Span(*(max(0.0, one - seconds) for one in (self.low, self.likely, self.high)))


LOOKS: Final[Mapping[type, Span]] = {
    EnsureAdminGroup: Span(5, 15, 120),
    ProveSignIn: Span(2, 5, 60),
    RecordBaseline: Span(2, 5, 30),
    VerifyOutcome: Span(5, 20, 300),
    VerifyRestored: Span(5, 20, 300),
    AssignDenyPolicy: Span(2, 5, 60),
    RemoveDenyPolicy: Span(2, 5, 60),  # the next step waits until Azure follows it
}
"""Steps in which Azure runs no operation. Nobody publishes how long these take: the figures are this program's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long each kind of step takes. `rotations`: seconds of recorded rotations; empty: the published time."""

    rotations: tuple[float, ...] = ()
    poll_interval: float = POLL_INTERVAL
    _known: dict[tuple[type, str], Span] = field(default_factory=dict, repr=False, compare=False)

    def of(self, step: Step, *, tier: str = "Standard") -> Span:
        """Return the seconds of a step, with the time until its end is seen."""
        key = (type(step), tier)
        if key not in self._known:
            self._known[key] = self._of(step, tier)
        return self._known[key]

    def _of(self, step: Step, tier: str) -> Span:
        if not writes(step):
            return LOOKS.get(type(step), _LOOK)
        if isinstance(step, RotateCertificates) and self.rotations:
            return Span(min(self.rotations), median(self.rotations), max(self.rotations))
        least, most = (60.0 * minutes for minutes in consequence(step, tier=tier).minutes)
        likely = MEDIANS.get(type(step), (least + most) / 2)
        return Span(min(least, likely), likely, most) + Span(0.0, self.poll_interval / 2, self.poll_interval)

    @property
    def basis(self) -> str:
        """Say where the durations come from."""
        published = "published and publicly recorded durations of AKS' operations"
        if not self.rotations:
            return published
        count = len(self.rotations)
        return f"{count} earlier rotation{'' if count == 1 else 's'} of your own; for the rest {published}"


_LOOK: Final = Span(2, 5, 60)
PUBLISHED: Final = Durations()


def recorded(records: Iterable[Record], *, poll_interval: float = POLL_INTERVAL) -> Durations:
    """Return durations in which the rotations that records tell of replace the published one.

    A rotation lasted from the last look at the CA before it to its end.
    """
    found: dict[tuple[str, str], float] = {}
    for one in records:
        if one.sighting is Sighting.ROTATED_CLOSED and (began := when(one.began)) and (ended := when(one.at)):
            seconds = (ended - began).total_seconds()
            if 0 < seconds <= LONGEST_RECORDED:
                found[one.cluster, one.at] = seconds
    return Durations(rotations=tuple(sorted(found.values())), poll_interval=poll_interval)
