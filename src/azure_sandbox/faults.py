"""Scripted faults: a queue of what goes wrong, each for one kind of request, and an account of which were met.

A test scripts what Azure does on a bad day and asserts at the end that `waiting` is empty: a fault that nobody met
proves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from azure_sandbox.http import Reply, Request


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

    def meets(self, request: Request) -> bool:
        """Whether it is for this request."""
        return (
            self.method in {"*", request.method}
            and fnmatchcase(request.host.lower(), self.host.lower())
            and self.path.search(request.path) is not None
        )


class Faults:
    """The queue: the first fault that fits a request is met by it, once."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        host: str = "management.azure.com",
        answer: Reply | None = None,
        lost: bool = False,
        times: int = 1,
    ) -> None:
        """Script a fault for the next `times` requests with this method ("*": any) whose path matches the pattern."""
        pattern = re.compile(path, re.IGNORECASE)
        fault = Fault(method=method.upper(), host=host, path=pattern, answer=answer, lost=lost)
        self._waiting += [fault] * times

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """The faults that no request has met yet."""
        return tuple(self._waiting)

    def take(self, request: Request) -> Fault | None:
        """The fault that this request meets."""
        found = next((it for it in self._waiting if it.meets(request)), None)
        if found is not None:
            self._waiting.remove(found)
        return found


def throttled(seconds: int = 1) -> Reply:
    """Azure Resource Manager's 429."""
    error = {"code": "TooManyRequests", "message": "The request is being throttled."}
    return Reply(429, {"error": error}, {"Retry-After": str(seconds)})
