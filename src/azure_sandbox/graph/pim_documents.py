"""PIM's objects as Graph v1.0 shows them, and the properties by which their lists can be filtered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from azure_sandbox.entra.directory import Directory, Group
from azure_sandbox.entra.pim_state import Schedule, ScheduleKind, ScheduleRequest, Stage
from azure_sandbox.graph.documents import Document, document, type_of
from azure_sandbox.graph.expansion import Expands, narrowed
from azure_sandbox.graph.moments import moment

ROOT = "identityGovernance/privilegedAccess/group"
NOBODY = "00000000-0000-0000-0000-000000000000"
REQUEST_PROPERTIES: tuple[str, ...] = (
    "id",
    "status",
    "principalId",
    "groupId",
    "accessId",
    "action",
    "createdDateTime",
    "approvalId",
)
SCHEDULE_PROPERTIES: tuple[str, ...] = (
    "id",
    "status",
    "principalId",
    "groupId",
    "accessId",
    "memberType",
    "createdDateTime",
)
SCHEDULE_PROPERTIES += ("assignmentType", "createdUsing")
INSTANCE_PROPERTIES: tuple[str, ...] = (
    "id",
    "principalId",
    "groupId",
    "accessId",
    "memberType",
    "startDateTime",
    "endDateTime",
)
INSTANCE_PROPERTIES += ("assignmentType", "assignmentScheduleId", "eligibilityScheduleId")


def request(made: ScheduleRequest, now: datetime) -> Document:
    """Return the document of a schedule request."""
    return {
        "id": made.id,
        "status": made.seen_status(now),
        "createdDateTime": moment(made.created),
        "completedDateTime": moment(made.completed),
        "approvalId": made.id if made.stage is not None else None,
        "customData": made.custom_data,
        "action": made.action,
        "isValidationOnly": made.validation_only,
        "justification": made.justification,
        "principalId": made.principal,
        "accessId": made.access,
        "groupId": made.group,
        "targetScheduleId": made.schedule_id,
        "createdBy": {"application": None, "device": None, "user": {"displayName": None, "id": made.created_by}},
        "scheduleInfo": made.schedule_info,
        "ticketInfo": {"ticketNumber": None, "ticketSystem": None, **made.ticket},
    }


def schedule(made: Schedule, now: datetime) -> Document:
    """Return the document of a schedule."""
    shown = {
        "id": made.id,
        "accessId": made.access,
        "principalId": made.principal,
        "groupId": made.group,
        "memberType": "direct",
        "status": "Provisioned" if made.lasts(now) else "ScheduleCreated",
        "createdDateTime": moment(made.created),
        "modifiedDateTime": None,
        "createdUsing": made.by_request,
        "scheduleInfo": _info(made),
    }
    return shown | ({"assignmentType": _assignment(made)} if made.kind == "assignment" else {})


def instance(made: Schedule) -> Document:
    """Return the document of the instance that a schedule has while it lasts."""
    shown: dict[str, Any] = {
        "id": made.id,
        "principalId": made.principal,
        "groupId": made.group,
        "accessId": made.access,
        "memberType": "direct",
        "startDateTime": moment(made.start),
        "endDateTime": moment(made.end),
    }
    if made.kind == "assignment":
        return shown | {"assignmentType": _assignment(made), "assignmentScheduleId": made.id}
    return shown | {"eligibilityScheduleId": made.id}


def stage(made: Stage, asking: str, now: datetime) -> Document:
    """Return the document of an approval's stage; `asking` is the caller's object id."""
    completed = made.result != "NotReviewed"
    return {
        "id": made.id,
        "assignedToMe": asking in made.approvers,
        "displayName": None,
        "justification": made.justification,
        "reviewResult": made.result,
        "reviewedBy": {"id": made.reviewer or NOBODY, "displayName": None},
        "reviewedDateTime": moment(made.reviewed_at),
        "status": "Completed" if completed else "Expired" if now >= made.until else "InProgress",
    }


def _assignment(made: Schedule) -> str:
    return "activated" if made.activated else "assigned"


def _info(made: Schedule) -> dict[str, Any]:
    kind = "noExpiration" if made.end is None else "afterDateTime"
    expiration = {"type": kind, "endDateTime": moment(made.end), "duration": None}
    return {"startDateTime": moment(made.start), "recurrence": None, "expiration": expiration}


def expands(directory: Directory) -> Expands:
    """Return the makers for `$expand=principal,group`."""

    def found(key: str) -> Any:
        def make(shown: Document, inner: str) -> Document | None:
            principal = directory.principal(shown[key])
            if principal is None or (isinstance(principal, Group) and principal.deleted_at is not None):
                return None
            whole = document(principal, directory)
            return narrowed({"@odata.type": type_of(principal), **whole}, inner)

        return make

    return {"principal": found("principalId"), "group": found("groupId")}


def collection(kind: ScheduleKind, suffix: str) -> str:
    """Return the OData context of a list, such as `…/eligibilitySchedules`."""
    return f"{ROOT}/{kind}{suffix}"
