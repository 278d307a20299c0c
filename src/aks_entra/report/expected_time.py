"""The expected time of a plan in words, for the text and Markdown printers. It does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aks_entra.core.estimate.durations import Span
from aks_entra.core.estimate.model import Binding, ExpectedTime, StageTime

TITLE: Final = "Expected time"
_MINUTE: Final = 60.0
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_UPDATES: Final = "Azure's updates bind"
_OPERATIONS: Final = {
    "rotate certificates": "Azure's rotations bind",
    "enable Entra": _UPDATES,
    "update Entra": _UPDATES,
    "disable local accounts": _UPDATES,
    "enable local accounts": _UPDATES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeView:
    """The expected time in words: a row for each stage and for the total, and notes on what the figures rest on."""

    rows: tuple[tuple[str, str, str, str], ...]  # stage, clusters, time, what binds
    notes: tuple[str, ...]


def time_view(expected: ExpectedTime) -> TimeView:
    """Return the expected time in words."""
    rows = [_row(stage) for stage in expected.stages]
    if len(rows) > 1:
        rows.append(("in total", "", in_range(expected.total), ""))
    people = expected.approvals
    counted = f"the time until a person approves is not known: {people} approval{'' if people == 1 else 's'}"
    notes = [*([counted] if people else []), *(f"not known: {words}" for words in expected.unknown)]
    return TimeView(rows=tuple(rows), notes=(*notes, f"based on {expected.basis}"))


def about(seconds: float) -> str:
    """Return a time without false precision: `2 min`, `35 min`, `1 h 50 min`, `14 h`, `3 days`."""
    if seconds < 10 * _MINUTE:
        return f"{max(1, round(seconds / _MINUTE))} min"
    minutes = (5 if seconds < _HOUR else 10) * round(seconds / _MINUTE / (5 if seconds < _HOUR else 10))
    if minutes < 10 * _HOUR / _MINUTE:
        hours, rest = divmod(minutes, 60)
        return " ".join(part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part)
    if seconds < 2 * _DAY:
        return f"{round(seconds / _HOUR)} h"
    return f"{round(seconds / _DAY)} days"


def in_range(span: Span) -> str:
    """Return `about 1 h 50 min (50 min to 3 h)`, or `about 14 h` where least and most read alike."""
    low, likely, high = about(span.low), about(span.likely), about(span.high)
    return f"about {likely}" if low == high else f"about {likely} ({low} to {high})"


def _row(stage: StageTime) -> tuple[str, str, str, str]:
    clusters = f"{stage.clusters} cluster{'' if stage.clusters == 1 else 's'}"
    if stage.at_a_time < stage.clusters:
        clusters += f", {stage.at_a_time} at a time"
    time = in_range(stage.work)
    if stage.waits.likely >= _MINUTE:
        time += f", and waits of about {about(stage.waits.likely)}"
    return f"stage {stage.name}", clusters, time, _binds(stage)


def _binds(stage: StageTime) -> str:
    """Return what makes the stage take so long."""
    match stage.binds:
        case Binding.OPERATION:
            words = _OPERATIONS.get(stage.binds_at, "the checks bind")
            return f"{words}, in {stage.rounds} rounds" if stage.rounds > 1 else words
        case Binding.REQUESTS:
            return f"Azure's request limit binds: {stage.binds_at}"
        case _:
            return f"{stage.binds_at} binds"
