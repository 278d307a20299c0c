"""What goes wrong with a long-running operation: a queue, each fault for one operation, and an account of them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

OperationFaultKind = Literal[
    "fails",  # ends Failed at its share, what it has done until then is done
    "canceled",  # ends Canceled at its share, as if somebody had aborted it
    "never-ends",  # does its work and is never over
    "pre-empted",  # another operation, which nobody here started, takes the cluster away from it
    "error-inside",  # runs to its end, with NotLatestOperation beside InProgress on the way
    "slow-operation",  # lasts `factor` times as long
    "node-missing",  # a node does not come back
    "webhook-breaks",  # an admission webhook of the cluster trusts the old CA from now on
    "token-survives",  # the rotation keeps the old static token
]
KINDS: tuple[OperationFaultKind, ...] = get_args(OperationFaultKind)
OF_ROTATIONS = frozenset({"webhook-breaks", "token-survives"})
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

    `operation` is a key of `azure_sandbox.arm.operations.DURATIONS` or "*", `cluster` a glob over cluster names, `at`
    the share of the operation's length at which it happens, `error` the body of a failure.
    """

    kind: OperationFaultKind
    operation: str = "*"
    cluster: str = "*"
    at: float = 0.5
    factor: float = 10.0
    error: dict[str, Any] | None = None

    def meets(self, operation: str, cluster: str) -> bool:
        """Whether it is for this operation."""
        return self.operation in {"*", operation} and fnmatchcase(cluster.lower(), self.cluster.lower())


class OperationFaults:
    """The queue: an operation meets the first fault of each kind that fits it, once."""

    def __init__(self) -> None:
        self._waiting: list[OperationFault] = []
        self.injected = 0
        self.consumed: list[OperationFault] = []

    def add(self, fault: OperationFault, *, times: int = 1) -> None:
        """Queue a fault; ValueError for a kind or a share that is none."""
        if fault.kind not in KINDS:
            raise ValueError(f"no fault of an operation is called {fault.kind!r}; there are {', '.join(KINDS)}")
        if not 0 <= fault.at <= 1:
            raise ValueError(f"at {fault.at}: a share of the operation's length lies between 0 and 1")
        self._waiting += [fault] * times
        self.injected += times

    @property
    def waiting(self) -> tuple[OperationFault, ...]:
        """The faults that no operation has met yet."""
        return tuple(self._waiting)

    def clear(self) -> None:
        """Forget what is waiting."""
        self._waiting.clear()

    def take(self, operation: str, cluster: str) -> dict[OperationFaultKind, OperationFault]:
        """The faults that an operation meets, by kind."""
        met: dict[OperationFaultKind, OperationFault] = {}
        for it in tuple(self._waiting):
            fitting = operation == "rotate" or it.kind not in OF_ROTATIONS
            if fitting and it.kind not in met and it.meets(operation, cluster):
                met[it.kind] = it
                self._waiting.remove(it)
                self.consumed.append(it)
        return met
