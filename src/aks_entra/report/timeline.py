"""Pictures of a rollout: its runs, gates and stages, and when it wrote to each cluster, each with words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import (
    CertificatesRotated,
    ClusterCreated,
    CredentialTried,
    EntraSet,
    Evidence,
    Failure,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
)
from aks_entra.core.verdict.history import INTERRUPTED, GateHistory, RolloutHistory, StageHistory
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
_TICKS: Final = 4
_SHORT: Final = timedelta(minutes=10)
"""A picture of less time shows seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Something that took time. `start` and `width` are units of the picture."""

    kind: str
    words: str
    start: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened at one moment. `at` is in units of the picture."""

    kind: str
    words: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a picture, and all of it in words.

    A cluster has an `outcome`, an `end` (its last look; None: nobody looked) and a `place` in the report, counted from
    1. A gate, a stage or the coordinators have none.
    """

    name: str
    words: str
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...] = ()
    place: int = 0
    outcome: Outcome | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A time on the axis. `anchor` is SVG's `text-anchor`."""

    at: float
    words: str
    anchor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Rows on a common time axis, with a heading and a text that says what the picture shows."""

    title: str
    words: str
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    kind: str
    words: str
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A row before its picture has an axis."""

    name: str
    words: str
    spans: tuple[_Span, ...]
    marks: tuple[tuple[str, str, datetime], ...] = ()
    place: int = 0
    outcome: Outcome | None = None
    end: datetime | None = None

    @property
    def moments(self) -> list[datetime]:
        """Everything that the axis has to show."""
        found = [moment for span in self.spans for moment in (span.began, span.ended)]
        return [*found, *(at for _, _, at in self.marks), *([self.end] if self.end else [])]


def overview(report: FleetReport) -> Picture | None:
    """Return the picture of runs, gates and stages. None: the report has no history of a rollout, or no times."""
    ended = when(report.ended_at)
    if report.history is None or ended is None:
        return None
    lines = [_runs(report.history, ended)]
    for stage in report.history.stages:
        lines += [_gate(stage, stage.before, ended)] if stage.before else []
        lines.append(_stage(stage, ended))
        lines += [_gate(stage, stage.after, ended)] if stage.after else []
    if not any(line.moments for line in lines):
        return None
    marks = [kind for line in lines for kind, _, _ in line.marks]
    stages = len(report.history.stages)
    counted = (
        f"{_plural(stages, 'stage')}; {_plural(marks.count('approved'), 'approval')}, "
        f"{_plural(marks.count('rejected'), 'rejection')}, {_plural(marks.count('interruption'), 'interruption')}"
    )
    return _drawn("Stages and gates", lines, counted)


def pictures(report: FleetReport) -> tuple[Picture, ...]:
    """Return pictures of the clusters, `IN_ONE` in each, stage by stage, each with a time axis of its own.

    A stage to which nothing was written, or whose times are no times, has no picture.
    """
    ended = when(report.ended_at)
    if when(report.started_at) is None or ended is None:
        return ()
    found: list[Picture] = []
    for title, members in _groups(report):
        lines = [_cluster(place, verdict, ended) for place, verdict in members]
        if any(line.spans for line in lines):
            parts = [lines[first : first + IN_ONE] for first in range(0, len(lines), IN_ONE)]
            found += [_drawn(title, part, _counted(part)) for part in parts if any(line.moments for line in part)]
    return tuple(found)


def _groups(report: FleetReport) -> Iterator[tuple[str, list[tuple[int, Verdict]]]]:
    """Yield the clusters by stage, each with its place in the report. Those of no known stage come last."""
    left = {verdict.cluster.key: (place, verdict) for place, verdict in enumerate(report.verdicts, 1)}
    for stage in report.history.stages if report.history else ():
        members = [left.pop(cluster.key) for cluster in stage.clusters if cluster.key in left]
        if members:
            yield f"Stage {stage.name}", members
    if left:
        yield "Clusters", list(left.values())


def _runs(history: RolloutHistory, now: datetime) -> _Line:
    spans, marks = [], []
    for place, run in enumerate(history.runs):
        began, ended = when(run.began_at), when(run.ended_at) or now
        if began is not None:
            said = f"run {run.run[:8]} {began:%m-%d %H:%M} to {ended:%m-%d %H:%M}"
            spans.append(_Span(kind="run", words=said, began=began, ended=ended))
            if place + 1 < len(history.runs):
                words = f"run {run.run[:8]} ended {run.state or 'for an unknown reason'}, and another run resumed it"
                marks.append(("interruption", words, ended))
    return _line("runs", spans, marks)


def _gate(stage: StageHistory, gate: GateHistory, now: datetime) -> _Line:
    reached, passed = when(gate.reached_at), when(gate.passed_at)
    spans, marks = [], []
    if reached is not None:
        words = (
            f"waited {reached:%m-%d %H:%M} to {passed:%m-%d %H:%M}" if passed else f"waits since {reached:%m-%d %H:%M}"
        )
        spans.append(_Span(kind="gate", words=words, began=min(reached, passed or now), ended=passed or now))
    for one in gate.askings:
        asked, answered = when(one.asked_at), when(one.answered_at)
        if asked is not None:
            marks.append(("asked", f"an approval was asked for {asked:%m-%d %H:%M}", asked))
        if answered is not None:
            kind = one.decision.verb if one.decision else "answered"
            by = f" by {one.decision.by}" if one.decision else ", without a decision that is recorded"
            marks.append((kind, f"{kind}{by} {answered:%m-%d %H:%M}", answered))
    return _line(f"gate {gate.side} {stage.name}", spans, marks)


def _stage(stage: StageHistory, now: datetime) -> _Line:
    spans: list[_Span] = []
    marks = []
    for batch in stage.batches:
        began, ended = when(batch.began_at), when(batch.ended_at) or now
        if began is None:
            continue
        words = f"batch {batch.number} {began:%m-%d %H:%M} to {ended:%m-%d %H:%M}"
        spans.append(_Span(kind="stage", words=words, began=began, ended=ended))
        if batch.state in INTERRUPTED:
            marks.append(("interruption", f"batch {batch.number} ended {batch.state} {ended:%m-%d %H:%M}", ended))
    return _line(f"stage {stage.name} ({len(stage.clusters)})", spans, marks)


def _line(name: str, spans: list[_Span], marks: list[tuple[str, str, datetime]]) -> _Line:
    said = "; ".join([*(span.words for span in spans), *(words for _, words, _ in marks)])
    return _Line(name=name, words=f"{name}: {said or 'not reached'}", spans=tuple(spans), marks=tuple(marks))


def _cluster(place: int, verdict: Verdict, now: datetime) -> _Line:
    spans = tuple(_writes(verdict))
    marks = tuple(_signs(verdict))
    looks = [at for one in verdict.evidence if (at := when(one.at)) is not None]
    said = [f"{one.words} {one.began:%m-%d %H:%M} to {one.ended:%H:%M}" for one in spans] or ["nothing was written"]
    said += [f"{words} {at:%m-%d %H:%M}" for _, words, at in marks]
    return _Line(
        name=str(verdict.cluster),
        words=f"{verdict.cluster}: {verdict.outcome}; {'; '.join(said)}",
        spans=spans,
        marks=marks,
        place=place,
        outcome=verdict.outcome,
        end=min(max(looks), now) if looks else None,
    )


def _writes(verdict: Verdict) -> Iterator[_Span]:
    """Yield each write from the look before it to its end. What was done already is no write."""
    before: datetime | None = None
    for one in verdict.evidence:
        at = when(one.at)
        if at is None:
            continue
        known = WORDS.get(type(one))
        if known is not None and getattr(one, "changed", False):
            kind, words = known
            yield _Span(kind=kind, words=words, began=min(before or at, at), ended=at)
        before = at


def _signs(verdict: Verdict) -> Iterator[tuple[str, str, datetime]]:
    """Yield the interruptions that were seen at a cluster."""
    for one in verdict.evidence:
        at, words = when(one.at), _interruption(one)
        if at is not None and words:
            yield "interruption", words, at


def _interruption(one: Evidence) -> str:
    match one:
        case CertificatesRotated(attached=True):
            return "a rotation that was already running was followed"
        case CredentialTried(status=None):
            return "the API server did not answer"
        case Failure():
            return f"{one.error} at {one.step}"
        case _:
            return ""


def _drawn(title: str, lines: Sequence[_Line], counted: str) -> Picture:
    """Place lines, one of which has a moment, on an axis. `counted` says what they are."""
    moments = [moment for line in lines for moment in line.moments]
    began = min(moments)
    ended = max(*moments, began + timedelta(minutes=1))

    def at(moment: datetime) -> float:
        return round(WIDTH * ((moment - began) / (ended - began)), 1)

    def bar(span: _Span) -> Bar:
        start, end = at(span.began), at(span.ended)
        width = round(max(end - start, NARROWEST), 1)
        return Bar(kind=span.kind, words=span.words, start=min(start, WIDTH - NARROWEST), width=width)

    rows = tuple(
        Row(
            name=line.name,
            words=line.words,
            bars=tuple(bar(span) for span in line.spans),
            marks=tuple(Mark(kind=kind, words=words, at=at(moment)) for kind, words, moment in line.marks),
            place=line.place,
            outcome=line.outcome,
            end=at(line.end) if line.end else None,
        )
        for line in lines
    )
    words = f"{title}, from {began:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC: {counted}."
    return Picture(title=title, words=words, rows=rows, ticks=tuple(_ticks(began, ended)))


def _ticks(began: datetime, ended: datetime) -> Iterator[Tick]:
    for place in range(_TICKS + 1):
        moment = began + (ended - began) * place / _TICKS
        clock = "%H:%M:%S" if ended - began < _SHORT else "%H:%M"
        day = "%Y-%m-%d " if place == 0 else "%m-%d " if moment.date() != began.date() else ""
        anchor = "start" if place == 0 else "end" if place == _TICKS else "middle"
        yield Tick(at=WIDTH * place / _TICKS, words=f"{moment:{day}{clock}}", anchor=anchor)


def _counted(lines: Iterable[_Line]) -> str:
    """Return which clusters these are, how they ended, and how many were interrupted."""
    rows = list(lines)
    outcomes = [row.outcome for row in rows]
    counted = ", ".join(f"{outcomes.count(one)} {one}" for one in Outcome if one in outcomes)
    rotated = sum(span.kind == "rotation" for row in rows for span in row.spans)
    which = f"clusters {rows[0].place} to {rows[-1].place}" if len(rows) > 1 else f"cluster {rows[0].place}"
    return f"{which}; {counted}; {_plural(rotated, 'rotation')} with an interruption"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
