"""login.microsoftonline.com: discovery documents and the token endpoint, v1.0 and v2.0.

Flows: client credentials with a secret, resource owner password, device code, refresh token. A client assertion is
answered with a loud 501.
"""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from azure_sandbox.entra import discovery, errors
from azure_sandbox.entra.devices import DeviceCodes, Pending
from azure_sandbox.entra.directory import Directory, ServicePrincipal, Tenant, User
from azure_sandbox.entra.discovery import HOST
from azure_sandbox.entra.tokens import (
    AKS_AUDIENCES,
    ARM_AUDIENCES,
    GRAPH_AUDIENCES,
    LIFETIME,
    Tokens,
)
from azure_sandbox.http import Problem, Reply, Request, Router

ANY_TENANT = frozenset({"common", "organizations", "consumers"})
RESOURCES = ARM_AUDIENCES | GRAPH_AUDIENCES | AKS_AUDIENCES
OIDC_SCOPES = frozenset({"openid", "profile", "offline_access", "email"})
PUBLIC_CLIENTS = {
    "80faf920-1908-4b52-b5ef-a8e7bedfc67a": "Azure Kubernetes Service AAD Client",
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Microsoft Azure CLI",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A token request, read: its form, where it came in, and the resource that the token is for."""

    request: Request
    form: dict[str, str]
    tenant: Tenant | None  # None: common or organizations
    resource: str
    version: int


class Entra:
    """The token service of the world's home tenant; other tenants exist and hold nobody."""

    def __init__(self, directory: Directory, tokens: Tokens) -> None:
        self.directory = directory
        self.tokens = tokens
        self.devices = DeviceCodes(directory.clock)
        self._refreshable: dict[str, tuple[str, str]] = {}  # refresh token: (user's object id, client)
        self.router = Router("Microsoft Entra ID")
        add = self.router.add
        add("GET", "/common/discovery/instance", self._instances)
        add("GET", "/common/UserRealm/{user}", self._realm)
        add("POST", "/common/oauth2/deviceauth", self._approve)
        for version, path in ((2, "/{tenant}/v2.0"), (1, "/{tenant}")):
            add("GET", f"{path}/.well-known/openid-configuration", _bound(self._configuration, version))
        for path in ("/{tenant}/discovery/v2.0/keys", "/{tenant}/discovery/keys"):
            add("GET", path, self._keys)
        add("POST", "/{tenant}/oauth2/v2.0/devicecode", self._device_code)
        add("POST", "/{tenant}/oauth2/v2.0/token", _bound(self._token, 2))
        add("POST", "/{tenant}/oauth2/token", _bound(self._token, 1))

    async def handle(self, request: Request) -> Reply:
        """Answer one request."""
        return await self.router.dispatch(request)

    # -- discovery

    async def _instances(self, request: Request) -> Reply:
        return Reply(body=discovery.instances(request))

    async def _configuration(self, version: int, request: Request, tenant: str) -> Reply:
        return Reply(body=discovery.openid_configuration(self._tenant(request, tenant), tenant, version))

    async def _keys(self, request: Request, tenant: str) -> Reply:
        self._tenant(request, tenant)
        return Reply(body=self.tokens.keys())

    async def _realm(self, request: Request, user: str) -> Reply:  # noqa: ARG002  # a route's signature
        domain = user.rpartition("@")[2]
        managed = self.directory.find_tenant(domain) is not None or self.directory.user(user) is not None
        return Reply(body=discovery.user_realm(domain, managed=managed))

    # -- tokens

    async def _token(self, version: int, request: Request, tenant: str) -> Reply:
        form = _form(request)
        known = self._tenant(request, tenant)
        if "grant_type" not in form:
            raise errors.missing(request, "grant_type")
        if "client_id" not in form:
            raise errors.missing(request, "client_id")
        match form["grant_type"]:
            case "client_credentials":
                resource = self._resource(request, form, version, application=True)
                asked = _Asked(request=request, form=form, tenant=known, resource=resource, version=version)
                application = self._application(asked)
                return _answer(asked, self.tokens.issue(application, audience=resource))
            case "password":
                asked = self._for_user(request, form, known, version)
                return self._user_tokens(asked, self._password(request, form, known))
            case "device_code" | "urn:ietf:params:oauth:grant-type:device_code":
                asked = self._for_user(request, form, known, version)
                return self._user_tokens(asked, self._device(request, form))
            case "refresh_token":
                asked = self._for_user(request, form, known, version)
                return self._user_tokens(asked, self._refresh(request, form))
            case other:
                raise errors.aadsts(
                    request,
                    400,
                    "unsupported_grant_type",
                    70003,
                    f"The app requested an unsupported grant type '{other}'.",
                )

    def _application(self, asked: _Asked) -> ServicePrincipal:
        request, form = asked.request, asked.form
        if asked.tenant is None:
            raise errors.aadsts(
                request,
                400,
                "invalid_request",
                50059,
                "No tenant-identifying information found in either the request or implied by any provided credentials.",
            )
        if "client_assertion" in form:
            words = "The sandbox does not model client assertions (workload identity); use a client secret."
            raise Problem(501, {"error": "not_modelled", "error_description": words})
        app_id = form["client_id"]
        application = self.directory.application(app_id)
        if application is None or asked.tenant is not self.directory.tenant:
            raise errors.unknown_application(request, app_id, asked.tenant.display_name or asked.tenant.domain)
        if "client_secret" not in form:
            raise errors.aadsts(
                request,
                401,
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )
        if _among(form["client_secret"], application.expired_secrets):
            raise errors.aadsts(
                request,
                401,
                "invalid_client",
                7000222,
                f"The provided client secret keys for app '{app_id}' are expired. Visit the Azure portal to create new "
                "keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for "
                "added security: https://aka.ms/certCreds.",
            )
        if not _among(form["client_secret"], application.secrets):
            raise errors.aadsts(
                request,
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{app_id}'.",
            )
        if not application.enabled:
            raise errors.aadsts(
                request,
                400,
                "unauthorized_client",
                7000112,
                f"Application '{app_id}'({application.display_name}) is disabled.",
            )
        return application

    def _for_user(self, request: Request, form: dict[str, str], tenant: Tenant | None, version: int) -> _Asked:
        self._public_client(request, form["client_id"], tenant)
        resource = self._resource(request, form, version, application=False)
        return _Asked(request=request, form=form, tenant=tenant, resource=resource, version=version)

    def _public_client(self, request: Request, client_id: str, tenant: Tenant | None) -> None:
        home = tenant is None or tenant is self.directory.tenant
        known = client_id.lower() in PUBLIC_CLIENTS or self.directory.application(client_id) is not None
        if not (home and known):
            where = tenant or self.directory.tenant
            raise errors.unknown_application(request, client_id, where.display_name or where.domain)

    def _password(self, request: Request, form: dict[str, str], tenant: Tenant | None) -> User:
        for parameter in ("username", "password"):
            if parameter not in form:
                raise errors.missing(request, parameter)
        user = self.directory.user(form["username"])
        if user is None or (tenant is not None and tenant is not self.directory.tenant):
            raise errors.aadsts(
                request,
                400,
                "invalid_grant",
                50034,
                "The user account {EmailHidden} does not exist in the "
                f"{(tenant or self.directory.tenant).id} directory. To sign into this application, the account must be "
                "added to the directory.",
            )
        if user.password is None or not hmac.compare_digest(user.password.encode(), form["password"].encode()):
            raise errors.aadsts(
                request,
                400,
                "invalid_grant",
                50126,
                "Error validating credentials due to invalid username or password.",
            )
        return self._enabled(request, user)

    def _enabled(self, request: Request, user: User) -> User:
        if not user.enabled:
            raise errors.aadsts(request, 400, "invalid_grant", 50057, "The user account is disabled.")
        return user

    def _device(self, request: Request, form: dict[str, str]) -> User:
        code = form.get("device_code") or form.get("code")
        if code is None:
            raise errors.missing(request, "device_code")
        match self.devices.redeem(code):
            case Pending.UNKNOWN:
                raise errors.aadsts(request, 400, "bad_verification_code", 70019, "Verification code expired.")
            case Pending.EXPIRED:
                raise errors.aadsts(
                    request, 400, "expired_token", 70020, "The provided value for the device_code expired."
                )
            case Pending.WAITING:
                raise errors.aadsts(
                    request,
                    400,
                    "authorization_pending",
                    70016,
                    "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
                )
            case str(object_id):
                user = self.directory.user(object_id)
                assert user is not None  # noqa: S101  # approved by a user who exists; none is ever removed
                return self._enabled(request, user)

    def _refresh(self, request: Request, form: dict[str, str]) -> User:
        found = self._refreshable.get(form.get("refresh_token", ""))
        user = self.directory.user(found[0]) if found else None
        if found is None or user is None or found[1] != form["client_id"]:
            raise errors.aadsts(
                request,
                400,
                "invalid_grant",
                9002313,
                "Invalid request. Request is malformed or invalid: the refresh token is not known.",
            )
        return self._enabled(request, user)

    def _user_tokens(self, asked: _Asked, user: User) -> Reply:
        client = asked.form["client_id"]
        access = self.tokens.issue(user, audience=asked.resource, app_id=client)
        more: dict[str, Any] = {"scope": asked.form.get("scope", asked.resource)}
        refresh = self.devices.secret()
        self._refreshable[refresh] = (user.id, client)
        more["refresh_token"] = refresh
        more["id_token"] = self._id_token(asked, user, client)
        if asked.form.get("client_info") == "1":
            info = json.dumps({"uid": user.id, "utid": self.directory.tenant.id}).encode()
            more["client_info"] = base64.urlsafe_b64encode(info).decode().rstrip("=")
        return _answer(asked, access, more)

    def _id_token(self, asked: _Asked, user: User, client: str) -> str:
        tenant, now = self.directory.tenant.id, int(asked.request.now.timestamp())
        return self.tokens.sign(
            {
                "aud": client,
                "iss": f"https://{HOST}/{tenant}/v2.0",
                "iat": now,
                "nbf": now,
                "exp": now + int(LIFETIME.total_seconds()),
                "name": user.display_name,
                "oid": user.id,
                "preferred_username": user.upn,
                "sub": user.id,
                "tid": tenant,
                "upn": user.upn,
                "ver": "2.0",
            }
        )

    # -- device codes

    async def _device_code(self, request: Request, tenant: str) -> Reply:
        form = _form(request)
        known = self._tenant(request, tenant)
        if "client_id" not in form:
            raise errors.missing(request, "client_id")
        self._public_client(request, form["client_id"], known)
        self._resource(request, form, 2, application=False)
        begun = self.devices.begin()
        page = "https://microsoft.com/devicelogin"
        return Reply(
            body={
                "user_code": begun.user_code,
                "device_code": begun.device_code,
                "verification_uri": page,
                "expires_in": begun.lifetime,
                "interval": begun.interval,
                "message": (
                    f"To sign in, use a web browser to open the page {page} and enter the code {begun.user_code} to "
                    "authenticate."
                ),
            }
        )

    async def _approve(self, request: Request) -> Reply:
        """What a person does in the browser, as one form: user_code, username, password."""
        form = _form(request)
        user = self._password(request, form, None)
        if not self.devices.approve(form.get("user_code", ""), user.id):
            raise errors.aadsts(request, 400, "bad_verification_code", 70019, "Verification code expired.")
        return Reply(body={"approved": form["user_code"], "by": user.upn})

    # -- reading

    def _tenant(self, request: Request, name: str) -> Tenant | None:
        if name.lower() in ANY_TENANT:
            return None
        tenant = self.directory.find_tenant(name)
        if tenant is None:
            raise errors.unknown_tenant(request, name)
        return tenant

    def _resource(self, request: Request, form: dict[str, str], version: int, *, application: bool) -> str:
        if version == 1:
            if "resource" not in form:
                raise errors.missing(request, "resource")
            resource = form["resource"].removeprefix("spn:")
        else:
            if "scope" not in form:
                raise errors.missing(request, "scope")
            resource = _resource_of(request, form["scope"], application=application)
        if resource not in RESOURCES:
            raise errors.unknown_resource(request, resource, self.directory.tenant.domain)
        return resource


def _resource_of(request: Request, scope: str, *, application: bool) -> str:
    resources = set()
    for name in (it for it in scope.split() if it not in OIDC_SCOPES):
        resource, slash, permission = name.rpartition("/")
        if application and permission != ".default":
            raise errors.not_default_scope(request, name)
        if not (slash and resource):
            raise errors.invalid_scope(request, name)
        resources.add(resource)
    if len(resources) != 1:
        raise errors.invalid_scope(request, scope)
    return resources.pop()


def _answer(asked: _Asked, access_token: str, more: dict[str, Any] | None = None) -> Reply:
    seconds = int(LIFETIME.total_seconds()) - 1
    now = int(asked.request.now.timestamp())
    body: dict[str, Any] = {"token_type": "Bearer", "access_token": access_token, **(more or {})}
    if asked.version == 1:
        body |= {"expires_in": str(seconds), "ext_expires_in": str(seconds), "resource": asked.resource}
        body |= {"expires_on": str(now + seconds), "not_before": str(now)}
    else:
        body |= {"expires_in": seconds, "ext_expires_in": seconds}
    return Reply(body=body, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})


def _form(request: Request) -> dict[str, str]:
    try:
        fields = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=bool(request.body))
    except ValueError as error:
        raise errors.aadsts(
            request,
            400,
            "invalid_request",
            9002313,
            "Invalid request. Request is malformed or invalid.",
        ) from error
    return {name: values[-1] for name, values in fields.items()}


def _among(secret: str, known: tuple[str, ...]) -> bool:
    return any(hmac.compare_digest(secret.encode(), it.encode()) for it in known)


def _bound(handler: Any, version: int) -> Any:
    async def bound(request: Request, **parts: str) -> Reply:
        reply: Reply = await handler(version, request, **parts)
        return reply

    return bound
