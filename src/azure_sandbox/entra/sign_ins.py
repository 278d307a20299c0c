"""The sign-in log: what people tried, and what Conditional Access said to it. Applications are not in it.

Graph v1.0 lists interactive sign-ins of users only (auditLogs/signIns); a refresh is none.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from azure_sandbox.entra.conditional import Applied, Attempt
from azure_sandbox.entra.objects import User

KEPT = 10_000  # sign-ins; the real log keeps 30 days


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """One entry; `code` is 0 for success, else the number behind AADSTS."""

    id: str
    at: datetime
    user: User
    client_id: str
    client_name: str
    resource_id: str
    resource_name: str
    attempt: Attempt
    applied: tuple[Applied, ...]
    results: tuple[str, ...]  # as they were: a policy may change afterwards
    code: int
    failure: str
    correlation: str

    @property
    def conditional_access(self) -> str:
        """Graph's `conditionalAccessStatus`."""
        if "failure" in self.results:
            return "failure"
        return "success" if "success" in self.results else "notApplied"


class SignIns:
    """The entries, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[SignIn] = deque(maxlen=KEPT)

    def add(self, entry: SignIn) -> None:
        """Write one down."""
        self.entries.append(entry)

    @staticmethod
    def new_id() -> str:
        """An id for an entry."""
        return str(uuid.uuid4())
