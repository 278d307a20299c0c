"""What a coordinator can do next, as values. `next_action` chooses one; `flows.migrate_fleet` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.rollout import StageResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckStage:
    """Read from Azure which of these clusters still have a step that writes.

    `for_changes`: plan again the clusters that changed since the plan was made, before a person is asked to approve it.
    """

    place: int
    clusters: tuple[ClusterId, ...]
    for_changes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMaintenanceWindows:
    """Read the maintenance windows of these clusters."""

    clusters: tuple[ClusterId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAuditLogs:
    """Read from the audit logs of these clusters who called with an old credential in the last `quiet` seconds."""

    clusters: tuple[ClusterId, ...]
    quiet: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArriveAtGate:
    """Store that the gate is reached now: its waits count from this moment."""

    place: int
    side: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class AskForApproval:
    """Suspend the run until a person approves or rejects.

    `instead_of`: the last approval, where it expired. `expired`: when that was.
    """

    place: int
    side: Side
    instead_of: Approval | None = None
    expired: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitUntil:
    """End the process and run again at this time. `results`: store a report of these stages first."""

    at: datetime
    because: str
    results: tuple[StageResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStage:
    """Start the batches of a stage, or follow those that run already, to their ends.

    `batches`: the number of each batch and its clusters. `writes`: whether they may write, or only read and verify.
    """

    place: int
    batches: tuple[tuple[int, tuple[ClusterId, ...]], ...]
    writes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishStage:
    """Store that the run has passed a stage and both its gates."""

    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRotation:
    """Plan the rotations of these clusters, and continue with that plan."""

    clusters: tuple[ClusterId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Store the report and end the run. `stopped`: why the rollout does not continue; empty: it is complete.

    `reached`: how many stages were worked on. `rejected`: whether a person stopped it.
    """

    results: tuple[StageResult, ...]
    reached: int
    stopped: str = ""
    rejected: bool = False


Action: TypeAlias = (
    RecheckStage
    | ReadMaintenanceWindows
    | ReadAuditLogs
    | ArriveAtGate
    | AskForApproval
    | RunStage
    | FinishStage
    | StartRotation
)
"""What the run does before it looks again what comes next."""
NextAction: TypeAlias = Action | WaitUntil | End
