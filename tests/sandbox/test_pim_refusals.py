"""What PIM for Groups refuses, and in which words."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.identity_client import ALL
from tests.support.pim_requests import (
    ALICE,
    BASE,
    BOB,
    OLIVE,
    activate,
    activation,
    eligible,
    instances,
    new_client,
    request_body,
    rule,
)


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
async def test_pim_refuses_an_invalid_eligibility(change: dict[str, Any], code: str, words: str) -> None:
    client = new_client()
    status, got, message = await client.error(
        "POST", f"{BASE}/eligibilityScheduleRequests", {**request_body(client), **change}
    )
    assert (status, code in got, words in message) == (400, True, True), (got, message)


async def test_a_second_equal_eligibility_is_refused() -> None:
    client = new_client()
    await eligible(client)
    path = f"{BASE}/eligibilityScheduleRequests"
    answer = await client.error("POST", path, request_body(client))
    assert answer == (400, "RoleAssignmentExists", "The Role assignment already exists.")


async def test_a_refusal_lists_every_broken_rule() -> None:
    client = new_client()
    await eligible(client)
    await rule(client, "Enablement_EndUser_Assignment", {"enabledRules": ["Justification", "Ticketing"]})
    client.caller = ALICE
    body = activation(client, hours="PT9H", justification=None)
    status, code, words = await client.error("POST", f"{BASE}/assignmentScheduleRequests", body)
    assert (status, code) == (400, "RoleAssignmentRequestPolicyValidationFailed")
    assert words == 'The following policy rules failed: ["ExpirationRule","JustificationRule","TicketingRule"]'
    ticket = {"ticketNumber": "INC-1", "ticketSystem": "desk"}
    assert (await activate(client, ticketInfo=ticket))["ticketInfo"] == ticket


async def test_only_an_eligible_user_can_activate() -> None:
    client = new_client()
    client.caller = BOB
    words = (await client.error("POST", f"{BASE}/assignmentScheduleRequests", activation(client, BOB)))[2]
    assert words == 'The following policy rules failed: ["EligibilityRule"]'


async def test_only_a_user_with_a_second_factor_satisfies_the_mfa_rule() -> None:
    client = new_client()
    await rule(client, "Enablement_Admin_Eligibility", {"enabledRules": ["MultiFactorAuthentication"]})
    assert (await client.error("POST", f"{BASE}/eligibilityScheduleRequests", request_body(client)))[2].endswith(
        '["MfaRule"]'
    )
    await rule(client, "Enablement_Admin_Eligibility", {"enabledRules": []})
    await eligible(client)
    await rule(client, "Enablement_EndUser_Assignment", {"enabledRules": ["MultiFactorAuthentication"]})
    client.caller, client.amr = ALICE, ("pwd",)
    assert (await client.error("POST", f"{BASE}/assignmentScheduleRequests", activation(client)))[2].endswith(
        '["MfaRule"]'
    )
    client.amr = ("pwd", "mfa")
    await activate(client)


async def test_pim_does_not_know_a_new_group_yet() -> None:
    client = new_client(replication=5)
    new = {"displayName": "new", "mailEnabled": False, "mailNickname": "new", "securityEnabled": True}
    group = (await client.post("/groups", new))["id"]
    path = f"{BASE}/eligibilityScheduleRequests"
    client.later(seconds=6)
    assert (await client.get(f"/groups/{group}"))["id"] == group
    assert (await client.error("POST", path, request_body(client, groupId=group)))[1] == "SubjectNotFound"
    client.later(seconds=5)
    made = await client.post(path, request_body(client, groupId=group))
    schedule = f"{BASE}/eligibilitySchedules/{made['targetScheduleId']}"
    assert (await client.error("GET", schedule))[0] == 404
    client.later(seconds=5)
    assert (await client.get(schedule))["status"] == "Provisioned"


async def test_pim_needs_a_licence() -> None:
    client = new_client(licences=["P1"])
    assert (await client.error("POST", f"{BASE}/eligibilityScheduleRequests", request_body(client)))[
        1
    ] == "AadPremiumLicenseRequired"


@pytest.mark.parametrize("kind", ["eligibility", "assignment"])
async def test_a_missing_permission_is_named_in_the_refusal(kind: str) -> None:
    name = f"Privileged{kind.capitalize()}Schedule.ReadWrite.AzureADGroup"
    held = [it for it in ALL if it != name]
    client = new_client(servicePrincipals=[{"name": "operator", "graphPermissions": held}])
    status, code, words = await client.error("POST", f"{BASE}/{kind}ScheduleRequests", request_body(client))
    assert (status, code) == (403, "UnknownError")
    inner = json.loads(words)
    assert (inner["errorCode"], name in inner["message"]) == ("PermissionScopeNotGranted", True)


async def test_every_list_needs_a_filter() -> None:
    client = new_client()
    for kind in ("eligibility", "assignment"):
        for suffix in ("ScheduleRequests", "Schedules", "ScheduleInstances"):
            assert (await client.error("GET", f"{BASE}/{kind}{suffix}"))[0] == 400
            clause = quote(f"principalId eq '{client.id(ALICE)}'")
            assert (await client.get(f"{BASE}/{kind}{suffix}?$filter={clause}"))["value"] == []


async def test_a_validation_stores_nothing() -> None:
    client = new_client()
    made = await client.post(f"{BASE}/eligibilityScheduleRequests", request_body(client, isValidationOnly=True))
    assert (made["isValidationOnly"], made["status"]) == (True, "Granted")
    assert await instances(client, "eligibility") == []


# -- the right to assign, role-assignable groups


async def test_users_assign_only_where_they_are_allowed_to() -> None:
    client = new_client(group={"owners": [BOB]})
    for who, status in ((ALICE, 403), (OLIVE, 201), (BOB, 201)):
        client.caller = who
        body = request_body(client, ALICE if who == OLIVE else OLIVE)
        assert (await client.send("POST", f"{BASE}/assignmentScheduleRequests", body)).status == status, who


async def test_members_of_a_role_assignable_group_need_the_role_permission() -> None:
    held = [it for it in ALL if it != "RoleManagement.ReadWrite.Directory"]
    client = new_client(servicePrincipals=[{"name": "operator", "graphPermissions": held}])
    new = {"displayName": "n", "mailEnabled": False, "mailNickname": "n", "securityEnabled": True}
    assert (await client.error("POST", "/groups", {**new, "isAssignableToRole": True}))[0] == 403
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{client.id(ALICE)}"}
    assert (await client.error("POST", f"/groups/{client.id('jit')}/members/$ref", reference))[0] == 403
    assert (await client.error("PATCH", f"/groups/{client.id('jit')}", {"isAssignableToRole": False}))[0] == 403
    allowed = new_client()
    body = {"isAssignableToRole": False}
    assert (await allowed.error("PATCH", f"/groups/{allowed.id('jit')}", body))[0] == 400  # immutable
