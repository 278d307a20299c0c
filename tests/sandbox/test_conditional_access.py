"""Conditional Access: policies in Graph, their effect on sign-ins, and the sign-in log."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from azure_sandbox.front.http import Reply
from tests.support.identity_client import AKS, AKS_CLIENT, AKS_SCOPE, ALL, AZURE_CLI, DOMAIN, IdentityClient

POLICIES = "/identity/conditionalAccess/policies"
ALICE, BOB, CAROL = (f"{it}@{DOMAIN}" for it in ("alice", "bob", "carol"))
PREFER = {"Prefer": "include-unknown-enum-members"}


def new_client(replication: float = 0.0, **world: Any) -> IdentityClient:
    return IdentityClient(
        {
            "users": [
                {"name": "Alice Adams", "upn": ALICE, "password": "hers"},
                {"name": "Bob Brown", "upn": BOB, "mfa": False, "device": "compliant", "password": "his"},
                {"name": "Carol Clark", "upn": CAROL, "ip": "198.51.100.7"},
            ],
            "groups": [{"name": "admins", "members": [ALICE, BOB]}, {"name": "break-glass", "members": [CAROL]}],
            **world,
        },
        replication=replication,
    )


def policy(client: IdentityClient, *controls: str, state: str = "enabled", **conditions: Any) -> dict[str, Any]:
    whole = {
        "applications": {"includeApplications": [AKS]},
        "users": {"includeGroups": [client.id("admins")], "excludeGroups": [client.id("break-glass")]},
        **conditions,
    }
    grant = {"operator": "AND", "builtInControls": list(controls)}
    return {"displayName": "aks-policy", "state": state, "conditions": whole, "grantControls": grant}


def code_of(reply: Reply) -> int:
    """Return the AADSTS code of a response, or 0 for a token."""
    assert isinstance(reply.body, dict), reply
    return 0 if reply.status == 200 else int(reply.body["error_codes"][0])


async def password(client: IdentityClient, name: str, secret: str) -> int:
    form = {"grant_type": "password", "client_id": AKS_CLIENT, "scope": AKS_SCOPE}
    form |= {"username": name, "password": secret}
    return code_of(await client.entra_send("POST", f"/{client.tenant}/oauth2/v2.0/token", form))


async def logged(client: IdentityClient, **headers: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/auditLogs/signIns", **headers))["value"]
    return found


async def test_a_policy_is_created_read_changed_and_deleted() -> None:
    client = new_client()
    made = await client.post(POLICIES, policy(client, "mfa", state="enabledForReportingButNotEnforced"))
    assert made["conditions"]["clientAppTypes"] == ["all"]
    assert made["conditions"]["users"]["excludeUsers"] == []
    assert made["conditions"]["locations"] is None
    assert made["grantControls"]["customAuthenticationFactors"] == []
    assert made["modifiedDateTime"] is None
    path = f"{POLICIES}/{made['id']}"
    assert (await client.send("PATCH", path, {"state": "enabled"})).status == 204
    read = await client.get(path)
    assert (read["state"], read["modifiedDateTime"] is None) == ("enabled", False)
    assert read["conditions"] == made["conditions"]
    listed = await client.get(f"{POLICIES}?$filter={quote(chr(39).join(['displayName eq ', 'aks-policy', '']))}")
    assert [it["id"] for it in listed["value"]] == [made["id"]]
    assert (await client.send("DELETE", path)).status == 204
    assert (await client.error("GET", path))[0] == 404


async def test_reads_see_a_policy_after_the_replication_delay() -> None:
    client = new_client(replication=5)
    client.later(seconds=6)
    made = await client.post(POLICIES, policy(client, "mfa", state="disabled"))
    path = f"{POLICIES}/{made['id']}"
    assert (await client.error("GET", path))[0] == 404
    client.later(seconds=5)
    await client.send("PATCH", path, {"state": "enabled"})
    assert (await client.get(path))["state"] == "disabled"
    client.later(seconds=5)
    assert (await client.get(path))["state"] == "enabled"
    await client.send("DELETE", path)
    assert len((await client.get(POLICIES))["value"]) == 1


@pytest.mark.parametrize("missing", ["Policy.Read.All", "Policy.ReadWrite.ConditionalAccess", "Application.Read.All"])
async def test_writing_a_policy_needs_each_of_three_permissions(missing: str) -> None:
    held = [it for it in ALL if it not in {missing, "Directory.Read.All"}]
    client = new_client(servicePrincipals=[{"name": "operator", "secret": "right", "graphPermissions": held}])
    status, code, words = await client.error("POST", POLICIES, policy(client, "mfa"))
    assert (status, code) == (403, "AccessDenied")
    assert "required scopes are missing" in words


async def test_a_tenant_without_the_licence_has_no_policies() -> None:
    client = new_client(licences=[])
    assert "not licensed for this feature" in (await client.error("POST", POLICIES, policy(client, "mfa")))[2]
    status, code, _ = await client.error("GET", "/auditLogs/signIns")
    assert (status, code) == (403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant")


async def test_security_defaults_forbid_only_enabled_policies() -> None:
    client = new_client(securityDefaults=True)
    assert "Security Defaults is enabled" in (await client.error("POST", POLICIES, policy(client, "mfa")))[2]
    await client.post(POLICIES, policy(client, "mfa", state="enabledForReportingButNotEnforced"))


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("499b84ac-1321-427f-aa17-267ca6975798", "ServicePrincipalNotFound"),
        (AZURE_CLI, "PublicClientsAreUnsupported"),
        ("00000003-0000-0000-c000-000000000000", "UnsupportedFirstPartyApplication"),
    ],
)
async def test_a_policy_cannot_target_some_applications(app: str, why: str) -> None:
    client = new_client()
    reply = await client.send("POST", POLICIES, policy(client, "mfa", applications={"includeApplications": [app]}))
    assert isinstance(reply.body, dict)
    inner = reply.body["error"]["innerError"]
    assert inner["message"] == f'1034: Policy contains invalid applications: {{"{app}":"{why}"}}'
    assert inner["request-id"]


async def test_a_missing_service_principal_of_aks_can_be_created() -> None:
    client = new_client(
        aksServer=False,
        servicePrincipals=[
            {"name": "operator", "secret": "right", "graphPermissions": [*ALL, "Application.ReadWrite.All"]}
        ],
    )
    reply = await client.send("POST", POLICIES, policy(client, "mfa"))
    assert "ServicePrincipalNotFound" in json.dumps(reply.body)
    await client.post("/servicePrincipals", {"appId": AKS})
    await client.post(POLICIES, policy(client, "mfa"))
    assert (await client.error("POST", "/servicePrincipals", {"appId": AKS}))[0] == 409
    assert (await client.error("POST", "/servicePrincipals", {"appId": client.tenant}))[0] == 400


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"displayName": " "}, 400),
        ({"state": "on"}, 400),
        ({"colour": "blue"}, 400),
        ({"grantControls": None}, 400),
        ({"grantControls": {"operator": "AND", "builtInControls": ["block", "mfa"]}}, 400),
        ({"grantControls": {"operator": "AND", "builtInControls": ["magic"]}}, 400),
        ({"grantControls": {"operator": "AND", "builtInControls": ["passwordChange"]}}, 501),
        ({"sessionControls": {"signInFrequency": {"value": 1}}}, 501),
    ],
)
async def test_a_policy_with_an_invalid_property_is_refused(change: dict[str, Any], status: int) -> None:
    client = new_client()
    assert (await client.error("POST", POLICIES, {**policy(client, "mfa"), **change}))[0] == status


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"users": {"includeUsers": ["11111111-2222-4333-8444-555555555555"]}}, 400),
        ({"users": {}}, 400),
        ({"applications": {"includeApplications": []}}, 400),
        ({"locations": {"includeLocations": ["nowhere"]}}, 400),
        ({"clientAppTypes": ["fax"]}, 400),
        ({"clientApplications": {"includeServicePrincipals": ["All"]}}, 501),
        ({"devices": {"deviceFilter": {"mode": "exclude", "rule": "x"}}}, 501),
        ({"authenticationFlows": {"transferMethods": "authenticationTransfer"}}, 501),
    ],
)
async def test_a_policy_with_an_invalid_condition_is_refused(conditions: dict[str, Any], status: int) -> None:
    client = new_client()
    assert (await client.error("POST", POLICIES, policy(client, "mfa", **conditions)))[0] == status


async def test_risk_conditions_need_p2_and_at_most_195_policies_exist() -> None:
    client = new_client(licences=["P1"])
    words = (await client.error("POST", POLICIES, policy(client, "mfa", signInRiskLevels=["high"])))[2]
    assert words.startswith("1039: Cannot create or update policies with premium P2 features.")
    for _ in range(195):
        await client.post(POLICIES, policy(client, "mfa", state="disabled"))
    assert (await client.error("POST", POLICIES, policy(client, "mfa", state="disabled")))[0] == 400


# -- enforcement


async def test_a_blocked_sign_in_names_the_policy_and_others_succeed() -> None:
    client = new_client()
    made = await client.post(POLICIES, policy(client, "block"))
    reply = await client.device_code("alice")
    assert isinstance(reply.body, dict)
    assert (reply.status, reply.body["error"], reply.body["suberror"]) == (400, "invalid_grant", "message_only")
    claims = json.loads(reply.body["claims"])
    assert claims == {"access_token": {"capolids": {"essential": True, "values": [made["id"]]}}}
    assert code_of(await client.device_code("carol")) == 0  # not in the group
    other = "https://management.azure.com/.default"
    assert code_of(await client.device_code("alice", client=AZURE_CLI, scope=other)) == 0  # another application


async def test_an_excluded_break_glass_account_can_sign_in() -> None:
    client = new_client()
    users = {"includeUsers": ["All"], "excludeGroups": [client.id("break-glass")]}
    await client.post(POLICIES, policy(client, "block", users=users))
    assert code_of(await client.device_code("carol")) == 0
    assert code_of(await client.device_code("bob")) == 53003


async def test_a_second_factor_works_in_a_browser_but_not_with_the_password_grant() -> None:
    client = new_client()
    await client.post(POLICIES, policy(client, "mfa"))
    assert code_of(await client.device_code("alice")) == 0
    assert code_of(await client.device_code("bob")) == 50079  # has none
    assert await password(client, ALICE, "hers") == 50076


async def test_a_device_code_sign_in_never_meets_a_device_policy() -> None:
    client = new_client()
    await client.post(POLICIES, policy(client, "compliantDevice"))
    assert code_of(await client.device_code("bob")) == 53000  # although bob's device is compliant
    joined = new_client()
    await joined.post(POLICIES, policy(joined, "domainJoinedDevice"))
    assert code_of(await joined.device_code("bob")) == 53001


async def test_a_policy_can_require_one_of_several_controls() -> None:
    client = new_client()
    either = policy(client, "mfa", "compliantDevice")
    either["grantControls"]["operator"] = "OR"
    await client.post(POLICIES, either)
    assert code_of(await client.device_code("alice")) == 0
    assert code_of(await client.device_code("bob")) == 53000


async def test_named_locations_and_device_code_flow_are_conditions() -> None:
    client = new_client(namedLocations=[{"name": "office", "ranges": ["203.0.113.0/24"], "trusted": True}])
    where = {"includeLocations": ["All"], "excludeLocations": ["AllTrusted"]}
    everybody = {"includeUsers": ["All"]}
    await client.post(POLICIES, policy(client, "block", users=everybody, locations=where))
    assert code_of(await client.device_code("alice")) == 0
    assert code_of(await client.device_code("carol")) == 53003
    flow = {"transferMethods": "deviceCodeFlow"}
    await client.post(POLICIES, policy(client, "block", users=everybody, authenticationFlows=flow))
    assert code_of(await client.device_code("alice")) == 53003
    assert await password(client, ALICE, "hers") == 0
    place = {"@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": "home", "isTrusted": False}
    made = await client.post(
        "/identity/conditionalAccess/namedLocations", {**place, "ipRanges": [{"cidrAddress": "::/0"}]}
    )
    assert (await client.get(f"/identity/conditionalAccess/namedLocations/{made['id']}"))["displayName"] == "home"


async def test_a_policy_applies_to_the_next_refresh() -> None:
    client = new_client()
    signed = await client.device_code("alice")
    assert isinstance(signed.body, dict)
    await client.post(POLICIES, policy(client, "block"))
    form = {"grant_type": "refresh_token", "client_id": AKS_CLIENT, "scope": AKS_SCOPE}
    assert (await client.refused(**form, refresh_token=signed.body["refresh_token"]))[0] == 53003


async def test_policies_do_not_apply_to_service_principals() -> None:
    client = new_client()
    await client.post(POLICIES, policy(client, "block", users={"includeUsers": ["All"]}))
    form = {"grant_type": "client_credentials", "client_id": client.app("operator"), "client_secret": "right"}
    await client.token(**form, scope=f"{AKS}/.default")
    assert await logged(client) == []


# -- what-if and the log


async def test_what_if_returns_each_policy_with_its_reason() -> None:
    client = new_client()
    enforced = await client.post(POLICIES, policy(client, "mfa"))
    await client.post(POLICIES, policy(client, "mfa", applications={"includeApplications": [client.app("operator")]}))
    await client.post(POLICIES, policy(client, "mfa", state="disabled"))
    question = {
        "signInIdentity": {"@odata.type": "#microsoft.graph.userSignIn", "userId": client.id(ALICE)},
        "signInContext": {"@odata.type": "#microsoft.graph.applicationContext", "includeApplications": [AKS]},
        "signInConditions": {"clientAppType": "mobileAppsAndDesktopClients"},
    }
    path = "/identity/conditionalAccess/evaluate"
    answer = (await client.post(path, question, 200))["value"]
    assert [(it["policyApplies"], it["analysisReasons"]) for it in answer] == [
        (True, "notSet"),
        (False, "application"),
        (False, "policyNotEnabled"),
    ]
    applied = (await client.post(path, {**question, "appliedPoliciesOnly": True}, 200))["value"]
    assert [it["id"] for it in applied] == [enforced["id"]]
    workload = {"signInIdentity": {"@odata.type": "#microsoft.graph.servicePrincipalSignIn"}}
    assert (await client.error("POST", path, {**question, **workload}))[0] == 501


async def test_the_sign_in_log_shows_the_result_of_each_policy() -> None:
    client = new_client()
    await client.post(POLICIES, policy(client, "compliantDevice"))
    await client.device_code("bob")
    await client.device_code("carol")
    carol, bob = await logged(client)
    assert (bob["conditionalAccessStatus"], bob["status"]["errorCode"]) == ("failure", 53000)
    assert bob["status"]["failureReason"].startswith("Device is not in required device state")
    assert (bob["appId"], bob["resourceId"]) == (AKS_CLIENT, AKS)
    assert bob["appliedConditionalAccessPolicies"][0]["result"] == "failure"
    assert (carol["conditionalAccessStatus"], carol["status"]["errorCode"]) == ("notApplied", 0)


async def test_a_report_only_policy_blocks_nothing_and_is_logged() -> None:
    client = new_client()
    await client.post(POLICIES, policy(client, "compliantDevice", state="enabledForReportingButNotEnforced"))
    assert code_of(await client.device_code("bob")) == 0
    (entry,) = await logged(client)
    assert entry["appliedConditionalAccessPolicies"][0]["result"] == "unknownFutureValue"
    (entry,) = await logged(client, **PREFER)
    assert entry["appliedConditionalAccessPolicies"][0]["result"] == "reportOnlyFailure"
    assert entry["conditionalAccessStatus"] == "notApplied"


async def test_without_permission_the_log_omits_the_applied_policies() -> None:
    held = ["AuditLog.Read.All", "Directory.Read.All"]
    client = new_client(
        servicePrincipals=[{"name": "operator", "graphPermissions": held}],
        conditionalAccess=[{"name": "all", "users": ["All"], "state": "reportOnly"}],
    )
    await client.device_code("alice")
    (entry,) = await logged(client)
    assert "appliedConditionalAccessPolicies" not in entry
    bare = new_client(servicePrincipals=[{"name": "operator", "graphPermissions": held[:1]}])
    assert (await bare.error("GET", "/auditLogs/signIns"))[0] == 403


async def test_the_sign_in_log_supports_filters_and_paging() -> None:
    client = new_client()
    for name in ("alice", "carol", "alice"):
        await client.device_code(name)
        client.later(minutes=1)
    since = (client.clock.now()).strftime("%Y-%m-%dT%H:%M:%SZ")
    for clause, count in (
        (f"resourceId eq '{AKS}' and userId eq '{client.id(ALICE)}' and createdDateTime ge 2020-01-01T00:00:00Z", 2),
        (f"appId eq '{AKS_CLIENT}'", 3),
        (f"createdDateTime ge {since}", 0),
        ("status/errorCode eq 0", 3),
        ("startswith(userPrincipalName,'carol')", 1),
    ):
        assert len((await client.get(f"/auditLogs/signIns?$filter={quote(clause)}"))["value"]) == count, clause
    first = await client.get("/auditLogs/signIns?$top=2")
    assert len(first["value"]) == 2
    second = await client.get(first["@odata.nextLink"])
    assert [it["userId"] for it in second["value"]] == [client.id(ALICE)]
    assert (await client.error("GET", "/auditLogs/signIns?$filter=colour%20eq%20'x'"))[0] == 400
    assert (await client.get(f"/auditLogs/signIns/{first['value'][0]['id']}"))["isInteractive"] is True


async def test_a_user_needs_both_scope_and_directory_role() -> None:
    client = new_client(
        users=[{"name": "Sec", "upn": f"sec@{DOMAIN}", "roles": ["Conditional Access Administrator"]}],
        groups=[],
    )
    client.caller = f"sec@{DOMAIN}"
    assert (await client.error("GET", POLICIES))[1] == "AccessDenied"  # the client has no such scope
