"""What a plan called with the admin credential of a cluster: by it, these calls are known in an audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRead:
    """The workloads of a cluster were read with its admin credential, between `at` and `until` (ISO 8601).

    `requests`: how many lists the API server answered. All of them were let in.
    """

    at: str
    until: str
    requests: int
    kind: Literal["admin-read"] = "admin-read"
