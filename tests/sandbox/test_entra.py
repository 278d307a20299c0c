"""login.microsoftonline.com: who gets which token, and in which words the others are refused."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from multidict import CIMultiDict

from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory, Group, ServicePrincipal, Tenant, User
from azure_sandbox.entra.discovery import HOST
from azure_sandbox.entra.service import Entra
from azure_sandbox.entra.tokens import AKS_AUDIENCES, ARM_AUDIENCES, InvalidToken, Tokens
from azure_sandbox.http import Reply, Request, split_path

TENANT = "11111111-2222-4333-8444-555555555555"
ELSEWHERE = "66666666-7777-4888-8999-000000000000"
APP = "aaaaaaaa-0000-4000-8000-000000000001"
APP_OBJECT = "aaaaaaaa-0000-4000-8000-000000000002"
ALICE = "bbbbbbbb-0000-4000-8000-000000000001"
AKS = "6dae42f8-4368-4678-94ff-3960e28e3630"
AKS_CLIENT = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
ARM_SCOPE = "https://management.azure.com/.default"
SECRET = {"grant_type": "client_credentials", "client_id": APP, "client_secret": "right"}


class Desk:
    """The token service with a small directory behind it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.directory = Directory(Tenant(id=TENANT, domain="contoso.onmicrosoft.com"), clock=self.clock)
        self.directory.add_tenant(Tenant(id=ELSEWHERE, domain="fabrikam.onmicrosoft.com"))
        self.application = ServicePrincipal(
            id=APP_OBJECT,
            app_id=APP,
            display_name="pipeline",
            secrets=("right",),
            expired_secrets=("old",),
            graph_permissions=frozenset({"Group.Read.All"}),
        )
        self.alice = User(id=ALICE, upn="alice@contoso.onmicrosoft.com", display_name="Alice", password="hers")
        self.directory.add(self.application)
        self.directory.add(self.alice)
        self.tokens = Tokens(self.directory)
        self.entra = Entra(self.directory, self.tokens)

    def group(self, number: int, members: set[str], *, security: bool = True) -> Group:
        now = self.clock.now()
        group = Group(
            id=f"cccccccc-0000-4000-8000-{number:012}",
            display_name=f"g{number}",
            mail_nickname=f"g{number}",
            created_at=now,
            visible_at=now,
            security_enabled=security,
            members=members,
        )
        self.directory.add(group)
        return group

    async def send(self, method: str, path: str, form: dict[str, str] | None = None, **query: str) -> Reply:
        body = urlencode(form).encode() if form is not None else b""
        return await self.entra.handle(
            Request(
                method=method,
                host=HOST,
                path=split_path(path),
                raw_path=path,
                query=query,
                headers=CIMultiDict(),
                body=body,
                now=self.clock.now(),
            )
        )

    async def token(self, form: dict[str, str], *, tenant: str = TENANT, path: str = "/oauth2/v2.0/token") -> Any:
        return (await self.send("POST", f"/{tenant}{path}", form)).body

    async def refused(self, form: dict[str, str], *, tenant: str = TENANT, path: str = "/oauth2/v2.0/token") -> int:
        """The AADSTS code of the refusal, whose whole shape is checked."""
        reply = await self.send("POST", f"/{tenant}{path}", form)
        assert isinstance(reply.body, dict)
        assert reply.status in {400, 401}
        code = reply.body["error_codes"][0]
        assert isinstance(code, int)
        description = reply.body["error_description"]
        assert description.startswith(f"AADSTS{code}: ")
        assert f"Trace ID: {reply.body['trace_id']}" in description
        assert reply.body["error_uri"] == f"https://login.microsoftonline.com/error?code={code}"
        return code


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_an_application_gets_a_v1_token_that_the_published_key_verifies(desk: Desk) -> None:
    answer = await desk.token({**SECRET, "scope": ARM_SCOPE})
    assert answer["token_type"] == "Bearer"
    assert isinstance(answer["expires_in"], int)
    published = await desk.send("GET", f"/{TENANT}/discovery/v2.0/keys")
    assert isinstance(published.body, dict)
    key = jwt.PyJWK(published.body["keys"][0])
    claims = jwt.decode(answer["access_token"], key, algorithms=["RS256"], audience="https://management.azure.com")
    assert claims["iss"] == f"https://sts.windows.net/{TENANT}/"
    assert (claims["oid"], claims["appid"], claims["idtyp"], claims["tid"]) == (APP_OBJECT, APP, "app", TENANT)
    assert claims["ver"] == "1.0"
    assert "groups" not in claims


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("https://management.core.windows.net//.default", "https://management.core.windows.net/"),
        (f"{AKS}/.default openid offline_access profile", AKS),
        ("https://graph.microsoft.com/.default", "https://graph.microsoft.com"),
    ],
)
async def test_the_audience_is_the_resource_of_the_scope(desk: Desk, scope: str, audience: str) -> None:
    token = (await desk.token({**SECRET, "scope": scope}))["access_token"]
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == audience


async def test_the_v1_endpoint_takes_a_resource_and_answers_with_strings(desk: Desk) -> None:
    answer = await desk.token({**SECRET, "resource": f"spn:{AKS}"}, path="/oauth2/token")
    assert answer["resource"] == AKS
    assert all(isinstance(answer[name], str) for name in ("expires_in", "expires_on", "not_before"))
    assert desk.tokens.read(answer["access_token"], AKS_AUDIENCES).appid == APP
    assert await desk.refused(SECRET, path="/oauth2/token") == 900144


async def test_graph_tokens_carry_permissions_and_the_others_groups(desk: Desk) -> None:
    inner = desk.group(1, {APP_OBJECT})
    outer = desk.group(2, {inner.id})
    desk.group(3, {outer.id}, security=False)
    gone = desk.group(4, {APP_OBJECT})
    gone.deleted_at = desk.clock.now()
    claims = desk.tokens.read(desk.tokens.issue(desk.application, audience=AKS), AKS_AUDIENCES)
    assert claims.groups == (inner.id, outer.id)
    raw = jwt.decode(
        desk.tokens.issue(desk.application, audience="https://graph.microsoft.com"), options={"verify_signature": False}
    )
    assert raw["roles"] == ["Group.Read.All"]
    assert "groups" not in raw


async def test_who_joins_a_group_needs_a_new_token(desk: Desk) -> None:
    group = desk.group(1, set())
    before = desk.tokens.issue(desk.application, audience=AKS)
    desk.directory.change_members(group, add=[APP_OBJECT])
    assert desk.tokens.read(before, AKS_AUDIENCES).groups is None
    assert desk.tokens.read(desk.tokens.issue(desk.application, audience=AKS), AKS_AUDIENCES).groups == (group.id,)


async def test_more_than_200_groups_become_a_pointer(desk: Desk) -> None:
    for number in range(201):
        desk.group(number, {APP_OBJECT})
    claims = desk.tokens.read(desk.tokens.issue(desk.application, audience=AKS), AKS_AUDIENCES)
    assert claims.groups is None
    assert claims.overage


async def test_tokens_expire_and_count_for_their_audience_only(desk: Desk) -> None:
    token = desk.tokens.issue(desk.application, audience="https://management.azure.com")
    assert desk.tokens.verify(f"Bearer {token}", ARM_AUDIENCES).oid == APP_OBJECT
    with pytest.raises(InvalidToken, match=r"[Aa]udience"):
        desk.tokens.read(token, AKS_AUDIENCES)
    with pytest.raises(InvalidToken, match="no bearer token"):
        desk.tokens.verify(None, ARM_AUDIENCES)
    with pytest.raises(InvalidToken):
        Desk().tokens.read(token, ARM_AUDIENCES)  # another process's key
    desk.clock.advance(timedelta(hours=2))
    with pytest.raises(InvalidToken) as caught:
        desk.tokens.read(token, ARM_AUDIENCES)
    assert caught.value.expired


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client_secret": "wrong"}, 7000215),
        ({"client_secret": "old"}, 7000222),
        ({"client_id": "dddddddd-0000-4000-8000-000000000001"}, 700016),
        ({"scope": "https://management.azure.com/user_impersonation"}, 1002012),
        ({"scope": "openid"}, 70011),
        ({"scope": "https://nowhere.example/.default"}, 500011),
        ({"grant_type": "magic"}, 70003),
    ],
)
async def test_applications_are_refused_in_entras_words(desk: Desk, change: dict[str, str], code: int) -> None:
    assert await desk.refused({**SECRET, "scope": ARM_SCOPE, **change}) == code


async def test_refusals_that_need_more_than_a_changed_field(desk: Desk) -> None:
    whole = {**SECRET, "scope": ARM_SCOPE}
    assert await desk.refused({k: v for k, v in whole.items() if k != "client_secret"}) == 7000218
    assert await desk.refused({k: v for k, v in whole.items() if k != "scope"}) == 900144
    assert await desk.refused({}) == 900144
    assert await desk.refused(whole, tenant="nobody.example") == 90002
    assert await desk.refused(whole, tenant=ELSEWHERE) == 700016
    assert await desk.refused(whole, tenant="organizations") == 50059
    desk.application.enabled = False
    assert await desk.refused(whole) == 7000112
    assertion = {k: v for k, v in whole.items() if k != "client_secret"} | {"client_assertion": "x"}
    assert await desk.refused(assertion) == 900144


@pytest.mark.parametrize("tenant", [TENANT, "contoso.onmicrosoft.com"])
async def test_discovery_names_the_endpoints_of_the_tenant(desk: Desk, tenant: str) -> None:
    for path, issuer in (
        (f"/{tenant}/v2.0", f"https://{HOST}/{TENANT}/v2.0"),
        (f"/{tenant}", f"https://sts.windows.net/{TENANT}/"),
    ):
        document = (await desk.send("GET", f"{path}/.well-known/openid-configuration")).body
        assert isinstance(document, dict)
        assert document["issuer"] == issuer
        assert document["token_endpoint"].startswith(f"https://{HOST}/{TENANT}/oauth2")


async def test_discovery_of_no_tenant_in_particular_and_of_an_unknown_one(desk: Desk) -> None:
    common = (await desk.send("GET", "/organizations/v2.0/.well-known/openid-configuration")).body
    assert isinstance(common, dict)
    assert common["issuer"] == f"https://{HOST}/{{tenantid}}/v2.0"
    unknown = await desk.send("GET", "/nobody.example/v2.0/.well-known/openid-configuration")
    assert isinstance(unknown.body, dict)
    assert (unknown.status, unknown.body["error"]) == (400, "invalid_tenant")


async def test_instance_discovery_knows_this_cloud_only(desk: Desk) -> None:
    path = "/common/discovery/instance"
    ours = await desk.send("GET", path, authorization_endpoint=f"https://{HOST}/{TENANT}/oauth2/v2.0/authorize")
    assert isinstance(ours.body, dict)
    assert HOST in ours.body["metadata"][0]["aliases"]
    assert (await desk.send("GET", path, authorization_endpoint="https://evil.example/x")).status == 400


async def test_a_user_signs_in_with_a_password_and_refreshes(desk: Desk) -> None:
    form = {"grant_type": "password", "client_id": AKS_CLIENT, "scope": f"{AKS}/.default openid", "client_info": "1"}
    form |= {"username": "Alice@contoso.onmicrosoft.com", "password": "hers"}
    answer = await desk.token(form)
    claims = desk.tokens.read(answer["access_token"], AKS_AUDIENCES)
    assert (claims.upn, claims.idtyp, claims.appid) == (desk.alice.upn, "user", AKS_CLIENT)
    info = json.loads(base64.urlsafe_b64decode(answer["client_info"] + "=="))
    assert info == {"uid": ALICE, "utid": TENANT}
    identity = jwt.decode(answer["id_token"], options={"verify_signature": False})
    assert (identity["aud"], identity["preferred_username"]) == (AKS_CLIENT, desk.alice.upn)
    again = {"grant_type": "refresh_token", "client_id": AKS_CLIENT, "scope": f"{AKS}/.default"}
    fresh = await desk.token({**again, "refresh_token": answer["refresh_token"]})
    assert desk.tokens.read(fresh["access_token"], AKS_AUDIENCES).oid == ALICE
    assert await desk.refused({**again, "refresh_token": "made-up"}) == 9002313
    assert await desk.refused({**form, "password": "his"}) == 50126
    assert await desk.refused({**form, "username": "nobody@contoso.onmicrosoft.com"}) == 50034
    assert await desk.refused({**form, "client_id": ELSEWHERE}) == 700016
    desk.alice.enabled = False
    assert await desk.refused(form) == 50057


async def test_a_device_code_waits_for_a_person(desk: Desk) -> None:
    asked = {"client_id": AKS_CLIENT, "scope": f"{AKS}/.default openid"}
    begun = (await desk.send("POST", f"/{TENANT}/oauth2/v2.0/devicecode", asked)).body
    assert isinstance(begun, dict)
    assert begun["user_code"] in begun["message"]
    poll = {**asked, "grant_type": "device_code", "device_code": begun["device_code"]}
    waiting = await desk.send("POST", f"/{TENANT}/oauth2/v2.0/token", poll)
    assert isinstance(waiting.body, dict)
    assert (waiting.status, waiting.body["error"]) == (400, "authorization_pending")
    person = {"user_code": begun["user_code"], "username": desk.alice.upn, "password": "hers"}
    assert (await desk.send("POST", "/common/oauth2/deviceauth", person)).status == 200
    answer = await desk.token(poll)
    assert desk.tokens.read(answer["access_token"], AKS_AUDIENCES).oid == ALICE
    assert await desk.refused(poll) == 70019  # it is spent
    again = (await desk.send("POST", f"/{TENANT}/oauth2/v2.0/devicecode", asked)).body
    assert isinstance(again, dict)
    bare = {"client_id": AKS_CLIENT, "grant_type": "device_code", "device_code": again["device_code"]}
    assert await desk.refused(bare) == 70016  # MSAL's poll names no scope
    assert await desk.refused({**bare, "device_code": "nobody's"}) == 70019
    late = (await desk.send("POST", f"/{TENANT}/oauth2/v2.0/devicecode", asked)).body
    assert isinstance(late, dict)
    desk.clock.advance(timedelta(minutes=16))
    assert await desk.refused({**poll, "device_code": late["device_code"]}) == 70020


async def test_the_realm_of_a_user_says_that_the_tenant_manages_them(desk: Desk) -> None:
    known = await desk.send("GET", f"/common/UserRealm/{desk.alice.upn}")
    assert isinstance(known.body, dict)
    assert known.body["account_type"] == "Managed"
    unknown = await desk.send("GET", "/common/UserRealm/x@example.com")
    assert isinstance(unknown.body, dict)
    assert unknown.body["account_type"] == "Unknown"


async def test_what_is_not_modelled_is_loud(desk: Desk) -> None:
    reply = await desk.send("POST", f"/{TENANT}/oauth2/v2.0/logout", {})
    assert reply.status == 501
    assert isinstance(reply.body, dict)
    assert "does not model POST https://login.microsoftonline.com/" in reply.body["error"]["message"]
