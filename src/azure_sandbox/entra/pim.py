"""Privileged Identity Management for Groups: checks requests and carries them out. Memberships begin and end by time.

Graph decides who may send a request. Sources: Graph's PIM-for-Groups pages; the errors of entra-wire-facts section 2.8.
Inferred: an activation outlives the revocation of its eligibility; a direct member counts as permanently assigned.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure_sandbox.entra import pim_rules, roles
from azure_sandbox.entra.directory import Directory, Grant, Group, User
from azure_sandbox.entra.pim_rules import Caller, Rule
from azure_sandbox.entra.pim_schedule import Refusal, Span, exists, invalid, read
from azure_sandbox.entra.pim_state import RELATIONS, Access, Schedule, ScheduleKind, ScheduleRequest, Stage

SHORTEST = timedelta(minutes=5)
DOWNSTREAM = 2  # factor by which PIM sees a new group later than Graph's own replicas
ENDS = {"adminRemove", "selfDeactivate"}
SELF = {"selfActivate", "selfDeactivate"}
CHANGES = {"adminUpdate", "adminExtend", "adminRenew"}
ACTIONS: dict[ScheduleKind, set[str]] = {
    "eligibility": {"adminAssign", "adminRemove", *CHANGES},
    "assignment": {"adminAssign", "adminRemove", *CHANGES, *SELF},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The sender of a request, and whether the token shows a second factor (an application's never does)."""

    id: str
    mfa: bool


def rules_of(directory: Directory, group: str, access: Access) -> dict[str, Rule]:
    """Return the rules for a group's members or owners, by rule ID."""
    return directory.pim.rules.setdefault((group, access), pim_rules.defaults())


def file(directory: Directory, request: ScheduleRequest, asking: Asking) -> ScheduleRequest:
    """Check a request, carry it out or leave it pending, and store it. Raises Refusal."""
    if not {"P2"} <= directory.licences:
        words = "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license."
        raise Refusal("AadPremiumLicenseRequired", words)
    group, now = _subjects(directory, request), directory.clock.now()
    if request.action not in ACTIONS[request.kind] or (request.action in SELF and request.principal != asking.id):
        raise invalid()
    held = directory.pim.lasting(request.kind, request.group, request.principal, request.access, now)
    if request.action in ENDS:
        _end(directory, request, group, held)
    else:
        _begin(directory, request, group, held, asking)
    if not request.validation_only:
        directory.pim.onboarded.add(group.id)
        directory.pim.requests[request.id] = request
    return request


def _subjects(directory: Directory, request: ScheduleRequest) -> Group:
    group, principal = directory.group(request.group), directory.principal(request.principal)
    for found in (group, principal):
        if found is None or directory.fresh(found, factor=DOWNSTREAM):
            raise Refusal("SubjectNotFound", "The subject is not found.")
    assert group is not None  # noqa: S101  # the code above refuses None
    if isinstance(principal, Group) and group.role_assignable and request.kind == "assignment":
        raise invalid()  # no group can be an active member of a role-assignable one
    return group


def _end(directory: Directory, request: ScheduleRequest, group: Group, held: Schedule | None) -> None:
    now = directory.clock.now()
    direct = request.principal in group.members and request.kind == "assignment" and request.access == "member"
    if held is None and not direct:
        raise Refusal("RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
    if request.action == "selfDeactivate" and (held is None or not held.activated):
        raise invalid()
    if held is not None and request.kind == "assignment" and now < directory.clock.after(300, since=held.created):
        words = "The Active duration is too short. Minimum Required is 5 minutes."
        raise Refusal("ActiveDurationTooShort", words)
    request.status = "Revoked"
    if request.validation_only:
        return
    if held is None:
        directory.change_members(group, remove=[request.principal])
        return
    revoke(directory, held)
    request.schedule_id = held.id


def _begin(directory: Directory, request: ScheduleRequest, group: Group, held: Schedule | None, asking: Asking) -> None:
    now = directory.clock.now()
    caller: Caller = "EndUser" if request.action in SELF else "Admin"
    span = read(request.schedule_info, now)
    if span.lasts is not None and span.lasts < SHORTEST:
        words = "The Active duration is too short. Minimum Required is 5 minutes."
        raise Refusal("ActiveDurationTooShort", words)
    if (held is None) == (request.action in CHANGES):
        if held is None:
            raise Refusal("RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
        raise exists()
    relation = group.members if request.access == "member" else group.owners
    if request.kind == "assignment" and held is None and request.principal in relation:
        raise exists()
    rules = rules_of(directory, group.id, request.access)
    failed = pim_rules.broken(
        rules,
        caller,
        "Eligibility" if request.kind == "eligibility" else "Assignment",
        lasts=span.lasts,
        justification=request.justification,
        ticket=request.ticket,
        mfa=asking.mfa,
    )
    if caller == "EndUser" and not _eligible(directory, request, now):
        failed.insert(0, "EligibilityRule")
    if failed:
        listed = ",".join(f'"{it}"' for it in failed)
        raise Refusal("RoleAssignmentRequestPolicyValidationFailed", f"The following policy rules failed: [{listed}]")
    setting = rules["Approval_EndUser_Assignment"]["setting"]
    if caller == "EndUser" and setting["isApprovalRequired"]:
        request.status = "PendingApproval"
        request.stage = _stage(directory, setting["approvalStages"][0], now)
    elif request.validation_only:
        request.status = "Granted"
    else:
        _provision(directory, request, span)


def _eligible(directory: Directory, request: ScheduleRequest, now: datetime) -> bool:
    people = {request.principal, *directory.memberships(request.principal)}
    return any(
        it.kind == "eligibility" and it.group == request.group and it.access == request.access and it.lasts(now)
        for it in directory.pim.schedules.values()
        if it.principal in people
    )


def _stage(directory: Directory, stage: Mapping[str, Any], now: datetime) -> Stage:
    approvers: set[str] = set()
    for it in stage["primaryApprovers"]:
        object_id = it.get("userId") or it.get("groupId") or it.get("id")
        found = directory.principal(object_id)
        members = directory.members_of(found, transitive=True) if isinstance(found, Group) else [found]
        approvers |= {person.id for person in members if isinstance(person, User)}
    if not approvers:  # none configured: Global and Privileged Role Administrators decide
        approvers = {it.id for it in directory.users() if roles.any_role(it.roles, roles.PRIVILEGED)}
    return Stage(
        id=str(uuid.uuid4()),
        approvers=frozenset(approvers),
        needs_justification=bool(stage["isApproverJustificationRequired"]),
        until=now + timedelta(days=stage["approvalStageTimeOutInDays"]),
    )


def decide(directory: Directory, request: ScheduleRequest, asking: Asking, result: str, justification: str) -> None:
    """Approve or deny a request.

    Raises:
        Refusal: The decision has no justification, although the rules require one.
        LookupError: The request was already decided.
        PermissionError: The sender is not an approver.
    """
    stage, now = request.stage, directory.clock.now()
    if stage is None or asking.id not in stage.approvers or asking.id == request.created_by:
        raise PermissionError(asking.id)
    if request.seen_status(now) != "PendingApproval":
        raise LookupError(request.id)
    if stage.needs_justification and not justification.strip():
        raise Refusal("RoleAssignmentRequestPolicyValidationFailed", _JUSTIFY)
    if result not in {"Approve", "Deny"}:
        raise invalid()
    stage.result = "Approve" if result == "Approve" else "Deny"
    stage.reviewer, stage.reviewed_at, stage.justification = asking.id, now, justification
    if result == "Deny":
        request.status, request.completed = "Denied", now
        return
    _provision(directory, request, read(request.schedule_info, now))


def cancel(request: ScheduleRequest, now: datetime) -> None:
    """Cancel a pending request. Raises Refusal if it is not pending."""
    if request.seen_status(now) not in {"PendingApproval", "PendingScheduleCreation", "Granted"}:
        raise invalid()
    request.status, request.completed = "Canceled", now


def _provision(directory: Directory, request: ScheduleRequest, span: Span) -> None:
    now = directory.clock.now()
    held = directory.pim.lasting(request.kind, request.group, request.principal, request.access, now)
    if held is not None:  # an update, an extension or a renewal replaces the schedule
        revoke(directory, held)
    schedule = Schedule(
        id=f"{request.group}_{request.access}_{request.id}",
        kind=request.kind,
        group=request.group,
        principal=request.principal,
        access=request.access,
        start=span.start,
        end=span.end,
        created=now,
        by_request=request.id,
        activated=request.action in SELF,
    )
    put(directory, schedule)
    request.schedule_id, request.completed = schedule.id, now
    request.status = "Provisioned" if span.start <= now else "ScheduleCreated"


def put(directory: Directory, schedule: Schedule) -> None:
    """Put a schedule in force. An active one is a membership from its start, once replicated, to its end."""
    directory.pim.schedules[schedule.id] = schedule
    group = directory.group(schedule.group)
    if schedule.kind == "assignment" and group is not None:
        start = max(schedule.start, schedule.created + directory.replication)
        grant = Grant(principal=schedule.principal, relation=RELATIONS[schedule.access], start=start, end=schedule.end)
        group.grants.append(grant)


def revoke(directory: Directory, schedule: Schedule) -> None:
    """End a schedule now. Reads see it after the replication delay."""
    now = directory.clock.now()
    schedule.revoked = now
    by = directory.pim.requests.get(schedule.by_request)
    if by is not None:
        by.status = "Revoked"
    group = directory.principal(schedule.group)
    if schedule.kind == "eligibility" or not isinstance(group, Group):
        return
    relation, end = RELATIONS[schedule.access], now + directory.replication
    for place, grant in enumerate(group.grants):
        if (grant.principal, grant.relation) == (schedule.principal, relation) and grant.lasts(max(now, grant.start)):
            group.grants[place] = Grant(principal=grant.principal, relation=relation, start=grant.start, end=end)


_JUSTIFY = 'The following policy rules failed: ["JustificationRule"]'
