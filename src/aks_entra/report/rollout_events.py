"""The course of a rollout as a list of events, the earliest first: the text alternative of its picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aks_entra.core.durations import when
from aks_entra.core.verdict.history import (
    INTERRUPTED,
    UNCONFIRMED,
    GateHistory,
    RolloutHistory,
    StageHistory,
    UngatedDecision,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `at` is ISO 8601 in UTC. `interruption`: whether work was cut short."""

    at: str
    what: str
    interruption: bool = False


def events_of(history: RolloutHistory) -> tuple[Event, ...]:
    """Return what happened. What has no time did not happen, or no record of it is left."""

    def left(one: UngatedDecision) -> str:
        return UNCONFIRMED if one.unconfirmed else ""

    ungated = [
        Event(at=one.at, what=f"{one.by}, a claim, let stages begin without an approval ({one.reason}){left(one)}")
        for one in history.ungated
    ]
    found = [*ungated, *_runs(history), *(event for stage in history.stages for event in _stage(stage))]
    return tuple(sorted((one for one in found if one.at), key=lambda one: when(one.at) or _NEVER))


_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def _runs(history: RolloutHistory) -> Iterator[Event]:
    for place, run in enumerate(history.runs):
        name = f"run {run.run[:8]}"
        yield Event(at=run.began_at, what=f"{name} resumed the rollout" if place else f"{name} began")
        if place + 1 < len(history.runs):
            yield Event(at=run.ended_at, what=f"{name} ended {run.state or 'for an unknown reason'}", interruption=True)


def _stage(stage: StageHistory) -> Iterator[Event]:
    clusters = f"{len(stage.clusters)} cluster{'' if len(stage.clusters) == 1 else 's'}"
    if stage.before:
        yield from _gate(stage, stage.before)
    ungated = "" if stage.before else "; the plan has no gate before it"
    yield Event(at=stage.began_at, what=f"stage {stage.name} began: {clusters}{ungated}")
    for batch in stage.batches:
        if batch.state in INTERRUPTED:
            what = f"stage {stage.name}: batch {batch.number} ended {batch.state}"
            yield Event(at=batch.ended_at, what=what, interruption=True)
    yield Event(at=stage.ended_at, what=f"stage {stage.name} ended")
    if stage.after:
        yield from _gate(stage, stage.after)


def _gate(stage: StageHistory, gate: GateHistory) -> Iterator[Event]:
    name = f"gate {gate.side} stage {stage.name}"
    yield Event(at=gate.reached_at, what=f"{name} was reached; it waits for: {'; '.join(gate.conditions)}")
    for one in gate.askings:
        yield Event(at=one.asked_at, what=f"{name}: an approval was asked for")
        said = one.decision
        if said is None:
            yield Event(at=one.answered_at, what=f"{name}: the answer has no decision that is recorded")
        else:
            ticket = f", ticket {said.ticket}" if said.ticket else ""
            yield Event(
                at=one.answered_at,
                what=f"{name}: {said.verb} by {said.by} ({said.reason}{ticket})",
            )
    yield Event(at=gate.passed_at, what=f"{name} was passed")
