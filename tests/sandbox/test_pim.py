"""PIM for Groups: who may become a member, for how long and with whose approval, and that memberships end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from azure_sandbox.entra.tokens import AKS_AUDIENCES
from tests.support.identity_client import AKS, IdentityClient
from tests.support.pim_requests import (
    ALICE,
    BASE,
    BOB,
    DAY,
    OLIVE,
    POLICIES,
    activate,
    eligible,
    instances,
    members,
    new_client,
    policy,
    request_body,
)

# -- eligible and active assignments, and their end


async def test_an_eligible_user_is_a_member_only_while_the_activation_lasts() -> None:
    client = new_client()
    made = await eligible(client)
    assert (made["status"], made["targetScheduleId"]) == ("Provisioned", f"{client.id('jit')}_member_{made['id']}")
    assert made["scheduleInfo"]["startDateTime"] > "2026"  # a start in the past is replaced by the present
    assert await members(client) == []
    assert len(await instances(client, "eligibility")) == 1
    active = await activate(client)
    assert (active["status"], active["action"]) == ("Provisioned", "selfActivate")
    assert active["scheduleInfo"]["expiration"]["type"] == "afterDuration"
    assert await members(client) == ["Alice Adams"]
    (instance,) = await instances(client)
    assert instance["assignmentType"] == "activated"
    signed = await client.device_code("alice")
    assert isinstance(signed.body, dict)
    assert client.tokens.read(signed.body["access_token"], AKS_AUDIENCES).groups == (client.id("jit"),)
    client.later(hours=2)
    assert await members(client) == []
    assert await instances(client) == []
    assert client.tokens.read(client.tokens.issue(_alice(client), audience=AKS), AKS_AUDIENCES).groups is None


def _alice(client: IdentityClient) -> Any:
    return client.directory.user(ALICE)


async def test_an_active_assignment_starts_and_ends_by_the_clock() -> None:
    client = new_client()
    begins = client.clock.now() + timedelta(minutes=30)
    later = {"startDateTime": begins.isoformat(), "expiration": DAY}
    made = await client.post(f"{BASE}/assignmentScheduleRequests", request_body(client, scheduleInfo=later))
    assert made["status"] == "ScheduleCreated"
    assert await members(client) == []
    client.later(hours=1)
    assert await members(client) == ["Alice Adams"]
    client.later(hours=24)
    assert await members(client) == []


async def test_an_assignment_can_be_removed_and_its_request_stays() -> None:
    client = new_client()
    made = await client.post(f"{BASE}/assignmentScheduleRequests", request_body(client))
    end = await client.post(
        f"{BASE}/assignmentScheduleRequests", request_body(client, action="adminRemove", scheduleInfo=None)
    )
    assert end["status"] == "Revoked"
    assert await members(client) == []
    assert (await client.get(f"{BASE}/assignmentScheduleRequests/{made['id']}"))["status"] == "Revoked"
    path = f"{BASE}/assignmentSchedules/{made['targetScheduleId']}"
    assert (await client.error("GET", path))[0] == 404


async def test_removing_an_assignment_within_five_minutes_is_refused() -> None:
    client = IdentityClient({"users": [{"name": "A", "upn": ALICE}], "groups": [{"name": "jit"}]}, pace=1)
    await client.post(f"{BASE}/assignmentScheduleRequests", request_body(client))
    remove = request_body(client, action="adminRemove", scheduleInfo=None)
    assert (await client.error("POST", f"{BASE}/assignmentScheduleRequests", remove))[1] == "ActiveDurationTooShort"
    client.later(minutes=5)
    await client.post(f"{BASE}/assignmentScheduleRequests", remove)


async def test_removing_a_member_through_graph_ends_the_assignment() -> None:
    client = new_client()
    await client.post(f"{BASE}/assignmentScheduleRequests", request_body(client))
    reply = await client.send("DELETE", f"/groups/{client.id('jit')}/members/{client.id(ALICE)}/$ref")
    assert (reply.status, await members(client), await instances(client)) == (204, [], [])


async def test_a_direct_member_is_listed_as_assigned_without_end() -> None:
    client = new_client(group={"members": [BOB]})
    await eligible(client)
    (instance,) = await instances(client)
    assert (instance["principalId"], instance["endDateTime"]) == (client.id(BOB), None)
    assert (await client.error("POST", f"{BASE}/assignmentScheduleRequests", request_body(client, BOB)))[
        1
    ] == "RoleAssignmentExists"


async def test_an_active_owner_may_change_a_group_until_the_end() -> None:
    client = new_client(group={"roleAssignable": False})
    await client.post(f"{BASE}/assignmentScheduleRequests", request_body(client, accessId="owner"))
    owners = (await client.get(f"/groups/{client.id('jit')}/owners"))["value"]
    assert [it["displayName"] for it in owners] == ["Alice Adams"]
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{client.id(BOB)}"}
    client.caller = ALICE
    assert (await client.send("POST", f"/groups/{client.id('jit')}/members/$ref", reference)).status == 204
    client.later(days=1)
    assert (await client.error("DELETE", f"/groups/{client.id('jit')}/members/{client.id(BOB)}/$ref"))[0] == 403
    assert (await client.get(f"/groups/{client.id('jit')}/owners"))["value"] == []


async def test_a_user_can_end_their_own_activation() -> None:
    client = new_client()
    await eligible(client)
    await activate(client)
    await client.post(
        f"{BASE}/assignmentScheduleRequests", request_body(client, action="selfDeactivate", scheduleInfo=None)
    )
    assert await members(client) == []


# -- policies


async def test_a_policy_has_17_rules_and_another_id_once_the_group_is_onboarded() -> None:
    client = new_client()
    before = await policy(client)
    assert len(before["policy"]["rules"]) == 17
    assert before["id"] == f"{before['policyId']}_member"
    path = f"/policies/roleManagementPolicies/{before['policyId']}"
    shorter = {"@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyExpirationRule", "maximumDuration": "PT1H"}
    assert (await client.send("PATCH", f"{path}/rules/Expiration_EndUser_Assignment", shorter)).status == 200
    after = await policy(client)
    assert after["policyId"] != before["policyId"]
    assert (await client.error("GET", path))[0] == 404
    path = f"/policies/roleManagementPolicies/{after['policyId']}"
    assert (await client.get(f"{path}/rules/Expiration_EndUser_Assignment"))["maximumDuration"] == "PT1H"
    assert len((await client.get(f"{path}/rules"))["value"]) == 17
    assert len((await client.get(f"{path}?$expand=rules"))["rules"]) == 17
    for body, status in (({"maximumDuration": "P1W"}, 400), ({"colour": 1}, 400), ({"id": "x"}, 400)):
        name = "Expiration_EndUser_Assignment"
        assert (await client.error("PATCH", f"{path}/rules/{name}", body))[0] == status
    assert (await client.error("PATCH", f"{path}/rules/Nothing", {}))[0] == 404
    context = f"{path}/rules/AuthenticationContext_EndUser_Assignment"
    assert (await client.error("PATCH", context, {"isEnabled": True}))[0] == 501


async def test_policies_must_be_filtered_by_group() -> None:
    client = new_client()
    assert (await client.error("GET", POLICIES))[0] == 400
    directory = quote("scopeId eq '/' and scopeType eq 'DirectoryRole'")
    assert (await client.error("GET", f"{POLICIES}?$filter={directory}"))[0] == 501


async def test_filter_by_current_user_lists_the_callers_objects() -> None:
    client = new_client()
    await eligible(client)
    await activate(client)
    for kind, suffix in (
        ("eligibility", "Schedules"),
        ("eligibility", "ScheduleInstances"),
        ("assignment", "ScheduleInstances"),
        ("assignment", "ScheduleRequests"),
    ):
        mine = await client.get(f"{BASE}/{kind}{suffix}/filterByCurrentUser(on='principal')?$expand=group($select=id)")
        assert [it["group"]["id"] for it in mine["value"]] == [client.id("jit")]
    assert (await client.error("GET", f"{BASE}/eligibilitySchedules/filterByCurrentUser(on='approver')"))[0] == 501


async def test_a_world_can_define_eligible_and_active_principals() -> None:
    client = new_client(
        group={
            "eligible": [{"principal": ALICE, "end": "in 30 days"}],
            "active": [{"principal": BOB, "end": "in 2 hours"}],
            "activation": [{"maximumDuration": "PT1H", "approvers": [OLIVE], "require": []}],
        }
    )
    assert await members(client) == ["Bob Brown"]
    made = await activate(client, hours="PT1H")
    assert made["status"] == "PendingApproval"
    client.later(hours=2)
    assert await members(client) == []
