"""PIM for Groups: who may become a member, for how long, by whose leave; and that it ends by itself."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from azure_sandbox.entra.tokens import AKS_AUDIENCES
from tests.sandbox.identity_desk import AKS, ALL, DOMAIN, Desk

BASE = "/identityGovernance/privilegedAccess/group"
ALICE, BOB, OLIVE = (f"{it}@{DOMAIN}" for it in ("alice", "bob", "olive"))
POLICIES = "/policies/roleManagementPolicyAssignments"
DAY = {"type": "afterDuration", "duration": "P1D"}


def desk(replication: float = 0.0, group: dict[str, Any] | None = None, **world: Any) -> Desk:
    return Desk(
        {
            "users": [
                {"name": "Alice Adams", "upn": ALICE},
                {"name": "Bob Brown", "upn": BOB, "mfa": False},
                {"name": "Olive Owens", "upn": OLIVE, "roles": ["Privileged Role Administrator"]},
            ],
            "groups": [{"name": "jit", "roleAssignable": True, **(group or {})}],
            **world,
        },
        replication=replication,
    )


def wish(at: Desk, who: str = ALICE, action: str = "adminAssign", **change: Any) -> dict[str, Any]:
    return {
        "accessId": "member",
        "principalId": at.id(who),
        "groupId": at.id("jit"),
        "action": action,
        "justification": "on call",
        "scheduleInfo": {"startDateTime": "2020-01-01T00:00:00Z", "expiration": DAY},
        **change,
    }


async def eligible(at: Desk, who: str = ALICE) -> dict[str, Any]:
    made: dict[str, Any] = await at.post(f"{BASE}/eligibilityScheduleRequests", wish(at, who))
    return made


async def activate(at: Desk, who: str = ALICE, hours: str = "PT2H", **change: Any) -> dict[str, Any]:
    at.speaker = who
    made: dict[str, Any] = await at.post(f"{BASE}/assignmentScheduleRequests", activation(at, who, hours, **change))
    return made


def activation(at: Desk, who: str = ALICE, hours: str = "PT2H", **change: Any) -> dict[str, Any]:
    expiration = {"type": "AfterDuration", "duration": hours}
    return wish(at, who, "selfActivate", **{"scheduleInfo": {"expiration": expiration}, **change})


async def members(at: Desk) -> list[str]:
    speaker, at.speaker = at.speaker, "operator"
    found = (await at.get(f"/groups/{at.id('jit')}/members"))["value"]
    at.speaker = speaker
    return [it["displayName"] for it in found]


async def instances(at: Desk, kind: str = "assignment") -> list[dict[str, Any]]:
    clause = quote(f"groupId eq '{at.id('jit')}'")
    found: list[dict[str, Any]] = (await at.get(f"{BASE}/{kind}ScheduleInstances?$filter={clause}"))["value"]
    return found


async def rule(at: Desk, name: str, body: dict[str, Any]) -> None:
    found = await policy(at)
    reply = await at.send("PATCH", f"/policies/roleManagementPolicies/{found['policyId']}/rules/{name}", body)
    assert reply.status == 200, reply


async def policy(at: Desk) -> dict[str, Any]:
    clause = quote(f"scopeId eq '{at.id('jit')}' and scopeType eq 'Group' and roleDefinitionId eq 'member'")
    (found,) = (await at.get(f"{POLICIES}?$filter={clause}&$expand=policy($expand=rules)"))["value"]
    assert isinstance(found, dict)
    return found


# -- eligible, active, over


async def test_an_eligible_person_is_no_member_until_they_activate_and_no_longer_than_they_asked() -> None:
    at = desk()
    made = await eligible(at)
    assert (made["status"], made["targetScheduleId"]) == ("Provisioned", f"{at.id('jit')}_member_{made['id']}")
    assert made["scheduleInfo"]["startDateTime"] > "2026"  # rewritten: it had passed
    assert await members(at) == []
    assert len(await instances(at, "eligibility")) == 1
    active = await activate(at)
    assert (active["status"], active["action"]) == ("Provisioned", "selfActivate")
    assert active["scheduleInfo"]["expiration"]["type"] == "afterDuration"
    assert await members(at) == ["Alice Adams"]
    (instance,) = await instances(at)
    assert instance["assignmentType"] == "activated"
    signed = await at.device_code("alice")
    assert isinstance(signed.body, dict)
    assert at.tokens.read(signed.body["access_token"], AKS_AUDIENCES).groups == (at.id("jit"),)
    at.later(hours=2)
    assert await members(at) == []
    assert await instances(at) == []
    assert at.tokens.read(at.tokens.issue(_alice(at), audience=AKS), AKS_AUDIENCES).groups is None


def _alice(at: Desk) -> Any:
    return at.directory.user(ALICE)


async def test_an_active_assignment_begins_and_ends_by_the_clock() -> None:
    at = desk()
    begins = at.clock.now() + timedelta(minutes=30)
    later = {"startDateTime": begins.isoformat(), "expiration": DAY}
    made = await at.post(f"{BASE}/assignmentScheduleRequests", wish(at, scheduleInfo=later))
    assert made["status"] == "ScheduleCreated"
    assert await members(at) == []
    at.later(hours=1)
    assert await members(at) == ["Alice Adams"]
    at.later(hours=24)
    assert await members(at) == []


async def test_an_assignment_can_be_taken_back_and_a_request_is_never_deleted() -> None:
    at = desk()
    made = await at.post(f"{BASE}/assignmentScheduleRequests", wish(at))
    end = await at.post(f"{BASE}/assignmentScheduleRequests", wish(at, action="adminRemove", scheduleInfo=None))
    assert end["status"] == "Revoked"
    assert await members(at) == []
    assert (await at.get(f"{BASE}/assignmentScheduleRequests/{made['id']}"))["status"] == "Revoked"
    path = f"{BASE}/assignmentSchedules/{made['targetScheduleId']}"
    assert (await at.error("GET", path))[0] == 404


async def test_removing_so_soon_is_refused() -> None:
    at = Desk({"users": [{"name": "A", "upn": ALICE}], "groups": [{"name": "jit"}]}, pace=1)
    await at.post(f"{BASE}/assignmentScheduleRequests", wish(at))
    remove = wish(at, action="adminRemove", scheduleInfo=None)
    assert (await at.error("POST", f"{BASE}/assignmentScheduleRequests", remove))[1] == "ActiveDurationTooShort"
    at.later(minutes=5)
    await at.post(f"{BASE}/assignmentScheduleRequests", remove)


async def test_leaving_the_group_through_graph_ends_the_assignment_too() -> None:
    at = desk()
    await at.post(f"{BASE}/assignmentScheduleRequests", wish(at))
    reply = await at.send("DELETE", f"/groups/{at.id('jit')}/members/{at.id(ALICE)}/$ref")
    assert (reply.status, await members(at), await instances(at)) == (204, [], [])


async def test_a_direct_member_counts_as_assigned_for_good() -> None:
    at = desk(group={"members": [BOB]})
    await eligible(at)
    (instance,) = await instances(at)
    assert (instance["principalId"], instance["endDateTime"]) == (at.id(BOB), None)
    assert (await at.error("POST", f"{BASE}/assignmentScheduleRequests", wish(at, BOB)))[1] == "RoleAssignmentExists"


async def test_an_active_owner_may_change_a_group_until_the_end() -> None:
    at = desk(group={"roleAssignable": False})
    await at.post(f"{BASE}/assignmentScheduleRequests", wish(at, accessId="owner"))
    owners = (await at.get(f"/groups/{at.id('jit')}/owners"))["value"]
    assert [it["displayName"] for it in owners] == ["Alice Adams"]
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{at.id(BOB)}"}
    at.speaker = ALICE
    assert (await at.send("POST", f"/groups/{at.id('jit')}/members/$ref", reference)).status == 204
    at.later(days=1)
    assert (await at.error("DELETE", f"/groups/{at.id('jit')}/members/{at.id(BOB)}/$ref"))[0] == 403
    assert (await at.get(f"/groups/{at.id('jit')}/owners"))["value"] == []


async def test_the_person_can_end_an_activation() -> None:
    at = desk()
    await eligible(at)
    await activate(at)
    await at.post(f"{BASE}/assignmentScheduleRequests", wish(at, action="selfDeactivate", scheduleInfo=None))
    assert await members(at) == []


# -- refusals


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"scheduleInfo": {"expiration": {"type": "noExpiration"}}}, "PolicyValidation", '["ExpirationRule"]'),
        (
            {"scheduleInfo": {"expiration": {"type": "afterDuration", "duration": "P400D"}}},
            "PolicyValidation",
            '["ExpirationRule"]',
        ),
        (
            {"scheduleInfo": {"expiration": {"type": "afterDuration", "duration": "P6M"}}},
            "InvalidRoleAssignmentRequest",
            "is invalid",
        ),
        (
            {"scheduleInfo": {"expiration": {"type": "afterDuration", "duration": "2:00:00"}}},
            "InvalidRoleAssignmentRequest",
            "is invalid",
        ),
        (
            {"scheduleInfo": {"expiration": {"type": "afterDuration", "duration": "PT1M"}}},
            "ActiveDurationTooShort",
            "Minimum Required is 5 minutes",
        ),
        (
            {"scheduleInfo": {"expiration": {"type": "afterDateTime", "endDateTime": "2020-01-01T00:00:00Z"}}},
            "InvalidRoleAssignmentRequestSchedule",
            "schedule is invalid",
        ),
        ({"scheduleInfo": None}, "InvalidRoleAssignmentRequestSchedule", "schedule is invalid"),
        ({"principalId": "11111111-2222-4333-8444-555555555555"}, "SubjectNotFound", "The subject is not found."),
        ({"groupId": "11111111-2222-4333-8444-555555555555"}, "SubjectNotFound", "The subject is not found."),
        ({"action": "selfActivate"}, "InvalidRoleAssignmentRequest", "is invalid"),
        ({"action": "adminUpdate"}, "RoleAssignmentDoesNotExist", "does not exist"),
        ({"accessId": "guest"}, "InvalidRoleAssignmentRequest", "is invalid"),
        ({"colour": "blue"}, "BadRequest", "colour"),
    ],
)
async def test_an_eligibility_that_pim_refuses(change: dict[str, Any], code: str, words: str) -> None:
    at = desk()
    status, got, message = await at.error("POST", f"{BASE}/eligibilityScheduleRequests", {**wish(at), **change})
    assert (status, code in got, words in message) == (400, True, True), (got, message)


async def test_twice_is_once_too_often() -> None:
    at = desk()
    await eligible(at)
    path = f"{BASE}/eligibilityScheduleRequests"
    answer = await at.error("POST", path, wish(at))
    assert answer == (400, "RoleAssignmentExists", "The Role assignment already exists.")


async def test_several_rules_are_broken_at_once() -> None:
    at = desk()
    await eligible(at)
    await rule(at, "Enablement_EndUser_Assignment", {"enabledRules": ["Justification", "Ticketing"]})
    at.speaker = ALICE
    body = activation(at, hours="PT9H", justification=None)
    status, code, words = await at.error("POST", f"{BASE}/assignmentScheduleRequests", body)
    assert (status, code) == (400, "RoleAssignmentRequestPolicyValidationFailed")
    assert words == 'The following policy rules failed: ["ExpirationRule","JustificationRule","TicketingRule"]'
    ticket = {"ticketNumber": "INC-1", "ticketSystem": "desk"}
    assert (await activate(at, ticketInfo=ticket))["ticketInfo"] == ticket


async def test_who_is_not_eligible_cannot_activate() -> None:
    at = desk()
    at.speaker = BOB
    words = (await at.error("POST", f"{BASE}/assignmentScheduleRequests", activation(at, BOB)))[2]
    assert words == 'The following policy rules failed: ["EligibilityRule"]'


async def test_an_application_never_satisfies_the_mfa_rule_and_a_person_does_with_a_second_factor() -> None:
    at = desk()
    await rule(at, "Enablement_Admin_Eligibility", {"enabledRules": ["MultiFactorAuthentication"]})
    assert (await at.error("POST", f"{BASE}/eligibilityScheduleRequests", wish(at)))[2].endswith('["MfaRule"]')
    await rule(at, "Enablement_Admin_Eligibility", {"enabledRules": []})
    await eligible(at)
    await rule(at, "Enablement_EndUser_Assignment", {"enabledRules": ["MultiFactorAuthentication"]})
    at.speaker, at.amr = ALICE, ("pwd",)
    assert (await at.error("POST", f"{BASE}/assignmentScheduleRequests", activation(at)))[2].endswith('["MfaRule"]')
    at.amr = ("pwd", "mfa")
    await activate(at)


async def test_a_fresh_group_is_not_known_here_yet() -> None:
    at = desk(replication=5)
    new = {"displayName": "new", "mailEnabled": False, "mailNickname": "new", "securityEnabled": True}
    group = (await at.post("/groups", new))["id"]
    path = f"{BASE}/eligibilityScheduleRequests"
    at.later(seconds=6)
    assert (await at.get(f"/groups/{group}"))["id"] == group
    assert (await at.error("POST", path, wish(at, groupId=group)))[1] == "SubjectNotFound"
    at.later(seconds=5)
    made = await at.post(path, wish(at, groupId=group))
    schedule = f"{BASE}/eligibilitySchedules/{made['targetScheduleId']}"
    assert (await at.error("GET", schedule))[0] == 404
    at.later(seconds=5)
    assert (await at.get(schedule))["status"] == "Provisioned"


async def test_the_licence_is_missing() -> None:
    at = desk(licences=["P1"])
    assert (await at.error("POST", f"{BASE}/eligibilityScheduleRequests", wish(at)))[1] == "AadPremiumLicenseRequired"


@pytest.mark.parametrize("kind", ["eligibility", "assignment"])
async def test_a_missing_permission_is_named(kind: str) -> None:
    name = f"Privileged{kind.capitalize()}Schedule.ReadWrite.AzureADGroup"
    held = [it for it in ALL if it != name]
    at = desk(servicePrincipals=[{"name": "operator", "graphPermissions": held}])
    status, code, words = await at.error("POST", f"{BASE}/{kind}ScheduleRequests", wish(at))
    assert (status, code) == (403, "UnknownError")
    inner = json.loads(words)
    assert (inner["errorCode"], name in inner["message"]) == ("PermissionScopeNotGranted", True)


async def test_every_list_needs_a_filter() -> None:
    at = desk()
    for kind in ("eligibility", "assignment"):
        for suffix in ("ScheduleRequests", "Schedules", "ScheduleInstances"):
            assert (await at.error("GET", f"{BASE}/{kind}{suffix}"))[0] == 400
            clause = quote(f"principalId eq '{at.id(ALICE)}'")
            assert (await at.get(f"{BASE}/{kind}{suffix}?$filter={clause}"))["value"] == []


async def test_a_dry_run_leaves_nothing() -> None:
    at = desk()
    made = await at.post(f"{BASE}/eligibilityScheduleRequests", wish(at, isValidationOnly=True))
    assert (made["isValidationOnly"], made["status"]) == (True, "Granted")
    assert await instances(at, "eligibility") == []


# -- policies


async def test_a_policy_has_17_rules_and_another_id_once_the_group_is_onboarded() -> None:
    at = desk()
    before = await policy(at)
    assert len(before["policy"]["rules"]) == 17
    assert before["id"] == f"{before['policyId']}_member"
    path = f"/policies/roleManagementPolicies/{before['policyId']}"
    shorter = {"@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyExpirationRule", "maximumDuration": "PT1H"}
    assert (await at.send("PATCH", f"{path}/rules/Expiration_EndUser_Assignment", shorter)).status == 200
    after = await policy(at)
    assert after["policyId"] != before["policyId"]
    assert (await at.error("GET", path))[0] == 404
    path = f"/policies/roleManagementPolicies/{after['policyId']}"
    assert (await at.get(f"{path}/rules/Expiration_EndUser_Assignment"))["maximumDuration"] == "PT1H"
    assert len((await at.get(f"{path}/rules"))["value"]) == 17
    assert len((await at.get(f"{path}?$expand=rules"))["rules"]) == 17
    for body, status in (({"maximumDuration": "P1W"}, 400), ({"colour": 1}, 400), ({"id": "x"}, 400)):
        name = "Expiration_EndUser_Assignment"
        assert (await at.error("PATCH", f"{path}/rules/{name}", body))[0] == status
    assert (await at.error("PATCH", f"{path}/rules/Nothing", {}))[0] == 404
    context = f"{path}/rules/AuthenticationContext_EndUser_Assignment"
    assert (await at.error("PATCH", context, {"isEnabled": True}))[0] == 501


async def test_policies_must_be_asked_for_by_group() -> None:
    at = desk()
    assert (await at.error("GET", POLICIES))[0] == 400
    directory = quote("scopeId eq '/' and scopeType eq 'DirectoryRole'")
    assert (await at.error("GET", f"{POLICIES}?$filter={directory}"))[0] == 501


# -- approval


async def approved(at: Desk) -> None:
    approver = {"@odata.type": "#microsoft.graph.singleUser", "userId": at.id(BOB)}
    stage = {"approvalStageTimeOutInDays": 1, "isApproverJustificationRequired": True, "primaryApprovers": [approver]}
    setting = {"isApprovalRequired": True, "approvalMode": "SingleStage", "approvalStages": [stage]}
    await rule(at, "Approval_EndUser_Assignment", {"setting": setting})
    await eligible(at)


async def test_an_activation_waits_for_its_approver() -> None:
    at = desk()
    await approved(at)
    made = await activate(at)
    assert (made["status"], made["approvalId"]) == ("PendingApproval", made["id"])
    assert await members(at) == []
    stages = f"{BASE}/assignmentApprovals/{made['id']}/stages"
    (stage,) = (await at.get(stages))["value"]
    yes = {"reviewResult": "Approve", "justification": "go ahead"}
    assert (await at.error("PATCH", f"{stages}/{stage['id']}", yes))[0] == 403  # her own request
    at.speaker = "operator"
    assert (await at.error("PATCH", f"{stages}/{stage['id']}", yes))[0] == 403  # applications cannot approve
    at.speaker = BOB
    mine = f"{BASE}/assignmentScheduleRequests/filterByCurrentUser(on='approver')"
    (waiting,) = (await at.get(f"{mine}?$filter={quote(chr(39).join(['status eq ', 'PendingApproval', '']))}"))["value"]
    assert waiting["id"] == made["id"]
    assert (await at.get(f"{BASE}/assignmentApprovals/{made['id']}"))["stages"][0]["assignedToMe"] is True
    assert (await at.error("PATCH", f"{stages}/{stage['id']}", {"reviewResult": "Approve"}))[0] == 400
    assert (await at.send("PATCH", f"{stages}/{stage['id']}", yes)).status == 204
    assert await members(at) == ["Alice Adams"]
    assert (await at.error("PATCH", f"{stages}/{stage['id']}", yes))[0] == 409
    at.later(hours=2)
    assert await members(at) == []


@pytest.mark.parametrize("end", ["Denied", "Canceled", "TimedOut"])
async def test_an_activation_that_nobody_approves(end: str) -> None:
    at = desk()
    await approved(at)
    made = await activate(at)
    path = f"{BASE}/assignmentScheduleRequests/{made['id']}"
    stages = f"{BASE}/assignmentApprovals/{made['id']}/stages"
    (stage,) = (await at.get(stages))["value"]
    match end:
        case "Denied":
            at.speaker = BOB
            no = {"reviewResult": "Deny", "justification": "not now"}
            assert (await at.send("PATCH", f"{stages}/{stage['id']}", no)).status == 204
        case "Canceled":
            assert (await at.send("POST", f"{path}/cancel")).status == 204
        case _:
            at.later(days=1)
    assert (await at.get(path))["status"] == end
    assert await members(at) == []
    at.speaker = ALICE
    assert (await at.error("POST", f"{path}/cancel"))[0] == 400
    assert (await at.error("PATCH", f"{stages}/nothing", {}))[0] == 404


async def test_what_is_mine() -> None:
    at = desk()
    await eligible(at)
    await activate(at)
    for kind, suffix in (
        ("eligibility", "Schedules"),
        ("eligibility", "ScheduleInstances"),
        ("assignment", "ScheduleInstances"),
        ("assignment", "ScheduleRequests"),
    ):
        mine = await at.get(f"{BASE}/{kind}{suffix}/filterByCurrentUser(on='principal')?$expand=group($select=id)")
        assert [it["group"]["id"] for it in mine["value"]] == [at.id("jit")]
    assert (await at.error("GET", f"{BASE}/eligibilitySchedules/filterByCurrentUser(on='approver')"))[0] == 501


# -- who may assign; role-assignable groups; worlds


async def test_people_assign_where_they_govern() -> None:
    at = desk(group={"owners": [BOB]})
    for who, status in ((ALICE, 403), (OLIVE, 201), (BOB, 201)):
        at.speaker = who
        body = wish(at, ALICE if who == OLIVE else OLIVE)
        assert (await at.send("POST", f"{BASE}/assignmentScheduleRequests", body)).status == status, who


async def test_members_of_a_role_assignable_group_need_the_role_permission() -> None:
    held = [it for it in ALL if it != "RoleManagement.ReadWrite.Directory"]
    at = desk(servicePrincipals=[{"name": "operator", "graphPermissions": held}])
    new = {"displayName": "n", "mailEnabled": False, "mailNickname": "n", "securityEnabled": True}
    assert (await at.error("POST", "/groups", {**new, "isAssignableToRole": True}))[0] == 403
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{at.id(ALICE)}"}
    assert (await at.error("POST", f"/groups/{at.id('jit')}/members/$ref", reference))[0] == 403
    assert (await at.error("PATCH", f"/groups/{at.id('jit')}", {"isAssignableToRole": False}))[0] == 403
    allowed = desk()
    body = {"isAssignableToRole": False}
    assert (await allowed.error("PATCH", f"/groups/{allowed.id('jit')}", body))[0] == 400  # immutable


async def test_a_world_says_who_is_eligible_and_active() -> None:
    at = desk(
        group={
            "eligible": [{"principal": ALICE, "end": "in 30 days"}],
            "active": [{"principal": BOB, "end": "in 2 hours"}],
            "activation": [{"maximumDuration": "PT1H", "approvers": [OLIVE], "require": []}],
        }
    )
    assert await members(at) == ["Bob Brown"]
    made = await activate(at, hours="PT1H")
    assert made["status"] == "PendingApproval"
    at.later(hours=2)
    assert await members(at) == []
