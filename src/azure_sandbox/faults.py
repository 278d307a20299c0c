"""Scripted faults: a queue of what goes wrong, each for one kind of request, and an account of which were met.

A test scripts what Azure does on a bad day and asserts at the end that `waiting` is empty: a fault that nobody met
proves nothing. What goes wrong with a long-running operation is queued in `operations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from azure_sandbox.http import Reply, Request
from azure_sandbox.operation_faults import OperationFaults

FaultKind = Literal[
    "status",  # another answer than the service's
    "reset",  # the connection is cut, nothing has been done
    "lost",  # the connection is cut (or another answer sent) after the service has done its work
    "hang",  # no answer for so many seconds, then the connection is cut
    "slow",  # the body comes in pieces, over so many seconds
    "truncated",  # the JSON ends in its middle
    "throttle",  # 429 with Retry-After
    "token-expired",  # the token in the request counts as expired now
    "other-writer",  # somebody else changes the cluster just before this request is read
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
DEFAULT_HOST = "management.azure.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request.

    `answer` is sent instead of the service's; None cuts the connection. With `lost` the service does its work first:
    the client never learns that it succeeded.
    """

    method: str
    host: str  # a glob: "management.azure.com", "*.azmk8s.io"
    path: re.Pattern[str]  # searched for, whatever the case
    answer: Reply | None
    lost: bool = False
    kind: FaultKind = "status"
    seconds: float = 0.0
    change: Mapping[str, Any] = field(default_factory=dict)

    def meets(self, request: Request) -> bool:
        """Whether it is for this request."""
        return (
            self.method in {"*", request.method}
            and fnmatchcase(request.host.lower(), self.host.lower())
            and self.path.search(request.path) is not None
        )


class Faults:
    """The queue: the first fault that fits a request is met by it, once.

    `interfere` and `expire` are what a sandbox lends: how another writer changes a cluster, how a token gets old.
    """

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self.injected = 0
        self.consumed: list[Fault] = []
        self.operations = OperationFaults()
        self.interfere: Callable[[Request, Mapping[str, Any]], None] = lambda _request, _change: None
        self.expire: Callable[[str], str] = lambda token: token

    def add(  # noqa: PLR0913  # a fault has many sides
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
        """Script a fault for the next `times` requests with this method ("*": any) whose path matches the pattern.

        ValueError when the pattern is none.
        """
        try:
            pattern = re.compile(path, re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"{path!r} is no regular expression: {error}") from error
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
        """The faults that no request has met yet."""
        return tuple(self._waiting)

    def clear(self) -> None:
        """Forget what is waiting, for requests and for operations."""
        self._waiting.clear()
        self.operations.clear()

    def take(self, request: Request) -> Fault | None:
        """The fault that this request meets."""
        if not self._waiting:
            return None
        found = next((it for it in self._waiting if it.meets(request)), None)
        if found is not None:
            self._waiting.remove(found)
            self.consumed.append(found)
        return found

    def account(self) -> dict[str, int]:
        """How many were injected, consumed, and are left over."""
        operations = self.operations
        return {
            "injected": self.injected + operations.injected,
            "consumed": len(self.consumed) + len(operations.consumed),
            "left": len(self._waiting) + len(operations.waiting),
        }


def throttled(seconds: int = 1) -> Reply:
    """Azure Resource Manager's 429."""
    error = {"code": "TooManyRequests", "message": "The request is being throttled."}
    return Reply(429, {"error": error}, {"Retry-After": str(seconds)})


def plain(status: int, code: str = "") -> Reply:
    """An answer with a status, in ARM's envelope."""
    names = {401: "InvalidAuthenticationToken", 403: "AuthorizationFailed", 404: "ResourceNotFound", 409: "Conflict"}
    names |= {500: "InternalServerError", 502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}
    code = code or names.get(status, "Fault")
    return Reply(status, {"error": {"code": code, "message": f"A scripted fault of the sandbox: {code}."}})
