"""Faults of long-running operations: a queue in which each fault hits one operation, with counts."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

OperationFaultKind = Literal[
    "fails",  # ends Failed at `at`; its effects up to that point remain
    "canceled",  # ends Canceled at `at`, as if it had been aborted
    "never-ends",  # does its work, but stays in progress
    "pre-empted",  # another operation, of unknown origin, replaces it
    "error-inside",  # succeeds, but shows NotLatestOperation together with InProgress on the way
    "slow-operation",  # lasts `factor` times as long
    "node-missing",  # a node does not come back
    "webhook-breaks",  # an admission webhook of the cluster trusts the old CA from now on
    "token-survives",  # the rotation keeps the old static token
    "instance-stale",  # one of several instances of the API server goes on with the old keys
]
KINDS: tuple[OperationFaultKind, ...] = get_args(OperationFaultKind)
OF_ROTATIONS = frozenset({"webhook-breaks", "token-survives", "instance-stale"})
NOT_LATEST = {
    "code": "NotLatestOperation",
    "message": "Cannot proceed with the operation. Either the operation has been preempted by another one, or the "
    "information needed by the operation failed to be saved (or hasn't been saved yet).",
}
INTERNAL = {
    "code": "ProvisioningControlPlaneError",
    "message": "AKS encountered an internal error while attempting the requested operation. AKS will continuously "
    "retry the requested operation until successful or a retry timeout is hit. Check back to see if the operation "
    "requires resubmission.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFault:
    """What happens to one operation.

    `operation` is a key of `azure_sandbox.arm.containerservice.durations.DURATIONS` or "*". `cluster` is a glob of
    cluster names. `at` is the point in the operation, from 0 (start) to 1 (end). `error` is a failure's error body.
    """

    kind: OperationFaultKind
    operation: str = "*"
    cluster: str = "*"
    at: float = 0.5
    factor: float = 10.0
    error: dict[str, Any] | None = None

    def meets(self, operation: str, cluster: str) -> bool:
        """Return whether the fault applies to an operation."""
        return self.operation in {"*", operation} and fnmatchcase(cluster.lower(), self.cluster.lower())


class OperationFaults:
    """The queue. Each fault hits one operation; an operation takes at most one fault of each kind."""

    def __init__(self) -> None:
        self._waiting: list[OperationFault] = []
        self.injected = 0
        self.consumed: list[OperationFault] = []

    def add(self, fault: OperationFault, *, times: int = 1) -> None:
        """Queue a fault. Raises ValueError for an unknown kind or an `at` outside 0 to 1."""
        if fault.kind not in KINDS:
            raise ValueError(f"unknown kind of operation fault {fault.kind!r}; there are {', '.join(KINDS)}")
        if not 0 <= fault.at <= 1:
            raise ValueError(f"at {fault.at}: the point in the operation must lie between 0 and 1")
        self._waiting += [fault] * times
        self.injected += times

    @property
    def waiting(self) -> tuple[OperationFault, ...]:
        """Return the faults that have not hit an operation yet."""
        return tuple(self._waiting)

    def clear(self) -> None:
        """Remove the queued faults."""
        self._waiting.clear()

    def take(self, operation: str, cluster: str) -> dict[OperationFaultKind, OperationFault]:
        """Take from the queue the faults that hit an operation, and return them by kind."""
        met: dict[OperationFaultKind, OperationFault] = {}
        for it in tuple(self._waiting):
            fitting = operation == "rotate" or it.kind not in OF_ROTATIONS
            if fitting and it.kind not in met and it.meets(operation, cluster):
                met[it.kind] = it
                self._waiting.remove(it)
                self.consumed.append(it)
        return met
