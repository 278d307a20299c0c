"""login.microsoftonline.com: tokens of applications and users, and Entra's errors."""

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
from azure_sandbox.front.http import Reply, Request, split_path

TENANT = "11111111-2222-4333-8444-555555555555"
ELSEWHERE = "66666666-7777-4888-8999-000000000000"
APP = "aaaaaaaa-0000-4000-8000-000000000001"
APP_OBJECT = "aaaaaaaa-0000-4000-8000-000000000002"
ALICE = "bbbbbbbb-0000-4000-8000-000000000001"
AKS = "6dae42f8-4368-4678-94ff-3960e28e3630"
AKS_CLIENT = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
ARM_SCOPE = "https://management.azure.com/.default"
SECRET = {"grant_type": "client_credentials", "client_id": APP, "client_secret": "right"}


class TokenService:
    """The token service with a small directory."""

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
        """Return the AADSTS code of an error, and check the shape of the error."""
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
def service() -> TokenService:
    return TokenService()


async def test_an_application_gets_a_v1_token_that_the_published_key_verifies(service: TokenService) -> None:
    answer = await service.token({**SECRET, "scope": ARM_SCOPE})
    assert answer["token_type"] == "Bearer"
    assert isinstance(answer["expires_in"], int)
    published = await service.send("GET", f"/{TENANT}/discovery/v2.0/keys")
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
async def test_the_audience_is_the_resource_of_the_scope(service: TokenService, scope: str, audience: str) -> None:
    token = (await service.token({**SECRET, "scope": scope}))["access_token"]
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == audience


async def test_the_v1_endpoint_takes_a_resource_and_answers_with_strings(service: TokenService) -> None:
    answer = await service.token({**SECRET, "resource": f"spn:{AKS}"}, path="/oauth2/token")
    assert answer["resource"] == AKS
    assert all(isinstance(answer[name], str) for name in ("expires_in", "expires_on", "not_before"))
    assert service.tokens.read(answer["access_token"], AKS_AUDIENCES).appid == APP
    assert await service.refused(SECRET, path="/oauth2/token") == 900144


async def test_graph_tokens_carry_permissions_and_other_tokens_carry_groups(service: TokenService) -> None:
    inner = service.group(1, {APP_OBJECT})
    outer = service.group(2, {inner.id})
    service.group(3, {outer.id}, security=False)
    gone = service.group(4, {APP_OBJECT})
    gone.deleted_at = service.clock.now()
    claims = service.tokens.read(service.tokens.issue(service.application, audience=AKS), AKS_AUDIENCES)
    assert claims.groups == (inner.id, outer.id)
    raw = jwt.decode(
        service.tokens.issue(service.application, audience="https://graph.microsoft.com"),
        options={"verify_signature": False},
    )
    assert raw["roles"] == ["Group.Read.All"]
    assert "groups" not in raw


async def test_a_group_membership_shows_in_the_next_token(service: TokenService) -> None:
    group = service.group(1, set())
    before = service.tokens.issue(service.application, audience=AKS)
    service.directory.change_members(group, add=[APP_OBJECT])
    assert service.tokens.read(before, AKS_AUDIENCES).groups is None
    assert service.tokens.read(service.tokens.issue(service.application, audience=AKS), AKS_AUDIENCES).groups == (
        group.id,
    )


async def test_more_than_200_groups_become_a_link_to_graph(service: TokenService) -> None:
    for number in range(201):
        service.group(number, {APP_OBJECT})
    claims = service.tokens.read(service.tokens.issue(service.application, audience=AKS), AKS_AUDIENCES)
    assert claims.groups is None
    assert claims.overage


async def test_a_token_is_refused_after_its_end_and_for_another_audience(service: TokenService) -> None:
    token = service.tokens.issue(service.application, audience="https://management.azure.com")
    assert service.tokens.verify(f"Bearer {token}", ARM_AUDIENCES).oid == APP_OBJECT
    with pytest.raises(InvalidToken, match=r"[Aa]udience"):
        service.tokens.read(token, AKS_AUDIENCES)
    with pytest.raises(InvalidToken, match="no bearer token"):
        service.tokens.verify(None, ARM_AUDIENCES)
    with pytest.raises(InvalidToken):
        TokenService().tokens.read(token, ARM_AUDIENCES)  # key of another tenant
    service.clock.advance(timedelta(hours=2))
    with pytest.raises(InvalidToken) as caught:
        service.tokens.read(token, ARM_AUDIENCES)
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
async def test_a_wrong_application_request_gets_its_aadsts_code(
    service: TokenService, change: dict[str, str], code: int
) -> None:
    assert await service.refused({**SECRET, "scope": ARM_SCOPE, **change}) == code


async def test_an_incomplete_request_a_wrong_tenant_and_a_disabled_application_have_their_codes(
    service: TokenService,
) -> None:
    whole = {**SECRET, "scope": ARM_SCOPE}
    assert await service.refused({k: v for k, v in whole.items() if k != "client_secret"}) == 7000218
    assert await service.refused({k: v for k, v in whole.items() if k != "scope"}) == 900144
    assert await service.refused({}) == 900144
    assert await service.refused(whole, tenant="nobody.example") == 90002
    assert await service.refused(whole, tenant=ELSEWHERE) == 700016
    assert await service.refused(whole, tenant="organizations") == 50059
    service.application.enabled = False
    assert await service.refused(whole) == 7000112
    assertion = {k: v for k, v in whole.items() if k != "client_secret"} | {"client_assertion": "x"}
    assert await service.refused(assertion) == 900144


@pytest.mark.parametrize("tenant", [TENANT, "contoso.onmicrosoft.com"])
async def test_discovery_names_the_endpoints_of_the_tenant(service: TokenService, tenant: str) -> None:
    for path, issuer in (
        (f"/{tenant}/v2.0", f"https://{HOST}/{TENANT}/v2.0"),
        (f"/{tenant}", f"https://sts.windows.net/{TENANT}/"),
    ):
        document = (await service.send("GET", f"{path}/.well-known/openid-configuration")).body
        assert isinstance(document, dict)
        assert document["issuer"] == issuer
        assert document["token_endpoint"].startswith(f"https://{HOST}/{TENANT}/oauth2")


async def test_discovery_of_common_and_of_an_unknown_tenant(service: TokenService) -> None:
    common = (await service.send("GET", "/organizations/v2.0/.well-known/openid-configuration")).body
    assert isinstance(common, dict)
    assert common["issuer"] == f"https://{HOST}/{{tenantid}}/v2.0"
    unknown = await service.send("GET", "/nobody.example/v2.0/.well-known/openid-configuration")
    assert isinstance(unknown.body, dict)
    assert (unknown.status, unknown.body["error"]) == (400, "invalid_tenant")


async def test_instance_discovery_knows_this_cloud_only(service: TokenService) -> None:
    path = "/common/discovery/instance"
    ours = await service.send("GET", path, authorization_endpoint=f"https://{HOST}/{TENANT}/oauth2/v2.0/authorize")
    assert isinstance(ours.body, dict)
    assert HOST in ours.body["metadata"][0]["aliases"]
    assert (await service.send("GET", path, authorization_endpoint="https://evil.example/x")).status == 400


async def test_a_user_signs_in_with_a_password_and_refreshes(service: TokenService) -> None:
    form = {"grant_type": "password", "client_id": AKS_CLIENT, "scope": f"{AKS}/.default openid", "client_info": "1"}
    form |= {"username": "Alice@contoso.onmicrosoft.com", "password": "hers"}
    answer = await service.token(form)
    claims = service.tokens.read(answer["access_token"], AKS_AUDIENCES)
    assert (claims.upn, claims.idtyp, claims.appid) == (service.alice.upn, "user", AKS_CLIENT)
    info = json.loads(base64.urlsafe_b64decode(answer["client_info"] + "=="))
    assert info == {"uid": ALICE, "utid": TENANT}
    identity = jwt.decode(answer["id_token"], options={"verify_signature": False})
    assert (identity["aud"], identity["preferred_username"]) == (AKS_CLIENT, service.alice.upn)
    again = {"grant_type": "refresh_token", "client_id": AKS_CLIENT, "scope": f"{AKS}/.default"}
    fresh = await service.token({**again, "refresh_token": answer["refresh_token"]})
    assert service.tokens.read(fresh["access_token"], AKS_AUDIENCES).oid == ALICE
    assert await service.refused({**again, "refresh_token": "made-up"}) == 9002313
    assert await service.refused({**form, "password": "his"}) == 50126
    assert await service.refused({**form, "username": "nobody@contoso.onmicrosoft.com"}) == 50034
    assert await service.refused({**form, "client_id": ELSEWHERE}) == 700016
    service.alice.enabled = False
    assert await service.refused(form) == 50057


async def test_a_device_code_is_pending_until_a_user_enters_it(service: TokenService) -> None:
    asked = {"client_id": AKS_CLIENT, "scope": f"{AKS}/.default openid"}
    begun = (await service.send("POST", f"/{TENANT}/oauth2/v2.0/devicecode", asked)).body
    assert isinstance(begun, dict)
    assert begun["user_code"] in begun["message"]
    poll = {**asked, "grant_type": "device_code", "device_code": begun["device_code"]}
    waiting = await service.send("POST", f"/{TENANT}/oauth2/v2.0/token", poll)
    assert isinstance(waiting.body, dict)
    assert (waiting.status, waiting.body["error"]) == (400, "authorization_pending")
    person = {"user_code": begun["user_code"], "username": service.alice.upn, "password": "hers"}
    assert (await service.send("POST", "/common/oauth2/deviceauth", person)).status == 200
    answer = await service.token(poll)
    assert service.tokens.read(answer["access_token"], AKS_AUDIENCES).oid == ALICE
    assert await service.refused(poll) == 70019  # already redeemed
    again = (await service.send("POST", f"/{TENANT}/oauth2/v2.0/devicecode", asked)).body
    assert isinstance(again, dict)
    bare = {"client_id": AKS_CLIENT, "grant_type": "device_code", "device_code": again["device_code"]}
    assert await service.refused(bare) == 70016  # MSAL polls without a scope
    assert await service.refused({**bare, "device_code": "nobody's"}) == 70019
    late = (await service.send("POST", f"/{TENANT}/oauth2/v2.0/devicecode", asked)).body
    assert isinstance(late, dict)
    service.clock.advance(timedelta(minutes=16))
    assert await service.refused({**poll, "device_code": late["device_code"]}) == 70020


async def test_the_realm_of_a_user_is_managed_by_the_tenant(service: TokenService) -> None:
    known = await service.send("GET", f"/common/UserRealm/{service.alice.upn}")
    assert isinstance(known.body, dict)
    assert known.body["account_type"] == "Managed"
    unknown = await service.send("GET", "/common/UserRealm/x@example.com")
    assert isinstance(unknown.body, dict)
    assert unknown.body["account_type"] == "Unknown"


async def test_an_unmodelled_request_is_501(service: TokenService) -> None:
    reply = await service.send("POST", f"/{TENANT}/oauth2/v2.0/logout", {})
    assert reply.status == 501
    assert isinstance(reply.body, dict)
    assert "does not model POST https://login.microsoftonline.com/" in reply.body["error"]["message"]
