"""What Privileged Identity Management stores: requests, schedules and the rules of each group. Nothing is deleted.

Status words: Graph's requestStatus, as the Terraform provider sorts them (can be cancelled, can be revoked, gone).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from azure_sandbox.entra.objects import Relation

ScheduleKind = Literal["eligibility", "assignment"]
Access = Literal["member", "owner"]
RELATIONS: dict[Access, Relation] = {"member": "members", "owner": "owners"}
GroupAccess = tuple[str, Access]


@dataclass(slots=True, kw_only=True)
class Schedule:
    """An eligible or active member or owner of a group, from `start` to `end` (None: permanent)."""

    id: str
    kind: ScheduleKind
    group: str
    principal: str
    access: Access
    start: datetime
    end: datetime | None
    created: datetime
    by_request: str
    activated: bool = False  # activated by an eligible principal; False: assigned
    revoked: datetime | None = None

    def over(self, now: datetime) -> bool:
        """Return whether the schedule has ended or was revoked."""
        return self.revoked is not None or (self.end is not None and self.end <= now)

    def lasts(self, now: datetime) -> bool:
        """Return whether the schedule is in force at a moment."""
        return self.start <= now and not self.over(now)


@dataclass(slots=True, kw_only=True)
class Stage:
    """The approval that a request waits for."""

    id: str
    approvers: frozenset[str]
    needs_justification: bool
    until: datetime
    result: Literal["NotReviewed", "Approve", "Deny"] = "NotReviewed"
    reviewer: str | None = None
    reviewed_at: datetime | None = None
    justification: str = ""


@dataclass(slots=True, kw_only=True)
class ScheduleRequest:
    """A request and its result."""

    id: str
    kind: ScheduleKind
    group: str
    principal: str
    access: Access
    action: str
    status: str
    created: datetime
    created_by: str
    justification: str | None
    ticket: dict[str, Any]
    schedule_info: dict[str, Any] | None
    custom_data: str | None = None
    validation_only: bool = False
    completed: datetime | None = None
    schedule_id: str | None = None
    stage: Stage | None = None

    def seen_status(self, now: datetime) -> str:
        """Return the status at a moment. An approval that nobody decides times out."""
        if self.status == "PendingApproval" and self.stage is not None and now >= self.stage.until:
            return "TimedOut"
        return self.status


@dataclass(slots=True)
class Pim:
    """The state of PIM for Groups."""

    requests: dict[str, ScheduleRequest] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    onboarded: set[str] = field(default_factory=set)  # IDs of groups
    rules: dict[GroupAccess, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def lasting(self, kind: ScheduleKind, group: str, principal: str, access: Access, now: datetime) -> Schedule | None:
        """Return the schedule that is not over. Returns None if no such schedule exists."""
        return next(
            (
                it
                for it in self.schedules.values()
                if (it.kind, it.group, it.principal, it.access) == (kind, group, principal, access) and not it.over(now)
            ),
            None,
        )
