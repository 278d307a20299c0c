"""The authorization-code flow with PKCE, for which `az login` and kubelogin's interactive mode open a browser.

Source: Entra's auth-code-flow page; RFC 7636. The port of a loopback redirect is ignored, as in RFC 8252 and in Entra.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit

from azure_sandbox.entra import asked as asking
from azure_sandbox.entra import clients, errors, pages
from azure_sandbox.entra.asked import Asked
from azure_sandbox.entra.devices import DeviceCodes
from azure_sandbox.entra.directory import Directory, User
from azure_sandbox.entra.people import People, Session
from azure_sandbox.front.http import Problem, Reply, Request

LIFETIME = timedelta(minutes=10)
LOOPBACK = {"localhost", "127.0.0.1"}
NATIVE = "https://login.microsoftonline.com/common/oauth2/nativeclient"
_HIDDEN = ("client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "claims")
_PKCE = ("code_challenge", "code_challenge_method")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    session: Session
    user: User
    redirect: str
    challenge: str | None
    method: str
    nonce: str | None
    ends: datetime


class Authorize:
    """The authorization codes that were issued. Each can be redeemed once."""

    def __init__(self, directory: Directory, people: People) -> None:
        self._directory = directory
        self._people = people
        self._codes: dict[str, _Code] = {}

    async def show(self, request: Request, tenant: str) -> Reply:
        """Answer GET /{tenant}/oauth2/v2.0/authorize with a page on which the user is chosen."""
        fields = dict(request.query)
        self._read(request, fields, tenant)
        kept = {name: fields[name] for name in (*_HIDDEN, *_PKCE) if name in fields}
        everybody = list(self._directory.users())
        hinted = [it for it in everybody if it.upn.lower() == fields.get("login_hint", "").lower()]
        return pages.chooser(hinted or everybody, kept, request.path)

    async def choose(self, request: Request, tenant: str) -> Reply:
        """Answer the POST of that page: redirect to the application with a code or an error."""
        form = asking.read_form(request)
        asked = self._read(request, form, tenant)
        try:
            if "deny" in form:
                words = "the user canceled the authentication."
                raise errors.aadsts(request, 400, "access_denied", 65004, words)
            user = self._people.named(request, form.get("username", ""), form.get("password"))
            session = self._people.check(asked, user, flow=None, interactive=True, browser=True)
        except Problem as problem:
            if problem.body.get("claims"):  # Conditional Access refuses on its own page, without a redirect
                return pages.refused(str(problem.body["error_description"]), 200)
            back = {name: str(problem.body[name]) for name in ("error", "error_description")}
            return _back(form, back)
        code = DeviceCodes.secret()
        self._codes[code] = _Code(
            session=session,
            user=user,
            redirect=form["redirect_uri"],
            challenge=form.get("code_challenge"),
            method=form.get("code_challenge_method", "plain"),
            nonce=form.get("nonce"),
            ends=request.now + LIFETIME,
        )
        return _back(form, {"code": code, "session_state": session.user})

    def redeem(self, asked: Asked) -> tuple[User, Session, str | None]:
        """Return the user, session and nonce of a code. Raises AADSTS54005, 70008, 50148 or 500112."""
        form, request = asked.form, asked.request
        if "code" not in form:
            raise errors.missing(request, "code")
        code = self._codes.pop(form["code"], None)
        if code is None or code.session.client != asked.client:
            words = "OAuth2 Authorization code was already redeemed, please retry with a new valid code."
            raise errors.aadsts(request, 400, "invalid_grant", 54005, words)
        if code.ends <= request.now:
            words = "The provided authorization code or refresh token has expired due to inactivity."
            raise errors.aadsts(request, 400, "invalid_grant", 70008, words)
        if form.get("redirect_uri") != code.redirect:
            words = "The reply address does not match the reply address provided when requesting Authorization code."
            raise errors.aadsts(request, 400, "invalid_client", 500112, words)
        if code.challenge is not None and not _verifies(code, form.get("code_verifier", "")):
            words = (
                "The code_verifier does not match the code_challenge supplied in the authorization request for PKCE."
            )
            raise errors.aadsts(request, 400, "invalid_grant", 501481, words)
        return self._people.enabled(request, code.user), code.session, code.nonce

    def _read(self, request: Request, fields: dict[str, str], tenant: str) -> Asked:
        for name in ("client_id", "response_type", "redirect_uri"):
            if name not in fields:
                raise errors.missing(request, name)
        if fields["response_type"] != "code":
            raise errors.not_modelled(f"response_type {fields['response_type']!r}")
        if fields.get("response_mode", "query") not in {"query", "form_post"}:
            raise errors.not_modelled(f"response_mode {fields['response_mode']!r}")
        if fields.get("prompt") == "none":
            raise errors.not_modelled("prompt=none: no browser session is kept")
        known = asking.tenant_named(request, self._directory, tenant)
        application = clients.known(request, fields["client_id"], self._directory)
        redirects = (NATIVE,) if application is None else application.redirects
        if not _registered(fields["redirect_uri"], redirects, first_party=application is None):
            raise errors.aadsts(
                request,
                400,
                "invalid_client",
                50011,
                f"The redirect URI '{fields['redirect_uri']}' specified in the request does not match the redirect "
                f"URIs configured for the application '{fields['client_id']}'.",
            )
        return asking.read(request, fields, self._directory, known, 2, application=False)


def _registered(uri: str, known: tuple[str, ...], *, first_party: bool) -> bool:
    parts = urlsplit(uri)
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return first_party or any(urlsplit(it).hostname in LOOPBACK for it in known)
    return uri in known


def _verifies(code: _Code, verifier: str) -> bool:
    made = verifier
    if code.method == "S256":
        made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return hmac.compare_digest(made.encode(), (code.challenge or "").encode())


def _back(form: dict[str, str], fields: dict[str, str]) -> Reply:
    if "state" in form:
        fields = {**fields, "state": form["state"]}
    if form.get("response_mode") == "form_post":
        return pages.handed_over(form["redirect_uri"], fields)
    joint = "&" if "?" in form["redirect_uri"] else "?"
    return Reply(302, None, {"Location": f"{form['redirect_uri']}{joint}{urlencode(fields)}"})
