"""Scripted faults of requests: a queue in which each fault hits one request, with counts.

A test asserts at the end that `waiting` is empty: a fault that hit nothing proves nothing. Faults of long-running
operations have a queue of their own in `operations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from azure_sandbox.faults.operations import OperationFaults
from azure_sandbox.front.http import Reply, Request

FaultKind = Literal[
    "status",  # this answer instead of the service's
    "reset",  # the connection is cut before the service does anything
    "lost",  # the connection is cut (or another answer sent) after the service has done its work
    "hang",  # no answer for `seconds`, then the connection is cut
    "slow",  # the body arrives in pieces over `seconds`
    "truncated",  # the second half of the JSON is missing
    "throttle",  # 429 with Retry-After
    "identity-throttle",  # 429 of a PUT whose identity could not be read, without Retry-After
    "etag-mismatch",  # 409 of a write that another operation overtook inside AKS
    "token-expired",  # the token in the request counts as expired now
    "other-writer",  # another client changes the cluster just before this request is read
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
DEFAULT_HOST = "management.azure.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request.

    `answer` is sent instead of the service's; None cuts the connection. With `lost` the service does its work first,
    and the client never learns that it succeeded. `change` is merged into the cluster (kind `other-writer`).
    """

    method: str
    host: str  # a glob: "management.azure.com", "*.azmk8s.io"
    path: re.Pattern[str]  # matches any part of the path and ignores case
    answer: Reply | None
    lost: bool = False
    kind: FaultKind = "status"
    seconds: float = 0.0
    change: Mapping[str, Any] = field(default_factory=dict)

    def meets(self, request: Request) -> bool:
        """Return whether the fault applies to a request."""
        return (
            self.method in {"*", request.method}
            and fnmatchcase(request.host.lower(), self.host.lower())
            and self.path.search(request.path) is not None
        )


class Faults:
    """The queue. A request takes the first fault that applies to it, and each fault hits one request.

    The sandbox sets `interfere`, which changes a cluster as another writer, and `expire`, which returns a token as an
    expired one.
    """

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self.injected = 0
        self.consumed: list[Fault] = []
        self.operations = OperationFaults()
        self.interfere: Callable[[Request, Mapping[str, Any]], None] = lambda _request, _change: None
        self.expire: Callable[[str], str] = lambda token: token

    def add(  # noqa: PLR0913  # one argument per field of a fault
        self,
        method: str,
        path: str,
        *,
        host: str = DEFAULT_HOST,
        answer: Reply | None = None,
        lost: bool = False,
        times: int = 1,
        kind: FaultKind | None = None,
        seconds: float = 0.0,
        change: Mapping[str, Any] | None = None,
    ) -> None:
        """Queue a fault for the next `times` requests of a method ("*": any) whose path matches a regular expression.

        Raises:
            ValueError: The path is not a valid regular expression.
        """
        try:
            pattern = re.compile(path, re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"{path!r} is not a valid regular expression: {error}") from error
        if kind is None:
            kind = "lost" if lost else "status" if answer is not None else "reset"
        fault = Fault(
            method=method.upper(),
            host=host,
            path=pattern,
            answer=answer,
            lost=lost or kind == "lost",
            kind=kind,
            seconds=seconds,
            change=dict(change or {}),
        )
        self._waiting += [fault] * times
        self.injected += times

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """Return the faults that have not hit a request yet."""
        return tuple(self._waiting)

    def clear(self) -> None:
        """Remove the queued faults of requests and of operations."""
        self._waiting.clear()
        self.operations.clear()

    def take(self, request: Request) -> Fault | None:
        """Take from the queue the fault that hits a request, and return it. Returns None if no fault applies."""
        if not self._waiting:
            return None
        found = next((it for it in self._waiting if it.meets(request)), None)
        if found is not None:
            self._waiting.remove(found)
            self.consumed.append(found)
        return found

    def account(self) -> dict[str, int]:
        """Return the numbers of faults that were injected, consumed and left over, operations included."""
        operations = self.operations
        return {
            "injected": self.injected + operations.injected,
            "consumed": len(self.consumed) + len(operations.consumed),
            "left": len(self._waiting) + len(operations.waiting),
        }


def throttled(seconds: int = 1) -> Reply:
    """Return Azure Resource Manager's 429, with Retry-After in seconds."""
    error = {"code": "TooManyRequests", "message": "The request is being throttled."}
    return Reply(429, {"error": error}, {"Retry-After": str(seconds)})


def identity_throttled(resource: str = "") -> Reply:
    """Return ARM's 429, without Retry-After, for a PUT whose identity it could not read. Recorded in September 2024."""
    text = (
        f"Identity operation for resource '{resource}' failed with error 'Failed to perform resource identity "
        "operation. Status: '429'. Response: 'Too many requests. Retry after 2 seconds.'.'."
    )
    error = {"code": "FailedIdentityOperation", "message": text}
    return Reply(429, {"error": error}, {"x-ms-failure-cause": "gateway"})


def overtaken() -> Reply:
    """Return AKS's 409 for a write that another operation overtook. Recorded in March 2026."""
    text = (
        "Operation is not allowed: Another operation is in progress. Please refer "
        "https://aka.ms/aks/aksoperationpreempted to for more details."
    )
    details = [{"code": "Unspecified", "message": "rpc error: code = FailedPrecondition desc = Etag mismatched"}]
    subcode = "PutManagedClusterAndComponents_FailedPrecondition_HCPServerError"
    return Reply(409, {"code": "EtagMismatch", "details": details, "message": text, "subcode": subcode})


def plain(status: int, code: str = "") -> Reply:
    """Return an error in ARM's envelope. Without a code, the status decides it."""
    names = {401: "InvalidAuthenticationToken", 403: "AuthorizationFailed", 404: "ResourceNotFound", 409: "Conflict"}
    names |= {500: "InternalServerError", 502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}
    code = code or names.get(status, "Fault")
    return Reply(status, {"error": {"code": code, "message": f"A scripted fault of the sandbox: {code}."}})
