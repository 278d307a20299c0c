"""login.microsoftonline.com and microsoft.com/devicelogin: discovery, token endpoint and sign-in pages.

Flows: client credentials (secret, certificate, federated assertion), password, device code, authorization code,
refresh token; v1.0 and v2.0 endpoints.
"""

from __future__ import annotations

from typing import Any

from azure_sandbox.entra import applications, clients, discovery, errors, pages
from azure_sandbox.entra import asked as asking
from azure_sandbox.entra.asked import Asked
from azure_sandbox.entra.authorize import Authorize
from azure_sandbox.entra.conditional import DEVICE_CODE
from azure_sandbox.entra.devices import DEVICE_FORM, LIFETIME, DeviceCodes
from azure_sandbox.entra.directory import Directory, Tenant, User
from azure_sandbox.entra.people import People, Session
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.http import Problem, Reply, Request, Router

DEVICE_HOSTS = ("microsoft.com", "www.microsoft.com")
DEVICE_PAGE = "https://microsoft.com/devicelogin"
Signed = tuple[User, Session]


class Entra:
    """The token service of the home tenant. Other tenants exist, but are empty."""

    def __init__(self, directory: Directory, tokens: Tokens) -> None:
        self.directory = directory
        self.tokens = tokens
        self.devices: DeviceCodes[Signed] = DeviceCodes(directory.clock)
        self._people = People(directory, tokens)
        self._authorize = Authorize(directory, self._people)
        self._begun: dict[str, Asked] = {}  # by device code
        self.router = Router("Microsoft Entra ID")
        add = self.router.add
        add("GET", "/common/discovery/instance", self._instances)
        add("GET", "/common/UserRealm/{user}", self._realm)
        add("GET", "/common/oauth2/deviceauth", self._device_page)
        add("POST", "/common/oauth2/deviceauth", self._approve)
        for version, path in ((2, "/{tenant}/v2.0"), (1, "/{tenant}")):
            add("GET", f"{path}/.well-known/openid-configuration", _bound(self._configuration, version))
        for path in ("/{tenant}/discovery/v2.0/keys", "/{tenant}/discovery/keys"):
            add("GET", path, self._keys)
        add("GET", "/{tenant}/oauth2/v2.0/authorize", self._authorize.show)
        add("POST", "/{tenant}/oauth2/v2.0/authorize", self._authorize.choose)
        add("POST", "/{tenant}/oauth2/v2.0/devicecode", self._device_code)
        add("POST", "/{tenant}/oauth2/v2.0/token", _bound(self._token, 2))
        add("POST", "/{tenant}/oauth2/token", _bound(self._token, 1))
        self.device_router = Router("microsoft.com")
        self.device_router.add("GET", "/devicelogin", self._to_the_form)

    async def handle(self, request: Request) -> Reply:
        """Answer a request."""
        router = self.device_router if request.host in DEVICE_HOSTS else self.router
        return await router.dispatch(request)

    # -- discovery

    async def _instances(self, request: Request) -> Reply:
        return Reply(body=discovery.instances(request))

    async def _configuration(self, version: int, request: Request, tenant: str) -> Reply:
        known = asking.tenant_named(request, self.directory, tenant)
        return Reply(body=discovery.openid_configuration(known, tenant, version))

    async def _keys(self, request: Request, tenant: str) -> Reply:
        asking.tenant_named(request, self.directory, tenant)
        return Reply(body=self.tokens.keys())

    async def _realm(self, request: Request, user: str) -> Reply:  # noqa: ARG002  # required by the router
        domain = user.rpartition("@")[2]
        managed = self.directory.find_tenant(domain) is not None or self.directory.user(user) is not None
        return Reply(body=discovery.user_realm(domain, managed=managed))

    # -- tokens

    async def _token(self, version: int, request: Request, tenant: str) -> Reply:
        form = asking.read_form(request)
        known = asking.tenant_named(request, self.directory, tenant)
        for name in ("grant_type", "client_id"):
            if name not in form:
                raise errors.missing(request, name)
        match form["grant_type"]:
            case "client_credentials":
                asked = asking.read(request, form, self.directory, known, version, application=True)
                return applications.sign_in(asked, self.directory, self.tokens)
            case "password":
                asked = self._for_user(request, form, known, version)
                return self._people.tokens(asked, *self._password(asked))
            case "device_code" | "urn:ietf:params:oauth:grant-type:device_code":
                asked = self._for_user(request, self._as_begun(request, form), known, version)
                return self._people.tokens(asked, *self._device(asked))
            case "authorization_code":
                asked = self._for_user(request, form, known, version)
                user, session, nonce = self._authorize.redeem(asked)
                return self._people.tokens(asked, user, session, nonce=nonce)
            case "refresh_token":
                asked = self._for_user(request, form, known, version)
                return self._people.tokens(asked, *self._people.refreshed(asked))
            case "urn:ietf:params:oauth:grant-type:jwt-bearer" as other:
                raise errors.not_modelled(f"the grant {other!r} (on behalf of)")
            case other:
                words = f"The app requested an unsupported grant type '{other}'."
                raise errors.aadsts(request, 400, "unsupported_grant_type", 70003, words)

    def _for_user(self, request: Request, form: dict[str, str], tenant: Tenant | None, version: int) -> Asked:
        if tenant is not None and tenant is not self.directory.tenant:
            raise errors.unknown_application(request, form["client_id"], tenant.display_name or tenant.domain)
        clients.known(request, form["client_id"], self.directory)
        asked = asking.read(request, form, self.directory, tenant, version, application=False)
        clients.must_be_let_in(asked, self.directory)
        return asked

    def _password(self, asked: Asked) -> Signed:
        for parameter in ("username", "password"):
            if parameter not in asked.form:
                raise errors.missing(asked.request, parameter)
        user = self._people.named(asked.request, asked.form["username"], asked.form["password"])
        return user, self._people.check(asked, user, flow=None, interactive=True, browser=False)

    # -- device codes

    def _as_begun(self, request: Request, form: dict[str, str]) -> dict[str, str]:
        """Add scope and resource from the start of the sign-in: MSAL does not repeat them."""
        code = form.get("device_code") or form.get("code")
        if code is None:
            return form
        if code not in self._begun:
            raise errors.aadsts(request, 400, "bad_verification_code", 70019, "Verification code expired.")
        begun = self._begun[code].form
        return {**{key: begun[key] for key in ("scope", "resource") if key in begun}, **form}

    def _device(self, asked: Asked) -> Signed:
        code = asked.form.get("device_code") or asked.form.get("code")
        if code is None:
            raise errors.missing(asked.request, "device_code")
        found = self.devices.find(code)
        if found is None or found.client != asked.client:
            raise errors.aadsts(asked.request, 400, "bad_verification_code", 70019, "Verification code expired.")
        if found.refused is not None:
            self.devices.spend(found)
            raise found.refused
        if asked.request.now >= found.expires_at:
            words = "The provided value for the device_code expired."
            raise errors.aadsts(asked.request, 400, "expired_token", 70020, words)
        if found.answer is None:
            words = "OAuth 2.0 device flow error. Authorization is pending. Continue polling."
            raise errors.aadsts(asked.request, 400, "authorization_pending", 70016, words)
        self.devices.spend(found)
        self._people.enabled(asked.request, found.answer[0])
        return found.answer

    async def _device_code(self, request: Request, tenant: str) -> Reply:
        form = asking.read_form(request)
        known = asking.tenant_named(request, self.directory, tenant)
        if "client_id" not in form:
            raise errors.missing(request, "client_id")
        asked = self._for_device(request, form, known)
        begun = self.devices.begin(asked.client)
        self._begun[begun.device_code] = asked
        return Reply(
            body={
                "user_code": begun.user_code,
                "device_code": begun.device_code,
                "verification_uri": DEVICE_PAGE,
                "expires_in": LIFETIME,
                "interval": begun.interval,
                "message": (
                    f"To sign in, use a web browser to open the page {DEVICE_PAGE} and enter the code "
                    f"{begun.user_code} to authenticate."
                ),
            }
        )

    def _for_device(self, request: Request, form: dict[str, str], tenant: Tenant | None) -> Asked:
        if tenant is not None and tenant is not self.directory.tenant:
            raise errors.unknown_application(request, form["client_id"], tenant.display_name or tenant.domain)
        application = clients.known(request, form["client_id"], self.directory)
        if application is not None and not application.public:
            raise errors.no_credential(request)
        return asking.read(request, form, self.directory, tenant, 2, application=False)

    async def _to_the_form(self, request: Request) -> Reply:
        code = f"?otc={request.query['otc']}" if "otc" in request.query else ""
        return Reply(302, None, {"Location": f"{DEVICE_FORM}{code}"})

    async def _device_page(self, request: Request) -> Reply:
        return pages.device_form(self.directory.users(), request.query.get("otc", ""))

    async def _approve(self, request: Request) -> Reply:
        """Answer the form of the device page: user_code, username and perhaps password; or deny."""
        form = asking.read_form(request)
        page = pages.wants_page(request)
        try:
            begun = self.devices.entered(form.get("user_code", ""))
            if begun is None:
                raise errors.aadsts(request, 400, "bad_verification_code", 70019, "Verification code expired.")
            asked = self._begun[begun.device_code]
            if "deny" in form:
                words = "The user declined the authentication."
                begun.refused = errors.aadsts(request, 400, "authorization_declined", 70018, words)
                raise begun.refused
            user = self._people.named(request, form.get("username", ""), form.get("password"))
            try:
                session = self._people.check(asked, user, flow=DEVICE_CODE, interactive=True, browser=True)
            except Problem as problem:
                begun.refused = problem
                raise
        except Problem as problem:
            if page:
                return pages.refused(str(problem.body["error_description"]), problem.status)
            raise
        begun.answer = (user, session)
        if page:
            return pages.signed_in(user)
        return Reply(body={"approved": begun.user_code, "by": user.upn})


def _bound(handler: Any, version: int) -> Any:
    async def bound(request: Request, **parts: str) -> Reply:
        reply: Reply = await handler(version, request, **parts)
        return reply

    return bound
