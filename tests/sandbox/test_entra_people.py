"""Sign-ins of users: pages, consent, authorization codes, refresh tokens, and claims."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from azure_sandbox.entra.tokens import AKS_AUDIENCES, GRAPH_AUDIENCES
from azure_sandbox.front.http import Reply
from tests.support.identity_client import AKS, AKS_CLIENT, AKS_SCOPE, AZURE_CLI, DOMAIN, PIM_CLIENT, IdentityClient

GRAPH_SCOPE = "https://graph.microsoft.com/.default"
HTML = {"Accept": "text/html"}
ROLE = "Groups Administrator"
APPROVALS: dict[str, Any] = {
    "name": "approvals",
    "publicClient": True,
    "redirectUris": ["http://localhost"],
    "delegatedPermissions": ["openid", "profile"],
    "groupMembershipClaims": "SecurityGroup",
}


@pytest.fixture
def client() -> IdentityClient:
    return IdentityClient(
        {
            "users": [
                {"name": "Alice Adams", "upn": f"alice@{DOMAIN}", "password": "hers", "roles": [ROLE]},
                {"name": "Bob <b>", "upn": f"bob@{DOMAIN}", "enabled": False},
            ],
            "groups": [{"name": "admins", "members": [f"alice@{DOMAIN}"]}],
            "servicePrincipals": [
                PIM_CLIENT,
                {"name": "stranger", "publicClient": True},
                {"name": "portal", "secret": "s3cret", "delegatedPermissions": ["Group.Read.All"]},
                {"name": "api", "tokenVersion": 2},
                APPROVALS,
            ],
        }
    )


def claims(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(answer["access_token"], options={"verify_signature": False})
    return found


def body(reply: Reply) -> dict[str, Any]:
    assert isinstance(reply.body, dict), reply
    return reply.body


async def begin(client: IdentityClient) -> str:
    form = {"client_id": AKS_CLIENT, "scope": AKS_SCOPE}
    return str(body(await client.entra_send("POST", f"/{client.tenant}/oauth2/v2.0/devicecode", form))["user_code"])


async def test_the_device_page_asks_for_a_code_and_a_user(client: IdentityClient) -> None:
    page = await client.entra_send("GET", "/common/oauth2/deviceauth", None, **HTML)
    assert isinstance(page.body, str)
    assert "name=user_code" in page.body
    assert f"alice@{DOMAIN}" in page.body
    assert "Bob &lt;b&gt;" in page.body
    form = {"user_code": (await begin(client)).lower(), "username": f"alice@{DOMAIN}"}
    done = await client.entra_send("POST", "/common/oauth2/deviceauth", form, **HTML)
    assert done.status == 200
    assert "You have signed in" in str(done.body)
    again = await client.entra_send("POST", "/common/oauth2/deviceauth", form, **HTML)
    assert "AADSTS70019" in str(again.body)


@pytest.mark.parametrize("name", ["alice", "Alice Adams", f"ALICE@{DOMAIN}"])
async def test_a_user_signs_in_with_a_device_code(client: IdentityClient, name: str) -> None:
    answer = body(await client.device_code(name))
    found = client.tokens.read(answer["access_token"], AKS_AUDIENCES)
    assert (found.upn, found.groups, found.amr) == (f"alice@{DOMAIN}", (client.id("admins"),), ("pwd", "mfa"))
    assert "fdd7a751-b60b-444a-984c-02652fe8fa1c" in found.wids


async def test_a_device_code_sign_in_can_be_refused_or_declined(client: IdentityClient) -> None:
    disabled = await client.device_code("bob")
    assert body(disabled)["error_codes"] == [50057]
    pending = await client.device_code("nobody")
    assert body(pending)["error"] == "authorization_pending"
    form = {"user_code": await begin(client), "deny": "1"}
    assert body(await client.entra_send("POST", "/common/oauth2/deviceauth", form))["error"] == "authorization_declined"


async def test_a_client_gets_only_consented_permissions(client: IdentityClient) -> None:
    tool, stranger = client.app("access-tool"), client.app("stranger")
    granted = claims(body(await client.device_code("alice", client=tool, scope=GRAPH_SCOPE)))["scp"].split()
    assert set(granted) == {it for it in PIM_CLIENT["delegatedPermissions"] if "/" not in it}
    for application, scope, code in (
        (tool, "https://graph.microsoft.com/Policy.Read.All", 65001),
        (stranger, GRAPH_SCOPE, 65001),
        (AKS_CLIENT, GRAPH_SCOPE, 65002),
        (AZURE_CLI, "https://graph.microsoft.com/Policy.Read.All", 65002),
    ):
        assert body(await client.device_code("alice", client=application, scope=scope))["error_codes"] == [code]
    assert claims(body(await client.device_code("alice", client=tool, scope="Group.Read.All")))["scp"]


async def test_a_confidential_client_needs_its_credential_too(client: IdentityClient) -> None:
    form = {"grant_type": "password", "client_id": client.app("portal"), "scope": GRAPH_SCOPE}
    form |= {"username": f"alice@{DOMAIN}", "password": "hers"}
    assert (await client.refused(**form))[0] == 7000218
    assert (await client.refused(**form, client_secret="wrong"))[0] == 7000215
    token = (await client.token(**form, client_secret="s3cret"))["access_token"]
    assert client.tokens.read(token, GRAPH_AUDIENCES).amr == ("pwd",)


async def test_the_password_grant_has_no_second_factor_and_a_refresh_keeps_one(client: IdentityClient) -> None:
    signed = body(await client.device_code("alice"))
    again = {"grant_type": "refresh_token", "client_id": AKS_CLIENT, "scope": AKS_SCOPE}
    fresh = await client.token(**again, refresh_token=signed["refresh_token"])
    assert claims(fresh)["amr"] == ["pwd", "mfa"]
    client.later(days=91)
    assert (await client.refused(**again, refresh_token=fresh["refresh_token"]))[0] == 70043


async def test_a_token_states_that_the_client_handles_claims_challenges(client: IdentityClient) -> None:
    form = {"grant_type": "client_credentials", "client_id": client.app("operator"), "client_secret": "right"}
    form |= {"scope": f"{AKS}/.default"}
    capable = json.dumps({"access_token": {"xms_cc": {"values": ["CP1"]}}})
    assert claims(await client.token(**form, claims=capable))["xms_cc"] == ["cp1"]
    assert "xms_cc" not in claims(await client.token(**form))
    unknown = {**form, "claims": json.dumps({"access_token": {"acrs": {"values": ["c1"]}}})}
    assert (await client.entra_send("POST", f"/{client.tenant}/oauth2/v2.0/token", unknown)).status == 501
    assert (await client.refused(**form, claims="{"))[0] == 9002313


async def test_a_resource_application_can_ask_for_v2_tokens(client: IdentityClient) -> None:
    api = client.app("api")
    form = {"grant_type": "client_credentials", "client_id": client.app("operator"), "client_secret": "right"}
    found = claims(await client.token(**form, scope=f"api://{api}/.default"))
    assert (found["ver"], found["aud"], found["azp"]) == ("2.0", api, client.app("operator"))
    assert found["iss"] == f"https://login.microsoftonline.com/{client.tenant}/v2.0"
    assert "appid" not in found


def authorization(client: IdentityClient, **change: str) -> dict[str, str]:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"verifier").digest()).decode().rstrip("=")
    fixed = {"client_id": client.app("access-tool"), "response_type": "code", "scope": f"{GRAPH_SCOPE} openid"}
    fixed |= {"redirect_uri": "http://localhost:54321", "state": "abc", "code_challenge": challenge}
    return {**fixed, "code_challenge_method": "S256", "nonce": "n", **change}


async def authorize(client: IdentityClient, **change: str) -> Reply:
    form = {**authorization(client), "username": f"alice@{DOMAIN}", **change}
    return await client.entra_send("POST", f"/{client.tenant}/oauth2/v2.0/authorize", form)


async def test_an_authorization_code_is_redeemed_once(client: IdentityClient) -> None:
    query = "&".join(f"{name}={value}" for name, value in authorization(client, scope=GRAPH_SCOPE).items())
    page = await client.entra_send("GET", f"/{client.tenant}/oauth2/v2.0/authorize?{query}")
    assert "Pick an account" in str(page.body)
    back = await authorize(client)
    assert back.status == 302
    answer = parse_qs(urlsplit(back.headers["Location"]).query)
    assert answer["state"] == ["abc"]
    form = {"grant_type": "authorization_code", "client_id": client.app("access-tool"), "scope": GRAPH_SCOPE}
    form |= {"redirect_uri": "http://localhost:54321", "code": answer["code"][0], "code_verifier": "verifier"}
    signed = await client.token(**form)
    assert jwt.decode(signed["id_token"], options={"verify_signature": False})["nonce"] == "n"
    assert (await client.refused(**form))[0] == 54005


async def test_a_wrong_authorization_request_is_refused(client: IdentityClient) -> None:
    fields = {"grant_type": "authorization_code", "client_id": client.app("access-tool"), "scope": GRAPH_SCOPE}
    for change, code in (({"code_verifier": "other"}, 501481), ({"redirect_uri": "http://localhost:1"}, 500112)):
        back = await authorize(client)
        found = parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]
        whole = {**fields, "redirect_uri": "http://localhost:54321", "code_verifier": "verifier", "code": found}
        assert (await client.refused(**{**whole, **change}))[0] == code
    evil = await authorize(client, redirect_uri="https://evil.example/")
    assert body(evil)["error_codes"] == [50011]
    denied = await authorize(client, deny="1")
    assert "error=access_denied" in denied.headers["Location"]
    assert "error=invalid_grant" in (await authorize(client, username=f"bob@{DOMAIN}")).headers["Location"]
    form_post = await authorize(client, response_mode="form_post")
    assert "name='code'" in str(form_post.body)
    for change in ({"response_mode": "fragment"}, {"prompt": "none"}, {"response_type": "id_token"}):
        assert (await authorize(client, **change)).status == 501
    behalf = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id": AKS_CLIENT}
    assert (await client.entra_send("POST", f"/{client.tenant}/oauth2/v2.0/token", behalf)).status == 501


async def identity_of(client: IdentityClient, application: str, scope: str) -> dict[str, Any]:
    back = await authorize(client, client_id=client.app(application), scope=scope)
    code = parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]
    form = {"grant_type": "authorization_code", "client_id": client.app(application), "scope": scope, "code": code}
    signed = await client.token(**form, redirect_uri="http://localhost:54321", code_verifier="verifier")
    (key,) = client.tokens.keys()["keys"]
    found: dict[str, Any] = jwt.decode(
        signed["id_token"], jwt.PyJWK(key), algorithms=["RS256"], audience=client.app(application)
    )
    return found


async def test_an_application_can_ask_for_nothing_but_an_id_token(client: IdentityClient) -> None:
    found = await identity_of(client, "approvals", "openid profile offline_access")
    assert found["iss"] == f"https://login.microsoftonline.com/{client.tenant}/v2.0"
    assert (found["nonce"], found["tid"], found["preferred_username"]) == ("n", client.tenant, f"alice@{DOMAIN}")
    assert found["groups"] == [client.id("admins")]
    without_consent = await authorize(client, scope="openid profile")
    assert "AADSTS65001" in without_consent.headers["Location"]
    assert body(await authorize(client, scope="profile"))["error_codes"] == [70011]


async def test_an_id_token_names_groups_only_if_the_application_asks_for_them(client: IdentityClient) -> None:
    found = await identity_of(client, "access-tool", f"{GRAPH_SCOPE} openid")
    assert "groups" not in found


async def test_an_id_token_links_to_graph_if_the_user_has_too_many_groups() -> None:
    groups = [{"name": f"group-{number}", "members": [f"alice@{DOMAIN}"]} for number in range(201)]
    crowded = IdentityClient(
        {
            "users": [{"name": "Alice", "upn": f"alice@{DOMAIN}"}],
            "groups": groups,
            "servicePrincipals": [PIM_CLIENT, APPROVALS],
        }
    )
    found = await identity_of(crowded, "approvals", "openid profile")
    assert "groups" not in found
    assert found["_claim_names"] == {"groups": "src1"}
    assert found["_claim_sources"]["src1"]["endpoint"].endswith(f"/users/{found['oid']}/getMemberObjects")
