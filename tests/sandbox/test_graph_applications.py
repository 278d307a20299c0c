"""Applications and service principals that are created in Graph: their secrets, certificates, owners and refusals."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azure_sandbox.cluster.certificates import new_authority
from tests.support.identity_client import ARM_SCOPE, DOMAIN, IdentityClient

ROOT = "https://graph.microsoft.com"
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
NOBODY = "dddddddd-0000-4000-8000-000000000009"
WORLD: dict[str, Any] = {
    "users": [{"name": "alice", "upn": ALICE}, {"name": "bob", "upn": BOB}],
    "servicePrincipals": [
        {"name": "operator", "graphPermissions": ["Application.ReadWrite.All", "User.Read.All"]},
        {"name": "maker", "graphPermissions": ["Application.ReadWrite.OwnedBy", "Application.Read.All"]},
        {"name": "reader", "graphPermissions": ["Application.Read.All"]},
        {"name": "web", "secret": "of-the-world"},
    ],
}
GRANT = {"grant_type": "client_credentials", "scope": ARM_SCOPE}


@pytest.fixture(name="client")
def a_client() -> IdentityClient:
    return IdentityClient(WORLD)


async def registered(client: IdentityClient, **more: Any) -> tuple[dict[str, Any], str]:
    """Return a new application and the path of its registration."""
    made = await client.post("/applications", {"displayName": "deployer", **more})
    return made, f"/applications/{made['id']}"


async def test_a_secret_is_shown_once_and_opens_entra_until_it_is_removed(client: IdentityClient) -> None:
    made, path = await registered(client, keyCredentials=[])
    answer = await client.send("POST", f"{path}/addPassword", {"passwordCredential": {"displayName": "rbac"}})
    assert (answer.status, answer.headers["Location"]) == (200, ROOT)
    added: Any = answer.body
    form = {**GRANT, "client_id": made["appId"], "client_secret": added["secretText"]}
    assert (await client.refused(**form))[0] == 7000229
    principal = await client.post("/servicePrincipals", {"appId": made["appId"], "accountEnabled": True})
    assert (await client.token(**form))["access_token"]
    (listed,) = (await client.get(path))["passwordCredentials"]
    assert listed == {key: it for key, it in added.items() if not key.startswith("@")} | {"secretText": None}
    assert added["secretText"].startswith(listed["hint"])
    assert (await client.refused(**{**form, "client_secret": "guess"}))[0] == 7000215
    client.later(days=730)
    assert (await client.refused(**form))[0] == 7000222
    other = await client.post(f"/servicePrincipals/{principal['id']}/addPassword", {}, 200)
    assert (await client.token(**{**form, "client_secret": other["secretText"]}))["access_token"]
    gone = await client.send("POST", f"/servicePrincipals/{principal['id']}/removePassword", {"keyId": other["keyId"]})
    assert gone.status == 204
    assert (await client.refused(**{**form, "client_secret": other["secretText"]}))[0] == 7000215
    assert (await client.error("POST", f"{path}/removePassword", {"keyId": NOBODY}))[0] == 400


async def test_a_secret_of_the_world_can_be_removed(client: IdentityClient) -> None:
    form = {**GRANT, "client_id": client.app("web"), "client_secret": "of-the-world"}
    assert (await client.token(**form))["access_token"]
    found = await client.get(f"/applications(appId='{client.app('web')}')")
    path, (held,) = f"/applications/{found['id']}", found["passwordCredentials"]
    assert (await client.send("POST", f"{path}/removePassword", {"keyId": held["keyId"]})).status == 204
    assert (await client.refused(**form))[0] == 7000215


async def test_certificates_are_added_kept_and_removed(client: IdentityClient) -> None:
    pair = new_authority(client.clock.now())
    der = pair.certificate.public_bytes(Encoding.DER)
    key = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.encodebytes(der).decode()}
    made, path = await registered(client, keyCredentials=[key])
    (held,) = made["keyCredentials"]
    assert (held["key"], held["type"]) == (None, "AsymmetricX509Cert")
    principal = await client.post("/servicePrincipals", {"appId": made["appId"]})
    assert client.directory.certificates_of(_held(client, principal["id"])) == [der]
    kept = {"keyCredentials": [{"keyId": held["keyId"], "key": None}]}
    assert (await client.send("PATCH", path, kept)).status == 204
    assert (await client.get(path))["keyCredentials"] == [held]
    assert (await client.send("PATCH", path, {"keyCredentials": []})).status == 204
    assert client.directory.certificates_of(_held(client, principal["id"])) == []
    pem = base64.b64encode(pair.certificate_pem).decode()
    whole = {"keyCredentials": [{**key, "key": pem}]}
    assert (await client.send("PATCH", f"/servicePrincipals/{principal['id']}", whole)).status == 204
    assert client.directory.certificates_of(_held(client, principal["id"])) == [der]


def _held(client: IdentityClient, object_id: str) -> Any:
    return client.directory.principal(object_id)


async def test_a_deleted_application_takes_its_service_principal_along_and_both_come_back(
    client: IdentityClient,
) -> None:
    answer = await client.send("POST", "/applications", {"displayName": "deployer"})
    made: Any = answer.body
    tenant = client.tenant
    place = f"{ROOT}/v2/{tenant}/directoryObjects/{made['id']}/Microsoft.DirectoryServices.Application"
    assert (answer.status, answer.headers["Location"]) == (201, place)
    principal = await client.post("/servicePrincipals", {"appId": made["appId"]})
    path, other = f"/applications/{made['id']}", f"/servicePrincipals/{principal['id']}"
    names = "/applications?$filter=startswith(displayName,'dep')"
    assert [it["id"] for it in (await client.get(names))["value"]] == [made["id"]]
    assert (await client.send("DELETE", path)).status == 204
    for gone in (path, other, f"/applications(appId='{made['appId']}')"):
        assert (await client.error("GET", gone))[0] == 404
    items = "/directory/deletedItems"
    for cast, it in (("application", made), ("servicePrincipal", principal)):
        (listed,) = (await client.get(f"{items}/microsoft.graph.{cast}"))["value"]
        assert (listed["id"], listed["deletedDateTime"] is None) == (it["id"], False)
        assert (await client.get(f"{items}/{it['id']}"))["@odata.type"] == f"#microsoft.graph.{cast}"
        assert (await client.send("POST", f"{items}/{it['id']}/restore")).status == 200
    assert (await client.get(other))["appDisplayName"] == "deployer"
    assert (await client.send("DELETE", other)).status == 204
    again = await client.post("/servicePrincipals", {"appId": made["appId"]})
    assert (await client.error("POST", f"{items}/{principal['id']}/restore"))[0] == 400
    assert (await client.send("DELETE", f"{items}/{principal['id']}")).status == 204
    assert (await client.error("GET", f"{items}/{principal['id']}"))[0] == 404
    assert (await client.send("DELETE", f"/servicePrincipals/{again['id']}")).status == 204
    client.later(days=30)
    assert (await client.error("GET", f"{items}/{again['id']}"))[0] == 404
    assert (await client.error("GET", f"{items}/microsoft.graph.device"))[0] == 501


async def test_a_change_of_an_application_governs_how_it_signs_in(client: IdentityClient) -> None:
    made, path = await registered(client)
    principal = await client.post("/servicePrincipals", {"appId": made["appId"], "tags": ["a"]})
    change = {
        "displayName": "renamed",
        "publicClient": {"redirectUris": ["http://localhost"]},
        "web": {"redirectUris": ["https://a.example/"]},
        "api": {"requestedAccessTokenVersion": None},
        "groupMembershipClaims": "SecurityGroup",
        "tags": ["b"],
    }
    assert (await client.send("PATCH", path, change)).status == 204
    shown = await client.get(path)
    assert (shown["tags"], shown["web"]["implicitGrantSettings"]["enableIdTokenIssuance"]) == (["b"], False)
    held = _held(client, principal["id"])
    assert (held.public, held.redirects, held.token_version) == (True, ("http://localhost", "https://a.example/"), 1)
    assert held.group_claims
    assert (await client.send("PATCH", path, {"groupMembershipClaims": "All"})).status == 501
    found = await client.get(f"/servicePrincipals/{principal['id']}")
    assert (found["displayName"], found["tags"], found["accountEnabled"]) == ("renamed", ["a"], True)
    off = {"accountEnabled": False, "notes": "closed"}
    assert (await client.send("PATCH", f"/servicePrincipals/{principal['id']}", off)).status == 204
    assert (await client.get(f"/servicePrincipals/{principal['id']}"))["accountEnabled"] is False
    late, _ = await registered(client, isFallbackPublicClient=True)
    assert _held(client, (await client.post("/servicePrincipals", {"appId": late["appId"]}))["id"]).public


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "A value is required for property 'displayName'"),
        ({"displayName": ""}, 400, "Invalid value specified for property 'displayName'"),
        ({"displayName": "a", "colour": "red"}, 400, "Invalid property 'colour': it is unknown"),
        ({"displayName": "a", "appId": NOBODY}, 400, "Invalid property 'appId': it is read-only"),
        ({"displayName": "a", "tags": "x"}, 400, "Invalid value specified for property 'tags'"),
        ({"displayName": "a", "web": {"colour": 1}}, 400, "Invalid property 'colour' of 'web'"),
        ({"displayName": "a", "keyCredentials": [1]}, 400, "'keyCredentials'"),
        ({"displayName": "a", "keyCredentials": [{"type": "Symmetric"}]}, 501, "a key of the type"),
        ({"displayName": "a", "keyCredentials": [{"type": "AsymmetricX509Cert", "usage": "Verify"}]}, 400, "key"),
        ({"displayName": "a", "passwordCredentials": [{}]}, 501, "'passwordCredentials'"),
        ({"displayName": "a", "samlMetadataUrl": "x"}, 501, "'samlMetadataUrl'"),
        ({"displayName": "a", "owners@odata.bind": "x"}, 400, "'owners@odata.bind'"),
        ({"displayName": "a", "owners@odata.bind": [f"{ROOT}/v1.0/users/{NOBODY}"]}, 404, NOBODY),
    ],
)
async def test_graph_refuses_an_invalid_application(
    client: IdentityClient, body: dict[str, Any], status: int, words: str
) -> None:
    before = len(client.directory.registrations())
    refused = await client.error("POST", "/applications", body)
    assert (refused[0], words in refused[2]) == (status, True), refused
    assert len(client.directory.registrations()) == before


async def test_graph_refuses_an_invalid_service_principal_or_secret(client: IdentityClient) -> None:
    made, path = await registered(client)
    for body, status in (
        ({"appId": NOBODY}, 400),
        ({"appId": made["id"]}, 400),
        ({"appId": made["appId"], "colour": "red"}, 400),
        ({"appId": made["appId"], "accountEnabled": "yes"}, 400),
        ({"appId": client.app("web")}, 409),
    ):
        assert (await client.error("POST", "/servicePrincipals", body))[0] == status, body
    for wanted, status in (
        ({"passwordCredential": []}, 200),
        ({"passwordCredential": "x"}, 400),
        ({"passwordCredential": {"secretText": "mine"}}, 501),
        ({"passwordCredential": {"endDateTime": "soon"}}, 400),
        ({"passwordCredential": {"endDateTime": "2000-01-01"}}, 400),
    ):
        assert (await client.send("POST", f"{path}/addPassword", wanted)).status == status, wanted
    for place in (f"/applications/{NOBODY}", f"/applications/{made['appId']}", f"/applications(appId='{made['id']}')"):
        assert (await client.error("GET", place))[0] == 404
    assert (await client.error("PATCH", f"/servicePrincipals/{NOBODY}", {}))[0] == 404


async def test_an_application_is_changed_by_its_owners_and_those_with_the_permission(client: IdentityClient) -> None:
    made, path = await registered(client, **{"owners@odata.bind": [f"{ROOT}/v1.0/users/{client.id(BOB)}"]})
    assert [it["displayName"] for it in (await client.get(f"{path}/owners"))["value"]] == ["bob"]
    rename = {"displayName": "mine"}
    client.caller = "reader"
    for method, target, body in (("POST", "/applications", rename), ("PATCH", path, rename), ("DELETE", path, None)):
        assert (await client.error(method, target, body))[0] == 403
    client.caller = "maker"
    own, owned = await registered(client)
    assert (await client.send("PATCH", owned, rename)).status == 204
    assert (await client.error("PATCH", path, rename))[0] == 403
    client.caller = "operator"
    reference = {"@odata.id": f"{ROOT}/v1.0/directoryObjects/{client.id(ALICE)}"}
    assert (await client.send("POST", f"{path}/owners/$ref", reference)).status == 204
    assert (await client.error("POST", f"{path}/owners/$ref", reference))[2].endswith("'owners'.")
    leave = f"{path}/owners/{client.id(BOB)}/$ref"
    assert [(await client.send("DELETE", leave)).status for _ in range(2)] == [204, 404]
    principal = await client.post("/servicePrincipals", {"appId": own["appId"]})
    assert (await client.send("POST", f"/servicePrincipals/{principal['id']}/owners/$ref", reference)).status == 204
    found = (await client.get(f"/servicePrincipals/{principal['id']}/owners"))["value"]
    assert [it["id"] for it in found] == [client.id(ALICE)]
    assert made["id"] != own["id"]


async def test_a_secret_that_is_not_valid_yet_opens_nothing(client: IdentityClient) -> None:
    made, path = await registered(client)
    await client.post("/servicePrincipals", {"appId": made["appId"]})
    start = f"{client.clock.now() + timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    added = await client.post(f"{path}/addPassword", {"passwordCredential": {"startDateTime": start}}, 200)
    form = {**GRANT, "client_id": made["appId"], "client_secret": added["secretText"]}
    assert (await client.refused(**form))[0] == 7000215
    client.later(days=2)
    assert (await client.token(**form))["access_token"]
