"""Decide from what was read at that moment whether a cluster of a batch begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.gates import still_open
from aks_entra.core.planning.rollout import Stage, stage_result
from aks_entra.core.rollout.quiet import Listened, words_of
from aks_entra.core.verdict.verdict import CLOSED, Reason

SHUT: Final = "its gate shut again before its turn: it is begun when that opens again"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFacts:
    """What is known when a cluster could begin.

    `failures`: how many clusters of the stage failed so far. `skipped`: who skipped the cluster, in words; empty:
    nobody. `maintenance`: its maintenance windows, if the gate asks for them; None: unreadable. `listened`: what the
    audit logs of the batch's clusters that have not begun show, if the gate asks for it. `writes`: whether the batch
    may write; one that only looks waits for nothing.
    """

    failures: int
    skipped: str = ""
    maintenance: tuple[MaintenanceWindow, ...] | None = ()
    listened: tuple[Listened, ...] = ()
    writes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBegun:
    """Why a cluster is not begun, for people and for programs."""

    because: str
    reason: Reason


def not_begun(stage: Stage, at_start: StartFacts, now: datetime) -> NotBegun | None:
    """Return why a cluster is not begun: the failure budget is spent, it is skipped, or its gate has shut again.

    Returns None if it begins now.
    """
    so_far = stage_result(stage, at_start.failures)
    if not so_far.go_on:
        return NotBegun(because=so_far.because, reason=Reason.BUDGET_SPENT)
    if at_start.skipped:
        return NotBegun(because=at_start.skipped, reason=Reason.LEFT_OUT)
    gate = stage.gate("before")
    if gate is None or not at_start.writes:
        return None
    if not still_open(gate, now=now, maintenance=at_start.maintenance):
        return NotBegun(because=CLOSED, reason=Reason.WINDOW_CLOSED)
    shut = tuple(one for one in at_start.listened if not one.quiet)
    if gate.quiet and (shut or not at_start.listened):
        return NotBegun(because=f"{SHUT}: {words_of(shut, gate.quiet)}", reason=Reason.NOT_QUIET)
    return None
