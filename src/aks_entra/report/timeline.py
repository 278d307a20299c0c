"""When a rollout wrote to each cluster: bars for a picture, and the same as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import (
    CertificatesRotated,
    ClusterCreated,
    EntraSet,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
)
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict

WORDS: Final = {
    ClusterCreated: ("created", "cluster created"),
    EntraSet: ("entra", "Microsoft Entra ID set"),
    LocalAccountsDisabled: ("accounts", "local accounts disabled"),
    LocalAccountsEnabled: ("accounts", "local accounts opened"),
    CertificatesRotated: ("rotation", "certificates rotated, with an interruption"),
}
"""The writes that are shown: the class of the bar, and what the bar says."""
IN_ONE: Final = 50
"""Clusters in one picture, so that it fits a printed page."""
WIDTH: Final = 1000.0
"""Of the time axis, in units of the picture."""
NARROWEST: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A write from the look before it to its end. `start` and `width` are units of the picture."""

    kind: str
    words: str
    start: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cluster: its bars, when its verdict was known, and all of it in words. `place` counts the clusters from 1."""

    place: int
    cluster: str
    outcome: Outcome
    bars: tuple[Bar, ...]
    end: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Up to `IN_ONE` clusters on a common time axis, with a text that says what the picture shows."""

    rows: tuple[Row, ...]
    words: str
    began: str
    ended: str


def pictures(report: FleetReport) -> tuple[Picture, ...]:
    """Return the pictures of a report. Empty if nothing was written, or if the times cannot be read."""
    writes = [at for verdict in report.verdicts for at, _, _ in _writes(verdict)]
    edges = [at for at in (when(report.started_at), when(report.ended_at)) if at is not None]
    if not writes or len(edges) < 2:  # noqa: PLR2004 - both ends
        return ()
    began, ended = min(*writes, *edges), max(*writes, *edges)
    axis = _Axis(began, ended)
    rows = [_row(axis, place, verdict) for place, verdict in enumerate(report.verdicts, 1)]
    return tuple(
        Picture(
            rows=(part := tuple(rows[first : first + IN_ONE])),
            words=_words(part, began, ended),
            began=f"{began:%Y-%m-%d %H:%M}",
            ended=f"{ended:%Y-%m-%d %H:%M}",
        )
        for first in range(0, len(rows), IN_ONE)
    )


class _Axis:
    """Places moments between the begin and the end of a rollout."""

    def __init__(self, began: datetime, ended: datetime) -> None:
        self._began = began
        self._seconds = max((ended - began).total_seconds(), 1.0)

    def at(self, moment: datetime) -> float:
        return round(WIDTH * (moment - self._began).total_seconds() / self._seconds, 1)


def _row(axis: _Axis, place: int, verdict: Verdict) -> Row:
    bars, said, end = [], [], 0.0
    for ended, began, (kind, words) in _writes(verdict):
        start, end = axis.at(began), axis.at(ended)
        bars.append(Bar(kind=kind, words=words, start=min(start, WIDTH - NARROWEST), width=max(end - start, NARROWEST)))
        said.append(f"{words} {began:%H:%M} to {ended:%H:%M}")
    looks = [at for one in verdict.evidence if (at := when(one.at)) is not None]
    last = min(max(axis.at(max(looks)), 0.0), WIDTH) if looks else end
    words = f"{verdict.cluster}: {verdict.outcome}; {'; '.join(said) or 'nothing was written'}"
    return Row(
        place=place,
        cluster=str(verdict.cluster),
        outcome=verdict.outcome,
        bars=tuple(bars),
        end=last,
        words=words,
    )


def _writes(verdict: Verdict) -> Iterator[tuple[datetime, datetime, tuple[str, str]]]:
    """Yield when each write ended, when the look before it was, and its words. What was done already is no write."""
    before: datetime | None = None
    for one in verdict.evidence:
        at = when(one.at)
        if at is None:
            continue
        words = WORDS.get(type(one))
        if words is not None and getattr(one, "changed", False):
            yield at, min(before or at, at), words
        before = at


def _words(rows: Sequence[Row], began: datetime, ended: datetime) -> str:
    """Return what a picture shows, for those who do not see it."""
    outcomes = [row.outcome for row in rows]
    counted = ", ".join(f"{outcomes.count(one)} {one}" for one in Outcome if one in outcomes)
    rotated = sum(bar.kind == "rotation" for row in rows for bar in row.bars)
    first, last = rows[0].place, rows[-1].place
    return (
        f"Timeline of clusters {first} to {last}, from {began:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC: "
        f"{counted}; {rotated} rotation{'' if rotated == 1 else 's'} with an interruption."
    )
