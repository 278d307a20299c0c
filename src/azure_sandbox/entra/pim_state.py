"""What Privileged Identity Management remembers: requests, schedules, the rules of each group. Nothing is ever deleted.

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
    """Who may be, or is, in a group, from when until when (None: for good)."""

    id: str
    kind: ScheduleKind
    group: str
    principal: str
    access: Access
    start: datetime
    end: datetime | None
    created: datetime
    by_request: str
    activated: bool = False  # by the person, from an eligibility; else assigned
    revoked: datetime | None = None

    def over(self, now: datetime) -> bool:
        """Whether it has ended or was revoked."""
        return self.revoked is not None or (self.end is not None and self.end <= now)

    def lasts(self, now: datetime) -> bool:
        """Whether it counts at this moment."""
        return self.start <= now and not self.over(now)


@dataclass(slots=True, kw_only=True)
class Stage:
    """The decision that a request waits for."""

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
    """What somebody asked for, and what became of it."""

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
        """The status at this moment: nobody decides for ever."""
        if self.status == "PendingApproval" and self.stage is not None and now >= self.stage.until:
            return "TimedOut"
        return self.status


@dataclass(slots=True)
class Pim:
    """Everything that PIM for Groups holds."""

    requests: dict[str, ScheduleRequest] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    onboarded: set[str] = field(default_factory=set)  # groups
    rules: dict[GroupAccess, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def lasting(self, kind: ScheduleKind, group: str, principal: str, access: Access, now: datetime) -> Schedule | None:
        """A schedule that is not over."""
        return next(
            (
                it
                for it in self.schedules.values()
                if (it.kind, it.group, it.principal, it.access) == (kind, group, principal, access) and not it.over(now)
            ),
            None,
        )
