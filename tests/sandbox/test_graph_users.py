"""Users that are created in Graph, the properties that each type shows, functions, and the beta paths of groups."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.identity_client import ARM_SCOPE, AZURE_CLI, DOMAIN, IdentityClient

ROOT = "https://graph.microsoft.com"
ALICE, JO = f"alice@{DOMAIN}", f"jo@{DOMAIN}"
PASSWORD = "Str0ng-enough"  # of a user of the sandbox
NEW: dict[str, Any] = {
    "accountEnabled": True,
    "displayName": "Jo",
    "mailNickname": "jo",
    "userPrincipalName": JO,
    "passwordProfile": {"password": PASSWORD, "forceChangePasswordNextSignIn": False},
}
SIGN_IN = {"grant_type": "password", "client_id": AZURE_CLI, "scope": ARM_SCOPE, "username": JO}
DEFAULTS = {
    *("businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation"),
    *("preferredLanguage", "surname", "userPrincipalName"),
}


@pytest.fixture(name="client")
def a_client() -> IdentityClient:
    operator = {
        "name": "operator",
        "graphPermissions": ["User.ReadWrite.All", "Group.ReadWrite.All", "Application.Read.All"],
    }
    return IdentityClient(
        {
            "servicePrincipals": [operator, {"name": "reader", "graphPermissions": ["User.Read.All"]}],
            "users": [{"name": "Alice Adams", "upn": ALICE}],
            "groups": [{"name": "admins", "members": [ALICE, "operator", "inner"]}, {"name": "inner"}],
        }
    )


async def test_a_user_is_created_signs_in_is_changed_and_deleted(client: IdentityClient) -> None:
    answer = await client.send("POST", "/users", {**NEW, "department": "payments"})
    made: Any = answer.body
    place = f"{ROOT}/v2/{client.tenant}/directoryObjects/{made['id']}/Microsoft.DirectoryServices.User"
    assert (answer.status, answer.headers["Location"]) == (201, place)
    assert set(made) == DEFAULTS | {"@odata.context"}
    assert (await client.token(**SIGN_IN, password=PASSWORD))["access_token"]
    found = await client.get(f"/users/{JO}?$select=department,createdDateTime,passwordProfile")
    assert (found["department"], found["passwordProfile"], bool(found["createdDateTime"])) == ("payments", None, True)
    change = {"displayName": "Joanna", "passwordProfile": {"password": "An0ther-one"}, "department": None}
    assert (await client.send("PATCH", f"/users/{JO}", change)).status == 204
    assert (await client.refused(**SIGN_IN, password=PASSWORD))[0] == 50126
    must = {"passwordProfile": {"forceChangePasswordNextSignIn": True}}
    assert (await client.send("PATCH", f"/users/{JO}", must)).status == 204
    assert (await client.refused(**SIGN_IN, password="An0ther-one"))[0] == 50055
    renamed = f"joanna@{DOMAIN}"
    assert (await client.send("PATCH", f"/users/{JO}", {"userPrincipalName": renamed})).status == 204
    assert (await client.error("GET", f"/users/{JO}"))[0] == 404
    assert (await client.send("DELETE", f"/users/{renamed}")).status == 204
    assert (await client.error("GET", f"/users/{renamed}"))[0] == 404
    (listed,) = (await client.get("/directory/deletedItems/microsoft.graph.user"))["value"]
    assert (listed["displayName"], listed["deletedDateTime"] is None) == ("Joanna", False)
    restored = await client.send("POST", f"/directory/deletedItems/{made['id']}/restore")
    assert restored.status == 200
    assert (await client.get(f"/users/{renamed}"))["id"] == made["id"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"displayName": None}, 400, "A value is required for property 'displayName'"),
        ({"passwordProfile": None}, 400, "A password must be specified to create a new user."),
        ({"passwordProfile": {"password": "short1A"}}, 400, "password complexity requirements"),
        ({"passwordProfile": {"password": "alllowercase"}}, 400, "password complexity requirements"),
        ({"passwordProfile": "x"}, 400, "Invalid value specified for property 'passwordProfile' of resource 'User'"),
        ({"userPrincipalName": "jo@elsewhere.example"}, 400, "The domain portion of the userPrincipalName"),
        ({"userPrincipalName": "jo"}, 400, "The domain portion of the userPrincipalName"),
        ({"userPrincipalName": ALICE}, 400, "the same value for property userPrincipalName already exists"),
        ({"accountEnabled": "yes"}, 400, "Invalid value specified for property 'accountEnabled'"),
        ({"displayName": " "}, 400, "Invalid value specified for property 'displayName'"),
        ({"businessPhones": "1"}, 400, "Invalid value specified for property 'businessPhones'"),
        ({"colour": "red"}, 400, "Invalid property 'colour': it is unknown"),
        ({"assignedLicenses": []}, 400, "Invalid property 'assignedLicenses': it is read-only"),
        ({"signInActivity": {}}, 501, "'signInActivity'"),
    ],
)
async def test_graph_refuses_an_invalid_user(
    client: IdentityClient, change: dict[str, Any], status: int, words: str
) -> None:
    refused = await client.error("POST", "/users", {**NEW, **change})
    assert (refused[0], words in refused[2]) == (status, True), refused
    assert client.directory.user(JO) is None


async def test_users_are_changed_with_the_permission_only(client: IdentityClient) -> None:
    client.caller = "reader"
    for method, path, body in (
        ("POST", "/users", NEW),
        ("PATCH", f"/users/{ALICE}", {"displayName": "A"}),
        ("DELETE", f"/users/{ALICE}", None),
    ):
        assert (await client.error(method, path, body))[:2] == (403, "Authorization_RequestDenied")
    client.caller = "operator"
    assert (await client.error("PATCH", f"/users/nobody@{DOMAIN}", {}))[0] == 404
    taken = await client.error(
        "PATCH", f"/users/{(await client.post('/users', NEW))['id']}", {"userPrincipalName": ALICE}
    )
    assert taken[0] == 400


async def test_each_real_property_has_a_value_or_a_501(client: IdentityClient) -> None:
    chosen = "department,employeeId,usageLocation,companyName,assignedLicenses,createdDateTime,onPremisesSyncEnabled"
    shown = await client.get(f"/users/{ALICE}?$select={chosen}")
    assert {shown[it] for it in ("department", "employeeId", "usageLocation", "companyName")} == {None}
    assert (shown["assignedLicenses"], bool(shown["createdDateTime"])) == ([], True)
    assert (await client.get("/groups?$select=assignedLabels"))["value"][0] == {"assignedLabels": []}
    assert "assignedLabels" not in (await client.get("/groups"))["value"][0]
    assert (await client.get("/users?$filter=department%20eq%20'x'"))["value"] == []
    for query in ("$select=signInActivity", "$filter=lastPasswordChangeDateTime%20eq%20null"):
        assert (await client.error("GET", f"/users?{query}"))[:2] == (501, "SandboxNotModelled")
    assert (await client.error("GET", "/users?$select=colour"))[0] == 400


async def test_members_show_the_default_properties_of_their_type(client: IdentityClient) -> None:
    group = client.id("admins")
    for path in (f"/groups/{group}/members", f"/beta/groups/{group}/members", f"/groups/{group}/transitiveMembers"):
        target = f"{ROOT}{path}" if path.startswith("/beta") else path
        whole = await client.get(target)
        assert ("/beta/" if "/beta/" in path else "/v1.0/") in whole["@odata.context"]
        shown = {it["@odata.type"]: set(it) for it in whole["value"]}
        assert shown["#microsoft.graph.user"] == DEFAULTS | {"@odata.type"}
        assert "assignedLabels" not in shown["#microsoft.graph.group"]
        assert "accountEnabled" in shown["#microsoft.graph.servicePrincipal"]
    chosen = (await client.get(f"/groups/{group}/members/microsoft.graph.user?$select=id,accountEnabled"))["value"]
    assert [it["accountEnabled"] for it in chosen] == [True]
    found = await client.post("/directoryObjects/getByIds", {"ids": [client.id(ALICE)], "types": ["user"]}, 200)
    assert set(found["value"][0]) == DEFAULTS | {"@odata.type"}
    expanded = (await client.get(f"/groups/{group}?$expand=members"))["members"]
    assert DEFAULTS | {"@odata.type"} in [set(it) for it in expanded]


async def test_groups_are_written_and_read_below_beta(client: IdentityClient) -> None:
    new = {"displayName": "g", "mailEnabled": False, "mailNickname": "g", "securityEnabled": True}
    answer = await client.send("POST", f"{ROOT}/beta/groups", new)
    made: Any = answer.body
    assert (answer.status, "/beta/$metadata" in made["@odata.context"]) == (201, True)
    path = f"{ROOT}/beta/groups/{made['id']}"
    assert (await client.send("PATCH", path, {"displayName": "h"})).status == 204
    assert (await client.get(path))["displayName"] == "h"
    assert (await client.get(f"{path}/owners"))["value"] == []
    assert (await client.send("DELETE", path)).status == 204
    assert (await client.error("GET", f"{ROOT}/beta/users"))[0] == 501


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/groups/delta"),
        ("GET", "/groups/microsoft.graph.delta()"),
        ("GET", "/users/delta"),
        ("GET", "/servicePrincipals/delta"),
        ("GET", "/applications/delta"),
        ("POST", "/groups/getByIds"),
        ("POST", "/groups/validateProperties"),
        ("POST", "/directoryObjects/validateProperties"),
        ("POST", "/users/delta/checkMemberGroups"),
    ],
)
async def test_a_function_is_never_read_as_an_id(client: IdentityClient, method: str, path: str) -> None:
    assert (await client.error(method, path, {} if method == "POST" else None))[0] == 501


async def test_an_action_answers_with_the_address_of_the_service(client: IdentityClient) -> None:
    answer = await client.send("POST", f"/users/{ALICE}/getMemberGroups", {"securityEnabledOnly": True})
    assert (answer.status, answer.headers["Location"]) == (200, ROOT)
