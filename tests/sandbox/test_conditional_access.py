"""Conditional Access: policies in Graph, what they do to sign-ins, and what the log says of it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from azure_sandbox.http import Reply
from tests.sandbox.identity_desk import AKS, AKS_CLIENT, AKS_SCOPE, ALL, AZURE_CLI, DOMAIN, Desk

POLICIES = "/identity/conditionalAccess/policies"
ALICE, BOB, CAROL = (f"{it}@{DOMAIN}" for it in ("alice", "bob", "carol"))
PREFER = {"Prefer": "include-unknown-enum-members"}


def desk(replication: float = 0.0, **world: Any) -> Desk:
    return Desk(
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


def policy(at: Desk, *controls: str, state: str = "enabled", **conditions: Any) -> dict[str, Any]:
    whole = {
        "applications": {"includeApplications": [AKS]},
        "users": {"includeGroups": [at.id("admins")], "excludeGroups": [at.id("break-glass")]},
        **conditions,
    }
    grant = {"operator": "AND", "builtInControls": list(controls)}
    return {"displayName": "aks-policy", "state": state, "conditions": whole, "grantControls": grant}


def code_of(reply: Reply) -> int:
    """The AADSTS code of a sign-in; 0 for a token."""
    assert isinstance(reply.body, dict), reply
    return 0 if reply.status == 200 else int(reply.body["error_codes"][0])


async def password(at: Desk, name: str, secret: str) -> int:
    form = {"grant_type": "password", "client_id": AKS_CLIENT, "scope": AKS_SCOPE}
    form |= {"username": name, "password": secret}
    return code_of(await at.entra_send("POST", f"/{at.tenant}/oauth2/v2.0/token", form))


async def logged(at: Desk, **headers: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await at.get("/auditLogs/signIns", **headers))["value"]
    return found


async def test_a_policy_is_completed_read_changed_and_deleted() -> None:
    at = desk()
    made = await at.post(POLICIES, policy(at, "mfa", state="enabledForReportingButNotEnforced"))
    assert made["conditions"]["clientAppTypes"] == ["all"]
    assert made["conditions"]["users"]["excludeUsers"] == []
    assert made["conditions"]["locations"] is None
    assert made["grantControls"]["customAuthenticationFactors"] == []
    assert made["modifiedDateTime"] is None
    path = f"{POLICIES}/{made['id']}"
    assert (await at.send("PATCH", path, {"state": "enabled"})).status == 204
    read = await at.get(path)
    assert (read["state"], read["modifiedDateTime"] is None) == ("enabled", False)
    assert read["conditions"] == made["conditions"]
    listed = await at.get(f"{POLICIES}?$filter={quote(chr(39).join(['displayName eq ', 'aks-policy', '']))}")
    assert [it["id"] for it in listed["value"]] == [made["id"]]
    assert (await at.send("DELETE", path)).status == 204
    assert (await at.error("GET", path))[0] == 404


async def test_reads_of_a_policy_are_behind_its_writes() -> None:
    at = desk(replication=5)
    at.later(seconds=6)
    made = await at.post(POLICIES, policy(at, "mfa", state="disabled"))
    path = f"{POLICIES}/{made['id']}"
    assert (await at.error("GET", path))[0] == 404
    at.later(seconds=5)
    await at.send("PATCH", path, {"state": "enabled"})
    assert (await at.get(path))["state"] == "disabled"
    at.later(seconds=5)
    assert (await at.get(path))["state"] == "enabled"
    await at.send("DELETE", path)
    assert len((await at.get(POLICIES))["value"]) == 1


@pytest.mark.parametrize("missing", ["Policy.Read.All", "Policy.ReadWrite.ConditionalAccess", "Application.Read.All"])
async def test_each_of_three_permissions_is_needed_to_write(missing: str) -> None:
    held = [it for it in ALL if it not in {missing, "Directory.Read.All"}]
    at = desk(servicePrincipals=[{"name": "operator", "secret": "right", "graphPermissions": held}])
    status, code, words = await at.error("POST", POLICIES, policy(at, "mfa"))
    assert (status, code) == (403, "AccessDenied")
    assert "required scopes are missing" in words


async def test_a_tenant_without_a_licence() -> None:
    at = desk(licences=[])
    assert "not licensed for this feature" in (await at.error("POST", POLICIES, policy(at, "mfa")))[2]
    status, code, _ = await at.error("GET", "/auditLogs/signIns")
    assert (status, code) == (403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant")


async def test_security_defaults_forbid_enforcement_only() -> None:
    at = desk(securityDefaults=True)
    assert "Security Defaults is enabled" in (await at.error("POST", POLICIES, policy(at, "mfa")))[2]
    await at.post(POLICIES, policy(at, "mfa", state="enabledForReportingButNotEnforced"))


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("499b84ac-1321-427f-aa17-267ca6975798", "ServicePrincipalNotFound"),
        (AZURE_CLI, "PublicClientsAreUnsupported"),
        ("00000003-0000-0000-c000-000000000000", "UnsupportedFirstPartyApplication"),
    ],
)
async def test_a_policy_for_an_application_that_cannot_be_covered(app: str, why: str) -> None:
    at = desk()
    reply = await at.send("POST", POLICIES, policy(at, "mfa", applications={"includeApplications": [app]}))
    assert isinstance(reply.body, dict)
    inner = reply.body["error"]["innerError"]
    assert inner["message"] == f'1034: Policy contains invalid applications: {{"{app}":"{why}"}}'
    assert inner["request-id"]


async def test_the_service_principal_of_aks_can_be_missing_and_made() -> None:
    at = desk(
        aksServer=False,
        servicePrincipals=[
            {"name": "operator", "secret": "right", "graphPermissions": [*ALL, "Application.ReadWrite.All"]}
        ],
    )
    reply = await at.send("POST", POLICIES, policy(at, "mfa"))
    assert "ServicePrincipalNotFound" in json.dumps(reply.body)
    await at.post("/servicePrincipals", {"appId": AKS})
    await at.post(POLICIES, policy(at, "mfa"))
    assert (await at.error("POST", "/servicePrincipals", {"appId": AKS}))[0] == 409
    assert (await at.error("POST", "/servicePrincipals", {"appId": at.tenant}))[0] == 400


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
async def test_what_a_policy_cannot_hold(change: dict[str, Any], status: int) -> None:
    at = desk()
    assert (await at.error("POST", POLICIES, {**policy(at, "mfa"), **change}))[0] == status


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
async def test_what_a_condition_cannot_be(conditions: dict[str, Any], status: int) -> None:
    at = desk()
    assert (await at.error("POST", POLICIES, policy(at, "mfa", **conditions)))[0] == status


async def test_risk_needs_the_other_licence_and_195_policies_are_enough() -> None:
    at = desk(licences=["P1"])
    words = (await at.error("POST", POLICIES, policy(at, "mfa", signInRiskLevels=["high"])))[2]
    assert words.startswith("1039: Cannot create or update policies with premium P2 features.")
    for _ in range(195):
        await at.post(POLICIES, policy(at, "mfa", state="disabled"))
    assert (await at.error("POST", POLICIES, policy(at, "mfa", state="disabled")))[0] == 400


# -- enforcement


async def test_a_blocked_sign_in_names_the_policy_and_leaves_others_alone() -> None:
    at = desk()
    made = await at.post(POLICIES, policy(at, "block"))
    reply = await at.device_code("alice")
    assert isinstance(reply.body, dict)
    assert (reply.status, reply.body["error"], reply.body["suberror"]) == (400, "invalid_grant", "message_only")
    claims = json.loads(reply.body["claims"])
    assert claims == {"access_token": {"capolids": {"essential": True, "values": [made["id"]]}}}
    assert code_of(await at.device_code("carol")) == 0  # not in the group
    other = "https://management.azure.com/.default"
    assert code_of(await at.device_code("alice", client=AZURE_CLI, scope=other)) == 0  # another application


async def test_an_excluded_break_glass_account_gets_in() -> None:
    at = desk()
    users = {"includeUsers": ["All"], "excludeGroups": [at.id("break-glass")]}
    await at.post(POLICIES, policy(at, "block", users=users))
    assert code_of(await at.device_code("carol")) == 0
    assert code_of(await at.device_code("bob")) == 53003


async def test_a_second_factor_is_used_in_a_browser_and_never_with_a_password() -> None:
    at = desk()
    await at.post(POLICIES, policy(at, "mfa"))
    assert code_of(await at.device_code("alice")) == 0
    assert code_of(await at.device_code("bob")) == 50079  # has none
    assert await password(at, ALICE, "hers") == 50076


async def test_a_device_code_carries_no_device() -> None:
    at = desk()
    await at.post(POLICIES, policy(at, "compliantDevice"))
    assert code_of(await at.device_code("bob")) == 53000  # although his device is compliant
    joined = desk()
    await joined.post(POLICIES, policy(joined, "domainJoinedDevice"))
    assert code_of(await joined.device_code("bob")) == 53001


async def test_one_of_several_controls_can_be_enough() -> None:
    at = desk()
    either = policy(at, "mfa", "compliantDevice")
    either["grantControls"]["operator"] = "OR"
    await at.post(POLICIES, either)
    assert code_of(await at.device_code("alice")) == 0
    assert code_of(await at.device_code("bob")) == 53000


async def test_named_locations_and_device_code_flow_are_conditions() -> None:
    at = desk(namedLocations=[{"name": "office", "ranges": ["203.0.113.0/24"], "trusted": True}])
    where = {"includeLocations": ["All"], "excludeLocations": ["AllTrusted"]}
    everybody = {"includeUsers": ["All"]}
    await at.post(POLICIES, policy(at, "block", users=everybody, locations=where))
    assert code_of(await at.device_code("alice")) == 0
    assert code_of(await at.device_code("carol")) == 53003
    flow = {"transferMethods": "deviceCodeFlow"}
    await at.post(POLICIES, policy(at, "block", users=everybody, authenticationFlows=flow))
    assert code_of(await at.device_code("alice")) == 53003
    assert await password(at, ALICE, "hers") == 0
    place = {"@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": "home", "isTrusted": False}
    made = await at.post("/identity/conditionalAccess/namedLocations", {**place, "ipRanges": [{"cidrAddress": "::/0"}]})
    assert (await at.get(f"/identity/conditionalAccess/namedLocations/{made['id']}"))["displayName"] == "home"


async def test_a_policy_reaches_the_next_refresh() -> None:
    at = desk()
    signed = await at.device_code("alice")
    assert isinstance(signed.body, dict)
    await at.post(POLICIES, policy(at, "block"))
    form = {"grant_type": "refresh_token", "client_id": AKS_CLIENT, "scope": AKS_SCOPE}
    assert (await at.refused(**form, refresh_token=signed.body["refresh_token"]))[0] == 53003


async def test_service_principals_are_not_covered() -> None:
    at = desk()
    await at.post(POLICIES, policy(at, "block", users={"includeUsers": ["All"]}))
    form = {"grant_type": "client_credentials", "client_id": at.app("operator"), "client_secret": "right"}
    await at.token(**form, scope=f"{AKS}/.default")
    assert await logged(at) == []


# -- what-if and the log


async def test_what_if() -> None:
    at = desk()
    enforced = await at.post(POLICIES, policy(at, "mfa"))
    await at.post(POLICIES, policy(at, "mfa", applications={"includeApplications": [at.app("operator")]}))
    await at.post(POLICIES, policy(at, "mfa", state="disabled"))
    question = {
        "signInIdentity": {"@odata.type": "#microsoft.graph.userSignIn", "userId": at.id(ALICE)},
        "signInContext": {"@odata.type": "#microsoft.graph.applicationContext", "includeApplications": [AKS]},
        "signInConditions": {"clientAppType": "mobileAppsAndDesktopClients"},
    }
    path = "/identity/conditionalAccess/evaluate"
    answer = (await at.post(path, question, 200))["value"]
    assert [(it["policyApplies"], it["analysisReasons"]) for it in answer] == [
        (True, "notSet"),
        (False, "application"),
        (False, "policyNotEnabled"),
    ]
    applied = (await at.post(path, {**question, "appliedPoliciesOnly": True}, 200))["value"]
    assert [it["id"] for it in applied] == [enforced["id"]]
    workload = {"signInIdentity": {"@odata.type": "#microsoft.graph.servicePrincipalSignIn"}}
    assert (await at.error("POST", path, {**question, **workload}))[0] == 501


async def test_the_log_says_who_was_let_in_by_what() -> None:
    at = desk()
    await at.post(POLICIES, policy(at, "compliantDevice"))
    await at.device_code("bob")
    await at.device_code("carol")
    carol, bob = await logged(at)
    assert (bob["conditionalAccessStatus"], bob["status"]["errorCode"]) == ("failure", 53000)
    assert bob["status"]["failureReason"].startswith("Device is not in required device state")
    assert (bob["appId"], bob["resourceId"]) == (AKS_CLIENT, AKS)
    assert bob["appliedConditionalAccessPolicies"][0]["result"] == "failure"
    assert (carol["conditionalAccessStatus"], carol["status"]["errorCode"]) == ("notApplied", 0)


async def test_report_only_lets_in_and_tells_only_who_asks_for_it() -> None:
    at = desk()
    await at.post(POLICIES, policy(at, "compliantDevice", state="enabledForReportingButNotEnforced"))
    assert code_of(await at.device_code("bob")) == 0
    (entry,) = await logged(at)
    assert entry["appliedConditionalAccessPolicies"][0]["result"] == "unknownFutureValue"
    (entry,) = await logged(at, **PREFER)
    assert entry["appliedConditionalAccessPolicies"][0]["result"] == "reportOnlyFailure"
    assert entry["conditionalAccessStatus"] == "notApplied"


async def test_what_policies_said_is_left_out_in_silence_without_permission() -> None:
    held = ["AuditLog.Read.All", "Directory.Read.All"]
    at = desk(
        servicePrincipals=[{"name": "operator", "graphPermissions": held}],
        conditionalAccess=[{"name": "all", "users": ["All"], "state": "reportOnly"}],
    )
    await at.device_code("alice")
    (entry,) = await logged(at)
    assert "appliedConditionalAccessPolicies" not in entry
    bare = desk(servicePrincipals=[{"name": "operator", "graphPermissions": held[:1]}])
    assert (await bare.error("GET", "/auditLogs/signIns"))[0] == 403


async def test_the_log_is_filtered_and_paged() -> None:
    at = desk()
    for name in ("alice", "carol", "alice"):
        await at.device_code(name)
        at.later(minutes=1)
    since = (at.clock.now()).strftime("%Y-%m-%dT%H:%M:%SZ")
    for clause, count in (
        (f"resourceId eq '{AKS}' and userId eq '{at.id(ALICE)}' and createdDateTime ge 2020-01-01T00:00:00Z", 2),
        (f"appId eq '{AKS_CLIENT}'", 3),
        (f"createdDateTime ge {since}", 0),
        ("status/errorCode eq 0", 3),
        ("startswith(userPrincipalName,'carol')", 1),
    ):
        assert len((await at.get(f"/auditLogs/signIns?$filter={quote(clause)}"))["value"]) == count, clause
    first = await at.get("/auditLogs/signIns?$top=2")
    assert len(first["value"]) == 2
    second = await at.get(first["@odata.nextLink"])
    assert [it["userId"] for it in second["value"]] == [at.id(ALICE)]
    assert (await at.error("GET", "/auditLogs/signIns?$filter=colour%20eq%20'x'"))[0] == 400
    assert (await at.get(f"/auditLogs/signIns/{first['value'][0]['id']}"))["isInteractive"] is True


async def test_a_signed_in_person_needs_scope_and_role() -> None:
    at = desk(
        users=[{"name": "Sec", "upn": f"sec@{DOMAIN}", "roles": ["Conditional Access Administrator"]}],
        groups=[],
    )
    at.speaker = f"sec@{DOMAIN}"
    assert (await at.error("GET", POLICIES))[1] == "AccessDenied"  # the client has no such scope
