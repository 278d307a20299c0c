"""The rules of PIM for Groups: the 17 that each group has for its members and for its owners, and what they refuse.

Source: the sample of roleManagementPolicyAssignments in Graph's documentation (defaults), logs of the Terraform
providers (how a request that breaks rules is refused: azurerm#22766, azuread#1450).
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

Rule = dict[str, Any]
Caller = Literal["Admin", "EndUser"]
Level = Literal["Eligibility", "Assignment"]
_NAMESPACE = uuid.UUID("0d0b6a0e-6f6e-4d53-9a5a-6a3a1f2c4e11")
_TYPE = "#microsoft.graph.unifiedRoleManagementPolicy"
_DURATION = re.compile(r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?")
SCOPES: tuple[tuple[Caller, Level], ...] = (
    ("Admin", "Eligibility"),
    ("Admin", "Assignment"),
    ("EndUser", "Assignment"),
)
ENABLEMENTS = ("MultiFactorAuthentication", "Justification", "Ticketing")
MFA, JUSTIFICATION, TICKET = ENABLEMENTS


def policy_guid(group: str, access: str, *, onboarded: bool) -> str:
    """Return the last part of a policy's ID. As documented, it changes when the group is onboarded."""
    return str(uuid.uuid5(_NAMESPACE, f"{group}/{access}/{onboarded}"))


def duration(text: object) -> timedelta:
    """Parse an ISO 8601 duration in days, hours, minutes and seconds. Raises ValueError for other units."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not a duration such as PT8H or P180D")
    return timedelta(**{name: int(value) for name, value in match.groupdict().items() if value})


def defaults() -> dict[str, Rule]:
    """Return the default rules of a group, by ID."""
    longest = {("Admin", "Eligibility"): "P365D", ("Admin", "Assignment"): "P180D", ("EndUser", "Assignment"): "PT8H"}
    rules: list[Rule] = []
    for caller, level in SCOPES:
        where = f"{caller}_{level}"
        rules.append(
            {
                "@odata.type": f"{_TYPE}ExpirationRule",
                "id": f"Expiration_{where}",
                "isExpirationRequired": True,
                "maximumDuration": longest[caller, level],
                "target": _target(caller, level),
            }
        )
        rules.append(
            {
                "@odata.type": f"{_TYPE}EnablementRule",
                "id": f"Enablement_{where}",
                "enabledRules": [] if level == "Eligibility" else [JUSTIFICATION],
                "target": _target(caller, level),
            }
        )
        rules += [_notification(who, caller, level) for who in ("Admin", "Requestor", "Approver")]
    rules.append(
        {
            "@odata.type": f"{_TYPE}ApprovalRule",
            "id": "Approval_EndUser_Assignment",
            "target": _target("EndUser", "Assignment"),
            "setting": approval(()),
        }
    )
    rules.append(
        {
            "@odata.type": f"{_TYPE}AuthenticationContextRule",
            "id": "AuthenticationContext_EndUser_Assignment",
            "isEnabled": False,
            "claimValue": "",
            "target": _target("EndUser", "Assignment"),
        }
    )
    return {rule["id"]: rule for rule in rules}


def approval(approvers: tuple[str, ...], groups: tuple[str, ...] = (), *, required: bool = False) -> Rule:
    """Return the setting of an approval rule with one stage. Approvers are the IDs of users and groups."""
    kinds = (("singleUser", "userId", approvers), ("groupMembers", "groupId", groups))
    primary = [
        {"@odata.type": f"#microsoft.graph.{kind}", key: object_id, "isBackup": False, "description": None}
        for kind, key, ids in kinds
        for object_id in ids
    ]
    return {
        "isApprovalRequired": required,
        "isApprovalRequiredForExtension": False,
        "isRequestorJustificationRequired": True,
        "approvalMode": "SingleStage",
        "approvalStages": [
            {
                "approvalStageTimeOutInDays": 1,
                "isApproverJustificationRequired": True,
                "escalationTimeInMinutes": 0,
                "isEscalationEnabled": False,
                "primaryApprovers": primary,
                "escalationApprovers": [],
            }
        ],
    }


def _target(caller: Caller, level: Level) -> Rule:
    return {
        "caller": caller,
        "operations": ["All"],
        "level": level,
        "inheritableSettings": [],
        "enforcedSettings": [],
    }


def _notification(who: str, caller: Caller, level: Level) -> Rule:
    return {
        "@odata.type": f"{_TYPE}NotificationRule",
        "id": f"Notification_{who}_{caller}_{level}",
        "notificationType": "Email",
        "recipientType": who,
        "notificationLevel": "All",
        "isDefaultRecipientsEnabled": True,
        "notificationRecipients": [],
        "target": _target(caller, level),
    }


def broken(
    rules: Mapping[str, Rule],
    caller: Caller,
    level: Level,
    *,
    lasts: timedelta | None,
    justification: str | None,
    ticket: Mapping[str, Any],
    mfa: bool,
) -> list[str]:
    """Return the names of the rules that a request breaks. `lasts` is None for a permanent one."""
    found = []
    expiration, enablement = rules[f"Expiration_{caller}_{level}"], rules[f"Enablement_{caller}_{level}"]
    required = expiration["isExpirationRequired"] or caller == "EndUser"  # an activation must always have an end
    if required and (lasts is None or lasts > duration(expiration["maximumDuration"])):
        found.append("ExpirationRule")
    asked = enablement["enabledRules"]
    if JUSTIFICATION in asked and not (justification or "").strip():
        found.append("JustificationRule")
    if TICKET in asked and not (ticket.get("ticketNumber") or "").strip():
        found.append("TicketingRule")
    if MFA in asked and not mfa:
        found.append("MfaRule")
    return found


def changed(rule: Rule, body: Mapping[str, Any]) -> Rule:
    """Return a rule with the changes of a PATCH. Raises ValueError for an invalid property or value."""
    made = copy.deepcopy(rule)
    for name, value in body.items():
        if name in {"id", "@odata.type", "target"}:
            if name != "target" and value != rule[name]:
                raise ValueError(f"{name} cannot be changed")
            continue
        if name not in rule:
            raise ValueError(f"the rule {rule['id']} has no property {name!r}")
        if name == "maximumDuration":
            duration(value)
        elif name == "enabledRules" and not (isinstance(value, list) and set(value) <= set(ENABLEMENTS)):
            raise ValueError(f"enabledRules may contain only {', '.join(ENABLEMENTS)}")
        elif name == "setting":
            value = _setting(rule["setting"], value)  # noqa: PLW2901  # with the properties that the PATCH leaves out
        elif isinstance(rule[name], bool) and not isinstance(value, bool):
            raise ValueError(f"{name} must be a boolean")
        made[name] = value
    if made["id"].startswith("AuthenticationContext") and made["isEnabled"]:
        raise NotImplementedError("an authentication context in PIM's activation (acrs step-up)")
    return made


def _setting(present: Rule, value: object) -> Rule:
    if not isinstance(value, dict) or set(value) - {*present, "@odata.type"}:
        raise ValueError("setting is not an approvalSettings object")
    stages: Any = value.get("approvalStages", present["approvalStages"])
    if (
        not isinstance(stages, list)
        or len(stages) != 1
        or value.get("approvalMode", "SingleStage") not in {"SingleStage", "NoApproval"}
    ):
        raise NotImplementedError("an approval in several stages")
    for approver in stages[0].get("primaryApprovers", ()):
        if not {"userId", "groupId", "id"} & set(approver):
            raise NotImplementedError(f"the approver type {approver.get('@odata.type')!r}")
    return {**present, **value, "approvalStages": [{**present["approvalStages"][0], **stages[0]}]}
