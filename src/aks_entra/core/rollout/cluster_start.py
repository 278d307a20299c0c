"""Decide from what was read at that moment whether a cluster of a batch begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.gates import still_open
from aks_entra.core.planning.rollout import Stage, stage_result
from aks_entra.core.verdict.verdict import CLOSED, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFacts:
    """What is known when a cluster could begin.

    `failures`: how many clusters of the stage failed so far. `skipped`: who skipped the cluster, in words; empty:
    nobody. `maintenance`: its maintenance windows, if the gate asks for them; None: unreadable.
    """

    failures: int
    skipped: str = ""
    maintenance: tuple[MaintenanceWindow, ...] | None = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBegun:
    """Why a cluster is not begun, for people and for programs."""

    because: str
    reason: Reason


def not_begun(stage: Stage, at_start: StartFacts, now: datetime) -> NotBegun | None:
    """Return why a cluster is not begun: the failure budget is spent, it is skipped, or a window is closed.

    Returns None if it begins now.
    """
    so_far = stage_result(stage, at_start.failures)
    if not so_far.go_on:
        return NotBegun(because=so_far.because, reason=Reason.BUDGET_SPENT)
    if at_start.skipped:
        return NotBegun(because=at_start.skipped, reason=Reason.LEFT_OUT)
    gate = stage.gate("before")
    if gate is None or still_open(gate, now=now, maintenance=at_start.maintenance):
        return None
    return NotBegun(because=CLOSED, reason=Reason.WINDOW_CLOSED)
