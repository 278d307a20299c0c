"""Privileged Identity Management for Groups in Microsoft Graph v1.0: the `GroupPim` port.

Sources: Graph's pages "privilegedAccessGroup…", "unifiedRoleManagementPolicy" and "approvalStage". Durations are sent
as ISO 8601 text. The caller needs consented permissions, which the token of the Azure CLI does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from aks_entra.adapters.graph.client import OBJECTS, Document, GraphClient, key, literal
from aks_entra.adapters.graph.group_creation import nickname
from aks_entra.core.access.pim import ActivationPolicy, Kind, Membership, MembershipAsk, MembershipRequest
from aks_entra.core.durations import iso, moment, span, stamp
from aks_entra.errors import Refused, Rejected, TryLater

BASE: Final = "/identityGovernance/privilegedAccess/group"
ELIGIBILITY: Final = "PrivilegedEligibilitySchedule.{}.AzureADGroup"
ASSIGNMENT: Final = "PrivilegedAssignmentSchedule.{}.AzureADGroup"
RULES: Final = "RoleManagementPolicy.{}.AzureADGroup"
CREATE: Final = "Group.ReadWrite.All, RoleManagement.ReadWrite.Directory and User.Read.All"
_WORDS: Final = {Kind.ELIGIBLE: "eligibility", Kind.ACTIVE: "assignment"}
_NEEDS: Final = {Kind.ELIGIBLE: ELIGIBILITY, Kind.ACTIVE: ASSIGNMENT}
_NO_POLICY: Final = 404
_POLICY: Final = "RoleAssignmentRequestPolicyValidationFailed"


class GraphGroupPim:
    """PIM for the groups of the signed-in identity's tenant."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def memberships(self, *, group_id: str = "", principal_id: str = "") -> tuple[Membership, ...]:
        """Return the present eligible and active memberships, from the instances: requests do not show all."""
        clause = f"groupId eq {literal(group_id)}" if group_id else f"principalId eq {literal(principal_id)}"
        found: list[Membership] = []
        for kind, word in _WORDS.items():
            listed = await self._graph.list(
                f"{BASE}/{word}ScheduleInstances",
                doing=f"read the {kind.value} memberships of {group_id or principal_id}",
                needs=f"{_NEEDS[kind].format('Read')} ({_NEEDS[kind].format('ReadWrite')} to change them)",
                query={"$filter": clause},
            )
            found += [_membership(one, kind) for one in listed if one.get("accessId") == "member"]
        return tuple(found)

    async def ask(self, ask: MembershipAsk) -> MembershipRequest:
        """Give (adminAssign) or activate (selfActivate) a membership. TryLater on SubjectNotFound of a fresh group."""
        expiration: dict[str, Any] = (
            {"type": "noExpiration"}
            if ask.duration is None
            else {"type": "afterDuration", "duration": iso(ask.duration)}
        )
        body = {
            "accessId": "member",
            "principalId": ask.principal_id,
            "groupId": ask.group_id,
            "action": "selfActivate" if ask.activate else "adminAssign",
            "scheduleInfo": {"startDateTime": stamp(ask.start), "expiration": expiration},
            "justification": ask.justification,
            "ticketInfo": {"ticketNumber": ask.ticket or None, "ticketSystem": ask.ticket_system or None},
        }
        what = "activate a membership" if ask.activate else f"make an {ask.kind.value} member"
        return await self._request(ask.kind, body, f"{what} of group {ask.group_id}")

    async def request(self, request_id: str) -> MembershipRequest:
        """Return the present state of a request for an active membership."""
        path = f"{BASE}/assignmentScheduleRequests/{request_id}"
        needs = ASSIGNMENT.format("Read")
        return _requested(await self._graph.get(path, doing=f"read the request {request_id}", needs=needs))

    async def end(
        self, kind: Kind, group_id: str, principal_id: str, reason: str, *, own: bool
    ) -> MembershipRequest | None:
        """End a membership (adminRemove, or selfDeactivate). Returns None if it did not exist."""
        body = {
            "accessId": "member",
            "principalId": principal_id,
            "groupId": group_id,
            "action": "selfDeactivate" if own else "adminRemove",
            "justification": reason,
        }
        try:
            return await self._request(kind, body, f"end the {kind.value} membership of {principal_id} in {group_id}")
        except Rejected as rejected:
            if rejected.code not in {"RoleAssignmentDoesNotExist", "RoleAssignmentNotFound"}:
                raise
            return None

    async def waiting(self) -> tuple[MembershipRequest, ...]:
        """Return the requests that wait for a decision of the caller."""
        found = await self._graph.list(
            f"{BASE}/assignmentScheduleRequests/filterByCurrentUser(on='approver')",
            doing="read the requests that wait for you",
            needs=ASSIGNMENT.format("Read"),
        )
        return tuple(one for one in map(_requested, found) if one.waits)

    async def decide(self, approval_id: str, *, approve: bool, reason: str) -> None:
        """Approve or deny a request's activation."""
        needs = ASSIGNMENT.format("ReadWrite")
        stages = await self._graph.list(
            f"{BASE}/assignmentApprovals/{approval_id}/stages", doing=f"read approval {approval_id}", needs=needs
        )
        mine = next((one for one in stages if one.get("assignedToMe") and one.get("status") == "InProgress"), None)
        if mine is None:
            raise Refused(
                f"approval {approval_id} does not wait for you",
                remedy="aks-entra access approve --list lists the approvals that do",
            )
        await self._graph.patch(
            f"{BASE}/assignmentApprovals/{approval_id}/stages/{mine['id']}",
            {"reviewResult": "Approve" if approve else "Deny", "justification": reason},
            doing=f"decide on approval {approval_id}",
            needs=needs,
        )

    async def policy(self, group_id: str) -> ActivationPolicy | None:
        """Return the activation policy of a group's members. None if the group has no policy."""
        found = await self._policy_of(group_id)
        return None if found is None else _policy({str(rule["id"]): rule for rule in found[1]})

    async def set_policy(self, group_id: str, policy: ActivationPolicy) -> None:
        """Write the rules that differ. The first write onboards the group to PIM, which changes its policy's id."""
        for rule_id, body in _rules(policy).items():
            found = await self._policy_of(group_id)
            if found is None:
                raise TryLater(f"group {group_id} has no policy yet", after=10, code="NotReplicated")
            policy_id, rules = found
            there = next((rule for rule in rules if rule["id"] == rule_id), None)
            if there is not None and _says(there, body):
                continue
            await self._graph.patch(
                f"/policies/roleManagementPolicies/{policy_id}/rules/{rule_id}",
                {**(there or {}), **body},
                doing=f"write {rule_id} of group {group_id}",
                needs=RULES.format("ReadWrite"),
            )

    async def create_group(
        self, name: str, unique_name: str, description: str, owners: tuple[str, ...]
    ) -> tuple[str, bool]:
        """Create a role-assignable security group under its uniqueName unless it exists: (object id, created).

        Raises:
            Refused: code NotRoleAssignable when a group with this uniqueName exists and is not role-assignable.
            TryLater: the new group cannot be read yet.
        """
        path = f"/groups{key('uniqueName', unique_name)}"
        doing = f"create the group {name!r}"
        found = await self._graph.find(path, doing=doing, needs=CREATE)
        created = False
        if found is None:
            body = {
                "displayName": name,
                "description": description or name,
                "groupTypes": [],
                "mailEnabled": False,
                "mailNickname": nickname(unique_name),
                "securityEnabled": True,
                "isAssignableToRole": True,
                "owners@odata.bind": [f"{OBJECTS}{one}" for one in owners],
            }
            found, _ = await self._graph.create_if_missing(path, body, doing=doing, needs=CREATE)
            created = found is not None
            if found is None:  # somebody else created it in between
                found = await self._graph.find(path, doing=doing, needs=CREATE)
        if found is None:
            raise TryLater(f"the new group {name!r} cannot be read yet", after=5, code="NotReplicated")
        if not found.get("isAssignableToRole"):
            raise Refused(
                f"the group {name!r} exists and is not role-assignable, which cannot be changed any more",
                remedy="give the new one another --unique-name",
                code="NotRoleAssignable",
            )
        return str(found["id"]), created

    async def _request(self, kind: Kind, body: Document, doing: str) -> MembershipRequest:
        needs = _NEEDS[kind].format("ReadWrite")
        if str(body["action"]).startswith("self"):
            needs += " to a public client and name it (--client-id): the Azure CLI's own token never has it"
        try:
            made = await self._graph.post(f"{BASE}/{_WORDS[kind]}ScheduleRequests", body, doing=doing, needs=needs)
        except Rejected as rejected:
            raise _why(rejected, doing) from rejected
        return _requested(made)

    async def _policy_of(self, group_id: str) -> tuple[str, list[Mapping[str, Any]]] | None:
        clause = f"scopeId eq {literal(group_id)} and scopeType eq 'Group' and roleDefinitionId eq 'member'"
        try:
            found = await self._graph.list(
                "/policies/roleManagementPolicyAssignments",
                doing=f"read the activation policy of group {group_id}",
                needs=f"{RULES.format('Read')} ({RULES.format('ReadWrite')} to change it)",
                query={"$filter": clause, "$expand": "policy($expand=rules)"},
            )
        except Refused as refused:
            if refused.status != _NO_POLICY:
                raise
            return None
        member = next((one for one in found if one.get("roleDefinitionId") == "member"), None)
        return (
            None if member is None else (str(member["policyId"]), list((member.get("policy") or {}).get("rules") or ()))
        )


def _why(rejected: Rejected, doing: str) -> Rejected | Refused | TryLater:
    details: dict[str, Any] = {
        "code": rejected.code,
        "status": rejected.status,
        "correlation_id": rejected.correlation_id,
    }
    match rejected.code:
        case "SubjectNotFound":
            return TryLater(f"could not {doing}: PIM does not know the group or person yet", after=15, **details)
        case "AadPremiumLicenseRequired":
            remedy = "Privileged Identity Management needs Microsoft Entra ID P2 (or ID Governance)"
            return Refused(rejected.message, remedy=remedy, **details)
        case code if code == _POLICY and "MfaRule" in rejected.message:
            remedy = "sign in with a second factor (an application cannot: ask as a person), or change the policy"
            return Refused(rejected.message, remedy=remedy, **details)
        case code if code == _POLICY:
            remedy = "ask within the group's policy: aks-entra access policy GROUP shows it"
            return Refused(rejected.message, remedy=remedy, **details)
        case "RoleAssignmentExists":
            remedy = "this membership exists already: aks-entra access list --group …"
            return Refused(rejected.message, remedy=remedy, **details)
    return rejected


def _membership(one: Document, kind: Kind) -> Membership:
    return Membership(
        id=str(one.get("id") or ""),
        kind=kind,
        group_id=str(one.get("groupId") or "").lower(),
        principal_id=str(one.get("principalId") or "").lower(),
        start=_moment(one.get("startDateTime")),
        end=_moment(one.get("endDateTime")),
        activated=str(one.get("assignmentType") or "").lower() == "activated",
    )


def _requested(one: Document) -> MembershipRequest:
    return MembershipRequest(
        id=str(one.get("id") or ""),
        status=str(one.get("status") or ""),
        group_id=str(one.get("groupId") or "").lower(),
        principal_id=str(one.get("principalId") or "").lower(),
        approval_id=str(one.get("approvalId") or ""),
        schedule_id=str(one.get("targetScheduleId") or ""),
        justification=str(one.get("justification") or ""),
        action=str(one.get("action") or ""),
        created=str(one.get("createdDateTime") or ""),
    )


def _policy(rules: Mapping[str, Document]) -> ActivationPolicy:
    most = rules.get("Expiration_EndUser_Assignment", {}).get("maximumDuration")
    enabled = frozenset(rules.get("Enablement_EndUser_Assignment", {}).get("enabledRules") or ())
    setting = rules.get("Approval_EndUser_Assignment", {}).get("setting") or {}
    stages = (setting.get("approvalStages") or ()) if setting.get("isApprovalRequired") else ()
    approvers = [one for stage in stages for one in stage.get("primaryApprovers") or ()]
    return ActivationPolicy(
        max_duration=span(str(most)) if most else timedelta(hours=8),
        justification="Justification" in enabled,
        ticket="Ticketing" in enabled,
        mfa="MultiFactorAuthentication" in enabled,
        approvers=tuple(str(one["userId"]) for one in approvers if one.get("userId")),
        approver_groups=tuple(str(one["groupId"]) for one in approvers if one.get("groupId")),
    )


def _rules(policy: ActivationPolicy) -> dict[str, dict[str, Any]]:
    """Return the properties that we write of the rules for an activation, by the rule's id."""
    return {
        "Expiration_EndUser_Assignment": {
            "@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyExpirationRule",
            "id": "Expiration_EndUser_Assignment",
            "isExpirationRequired": True,
            "maximumDuration": iso(policy.max_duration),
        },
        "Enablement_EndUser_Assignment": {
            "@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyEnablementRule",
            "id": "Enablement_EndUser_Assignment",
            "enabledRules": list(policy.enabled_rules),
        },
        "Approval_EndUser_Assignment": {
            "@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyApprovalRule",
            "id": "Approval_EndUser_Assignment",
            "setting": {
                "isApprovalRequired": policy.approval,
                "isApprovalRequiredForExtension": False,
                "isRequestorJustificationRequired": policy.justification,
                "approvalMode": "SingleStage",
                "approvalStages": [
                    {
                        "approvalStageTimeOutInDays": 1,
                        "isApproverJustificationRequired": True,
                        "escalationTimeInMinutes": 0,
                        "isEscalationEnabled": False,
                        "escalationApprovers": [],
                        "primaryApprovers": [
                            *(
                                {"@odata.type": "#microsoft.graph.singleUser", "userId": one}
                                for one in policy.approvers
                            ),
                            *(
                                {"@odata.type": "#microsoft.graph.groupMembers", "groupId": one}
                                for one in policy.approver_groups
                            ),
                        ],
                    }
                ]
                if policy.approval
                else [],
            },
        },
    }


def _says(there: Document, body: Document) -> bool:
    """Whether a rule has the wanted values already."""
    if "setting" in body:
        return _policy({str(there["id"]): there}).approval == body["setting"]["isApprovalRequired"] and (
            {*_policy({str(there["id"]): there}).approvers, *_policy({str(there["id"]): there}).approver_groups}
            == {
                str(one.get("userId") or one.get("groupId"))
                for stage in body["setting"]["approvalStages"]
                for one in stage["primaryApprovers"]
            }
        )
    if "enabledRules" in body:
        return set(there.get("enabledRules") or ()) == set(body["enabledRules"])
    return bool(there.get("isExpirationRequired")) and there.get("maximumDuration") == body["maximumDuration"]


def _moment(text: object) -> datetime | None:
    return moment(str(text)) if text else None
