"""Graph's throttling, if the sandbox is told to throttle: documented budgets that the sandbox's clock refills.

Sources: Graph's throttling-limits page (identity and access: resource units per application and tenant, writes, costs
by kind of read); the Terraform provider's documentation (Conditional Access: about one request per second).
"""

from __future__ import annotations

import math
import re
from datetime import datetime

from azure_sandbox.front.http import Problem, Request
from azure_sandbox.graph import errors

_BUDGETS = {"read": (3500.0, 10.0), "write": (3000.0, 150.0), "conditional": (1.0, 1.0)}  # units, seconds
_COSTS = (
    (re.compile(r"/transitiveMemberOf|/transitiveMembers", re.IGNORECASE), 5.0),
    (re.compile(r"/members|/owners|/memberOf", re.IGNORECASE), 3.0),
    (re.compile(r"/(check|get)MemberGroups", re.IGNORECASE), 4.0),
)
_ACTIONS = re.compile(r"/(?:(?:microsoft\.graph\.)?(?:check|get)MemberGroups|getByIds|evaluate)$", re.IGNORECASE)


class Throttle:
    """The token buckets of each application; `on` says whether requests are counted and refused."""

    def __init__(self, *, on: bool = False) -> None:
        self.on = on
        self._left: dict[tuple[str, str], tuple[float, datetime]] = {}

    def pay(self, request: Request, application: str) -> Problem | None:
        """Take the cost of a request from the budget of an application (its client id).

        Returns:
            The refusal if the budget is too small, or None.
        """
        if not self.on:
            return None
        kind = _kind(request)
        cost = next((it for pattern, it in _COSTS if pattern.search(request.path)), 1.0) if kind == "read" else 1.0
        most, seconds = _BUDGETS[kind]
        left, since = self._left.get((application, kind), (most, request.now))
        left = min(most, left + (request.now - since).total_seconds() * most / seconds)
        if left >= cost:
            self._left[application, kind] = (left - cost, request.now)
            return None
        self._left[application, kind] = (left, request.now)
        wait = math.ceil((cost - left) * seconds / most)
        return too_many(max(wait, 1))


def too_many(seconds: int) -> Problem:
    """Return Graph's 429, with the seconds to wait in `Retry-After`."""
    problem = errors.problem(429, "TooManyRequests", "Too many requests")
    return Problem(problem.status, problem.body, {"Retry-After": str(seconds)})


def _kind(request: Request) -> str:
    if "/conditionalaccess/" in request.path.lower():
        return "conditional"
    return "read" if request.method == "GET" or _ACTIONS.search(request.path) else "write"
