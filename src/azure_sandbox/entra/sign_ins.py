"""The sign-in log: attempts of users and the results of Conditional Access. Applications are not logged.

Graph v1.0 lists interactive sign-ins of users only (auditLogs/signIns), so not the use of a refresh token.
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
    """An entry of the log. `code` is the number after AADSTS, 0 for success."""

    id: str
    at: datetime
    user: User
    client_id: str
    client_name: str
    resource_id: str
    resource_name: str
    attempt: Attempt
    applied: tuple[Applied, ...]
    results: tuple[str, ...]  # as they were at the sign-in: a policy may change later
    code: int
    failure: str
    correlation: str

    @property
    def conditional_access(self) -> str:
        """Return Graph's `conditionalAccessStatus`."""
        if "failure" in self.results:
            return "failure"
        return "success" if "success" in self.results else "notApplied"


class SignIns:
    """The entries, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[SignIn] = deque(maxlen=KEPT)

    def add(self, entry: SignIn) -> None:
        """Add an entry."""
        self.entries.append(entry)

    @staticmethod
    def new_id() -> str:
        """Return an ID for a new entry."""
        return str(uuid.uuid4())
