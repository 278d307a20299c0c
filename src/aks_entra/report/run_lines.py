"""What a run says about itself in Prefect's logs and state messages: actions of a rollout, and verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.actions import (
    Action,
    ArriveAtGate,
    AskForApproval,
    FinishStage,
    ReadMaintenanceWindows,
    RecheckStage,
    RunStage,
    StartRotation,
)
from aks_entra.core.verdict.verdict import Outcome, Verdict

NAMED: Final = 3
"""Clusters that a state message names. The report has all of them."""


def line_of_plan(plan: FleetPlan) -> str:
    """Return which plan a coordinator carries out."""
    return f"this run carries out plan {plan.digest} of fleet {plan.name}: {_count(plan.clusters)}"


def line_of_action(plan: FleetPlan, action: Action) -> str:  # noqa: PLR0911 - a table: one line for each action
    """Return what a coordinator does next."""
    match action:
        case RecheckStage():
            stage, clusters = _stage(plan, action.place), _count(action.clusters)
            return f"{stage}: the run reads from Azure what is left to write on {clusters}"
        case ReadMaintenanceWindows():
            return f"the run reads the maintenance windows of {_count(action.clusters)}"
        case ArriveAtGate():
            return f"the gate {action.side} {_stage(plan, action.place)} is reached"
        case AskForApproval():
            expired = f", because the earlier approval expired at {action.expired}" if action.expired else ""
            return f"the gate {action.side} {_stage(plan, action.place)} needs an approval{expired}"
        case RunStage():
            members = tuple(member for _, batch in action.batches for member in batch)
            batches = f"{len(action.batches)} batch{'' if len(action.batches) == 1 else 'es'}"
            reads = "" if action.writes else "; it only reads, because no step that writes is left"
            return f"{_stage(plan, action.place)} begins: {_count(members)} in {batches}{reads}"
        case FinishStage():
            return f"{_stage(plan, action.place)} and its gates are passed"
        case StartRotation():
            return f"the run plans the rotation of {_count(action.clusters)}"
        case _:
            assert_never(action)


def line_of_verdict(verdict: Verdict) -> str:
    """Return a verdict with its reasons and what to do next, as one line."""
    grade = f" (proof: {verdict.grade})" if verdict.grade else ""
    then = f" → {verdict.next}" if verdict.next else ""
    return f"{verdict.cluster}: {verdict.outcome}{grade}: {' · '.join(verdict.because)}{then}"


def unsettled(verdicts: Iterable[Verdict]) -> str:
    """Return the clusters that somebody has to look at, each with its first reason and what to do next.

    Empty if every cluster is verified, with all hooks done, or was skipped on purpose. At most `NAMED` are named.
    """
    found = [one for one in verdicts if one.outcome not in {Outcome.VERIFIED, Outcome.SKIPPED} or one.hooks_left]
    lines = []
    for one in found[:NAMED]:
        because = f": {one.because[0]}" if one.because else ""
        then = f" → {one.next}" if one.next else ""
        lines.append(f"{one.cluster} is {one.outcome}{because}{then}")
    if len(found) > NAMED:
        lines.append(f"{len(found) - NAMED} more: see the report")
    return " · ".join(lines)


def _stage(plan: FleetPlan, place: int) -> str:
    return f"stage {plan.stages[place].name}"


def _count(clusters: tuple[object, ...]) -> str:
    return f"{len(clusters)} cluster{'' if len(clusters) == 1 else 's'}"
