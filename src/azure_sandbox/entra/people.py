"""Sign-ins of users: who they are, whether Conditional Access lets them in, and the tokens that they get.

Grants: password, device code, authorization code, refresh token. Policies apply where Entra applies them: in the
browser for codes, at the token endpoint for passwords and refresh tokens.
"""

from __future__ import annotations

import base64
import hmac
import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure_sandbox.entra import clients, errors
from azure_sandbox.entra.asked import Asked, answer, application_of
from azure_sandbox.entra.conditional import Applied, Attempt, refusal
from azure_sandbox.entra.devices import DeviceCodes
from azure_sandbox.entra.directory import Directory, User
from azure_sandbox.entra.discovery import HOST
from azure_sandbox.entra.sign_ins import SignIn
from azure_sandbox.entra.tokens import LIFETIME, Tokens
from azure_sandbox.front.http import Problem, Reply, Request

REFRESHABLE = timedelta(days=90)
INTERACTION = {50076, 50079}


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A sign-in that succeeded, as its refresh token remembers it. `flow`: `deviceCodeFlow`, or None."""

    user: str
    client: str
    mfa: bool
    flow: str | None
    ends: datetime

    @property
    def amr(self) -> tuple[str, ...]:
        """Return Entra's words for how the user authenticated."""
        return ("pwd", "mfa") if self.mfa else ("pwd",)


class People:
    """Signs users in."""

    def __init__(self, directory: Directory, tokens: Tokens) -> None:
        self._directory = directory
        self._tokens = tokens
        self._sessions: dict[str, Session] = {}

    def named(self, request: Request, name: str, password: str | None) -> User:
        """Return the user with this UPN, ID, name or local part, and this password.

        A password of None means that the user was chosen on the sandbox's own page. Raises Entra's error.
        """
        user = self._directory.user(name)
        if user is None and password is None:
            user = self._chosen(name)
        if user is None:
            raise errors.aadsts(
                request,
                400,
                "invalid_grant",
                50034,
                f"The user account {{EmailHidden}} does not exist in the {self._directory.tenant.id} directory. To "
                "sign into this application, the account must be added to the directory.",
            )
        if password is not None and not _is(user.password, password):
            raise errors.aadsts(
                request,
                400,
                "invalid_grant",
                50126,
                "Error validating credentials due to invalid username or password.",
            )
        if password is not None and user.must_change:
            raise errors.aadsts(request, 400, "invalid_grant", 50055, "The password is expired.")
        return user

    def _chosen(self, name: str) -> User | None:
        wanted = name.strip().lower()
        names = [(it, {it.display_name.lower(), it.upn.lower().partition("@")[0]}) for it in self._directory.users()]
        found = [user for user, known in names if wanted in known]
        return found[0] if len(found) == 1 else None

    def enabled(self, request: Request, user: User) -> User:
        """Return the user. Raises AADSTS50057 if the account is disabled."""
        if not user.enabled:
            raise errors.aadsts(request, 400, "invalid_grant", 50057, "The user account is disabled.")
        return user

    def check(self, asked: Asked, user: User, *, flow: str | None, interactive: bool, browser: bool) -> Session:
        """Let a user sign in, and log it. `browser`: the sign-in can show a second factor and the device.

        Raises Entra's error: AADSTS50057, 65001, or that of a Conditional Access policy.
        """
        mfa = browser and user.mfa
        session = Session(user=user.id, client=asked.client, mfa=mfa, flow=flow, ends=asked.request.now + REFRESHABLE)
        try:
            self.enabled(asked.request, user)
            clients.scopes(asked, self._directory)
        except Problem as problem:
            self._write(asked, user, self._attempt(asked, user, session, browser=browser), (), problem, interactive)
            raise
        self._conditional(asked, user, session, interactive=interactive, browser=browser)
        return session

    def refreshed(self, asked: Asked) -> tuple[User, Session]:
        """Return the user and session of a refresh token.

        Raises AADSTS9002313, 70043, 50057, or the error of a Conditional Access policy that applies by now.
        """
        session = self._sessions.get(asked.form.get("refresh_token", ""))
        user = self._directory.user(session.user) if session else None
        if session is None or user is None or session.client != asked.client:
            words = "Invalid request. Request is malformed or invalid: the refresh token is not known."
            raise errors.aadsts(asked.request, 400, "invalid_grant", 9002313, words)
        if session.ends <= asked.request.now:
            words = "The refresh token has expired or is invalid due to sign-in frequency checks by Conditional Access."
            raise errors.aadsts(asked.request, 400, "invalid_grant", 70043, words)
        self.enabled(asked.request, user)
        clients.scopes(asked, self._directory)
        self._conditional(asked, user, session, interactive=False, browser=session.mfa)
        return user, session

    def _attempt(self, asked: Asked, user: User, session: Session, *, browser: bool) -> Attempt:
        return Attempt(
            user=user.id,
            groups=self._directory.memberships(user.id),
            roles=user.roles,
            resource=application_of(asked.resource, self._directory),
            flow=session.flow,
            device=user.device if browser else "none",
            mfa=session.mfa,
            interactive=browser,
            ip=user.ip,
        )

    def _conditional(self, asked: Asked, user: User, session: Session, *, interactive: bool, browser: bool) -> None:
        attempt = self._attempt(asked, user, session, browser=browser)
        applied = tuple(self._directory.conditional.evaluate(attempt)) if "P1" in self._directory.licences else ()
        against = refusal(list(applied), registered=user.mfa)
        problem = None
        if against is not None:
            code, words, ids = against
            challenge = {"access_token": {"capolids": {"essential": True, "values": ids}}}
            problem = errors.aadsts(
                asked.request,
                400,
                "invalid_grant",
                code,
                words.format(resource=attempt.resource),
                suberror="basic_action" if code in INTERACTION else "message_only",
                claims=json.dumps(challenge, separators=(",", ":")),
            )
        self._write(asked, user, attempt, applied, problem, interactive)
        if problem is not None:
            raise problem

    def _write(
        self,
        asked: Asked,
        user: User,
        attempt: Attempt,
        applied: tuple[Applied, ...],
        problem: Problem | None,
        interactive: bool,
    ) -> None:
        if not interactive:
            return
        code = 0 if problem is None else int(problem.body["error_codes"][0])
        words = "" if problem is None else str(problem.body["error_description"]).partition(": ")[2]
        self._directory.sign_ins.add(
            SignIn(
                id=str(uuid.uuid4()),
                at=asked.request.now,
                user=user,
                client_id=asked.client,
                client_name=clients.client_name(asked.client, self._directory),
                resource_id=attempt.resource,
                resource_name=clients.resource_name(attempt.resource, self._directory),
                attempt=attempt,
                applied=applied,
                results=tuple(it.result for it in applied),
                code=code,
                failure=words.partition(" Trace ID:")[0],
                correlation=asked.request.headers.get("client-request-id") or str(uuid.uuid4()),
            )
        )

    def tokens(self, asked: Asked, user: User, session: Session, *, nonce: str | None = None) -> Reply:
        """Return the token response for a session."""
        scopes = clients.scopes(asked, self._directory)
        access = self._tokens.issue(
            user,
            audience=asked.resource,
            app_id=asked.client,
            scopes=scopes,
            amr=session.amr,
            more=asked.more_claims(),
        )
        refresh = DeviceCodes.secret()
        self._sessions[refresh] = session
        more: dict[str, Any] = {"scope": asked.form.get("scope", asked.resource), "refresh_token": refresh}
        more["id_token"] = self._id_token(asked, user, nonce)
        if asked.form.get("client_info") == "1":
            info = json.dumps({"uid": user.id, "utid": self._directory.tenant.id}).encode()
            more["client_info"] = base64.urlsafe_b64encode(info).decode().rstrip("=")
        return answer(asked, access, more)

    def _id_token(self, asked: Asked, user: User, nonce: str | None) -> str:
        tenant, now = self._directory.tenant.id, int(asked.request.now.timestamp())
        client = self._directory.application(asked.client)
        claims: dict[str, Any] = {
            "aud": asked.client,
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
        if client is not None and client.group_claims:
            claims |= self._tokens.groups_claim(user)
        return self._tokens.sign(claims if nonce is None else {**claims, "nonce": nonce})


def _is(known: str | None, given: str) -> bool:
    return known is not None and hmac.compare_digest(known.encode(), given.encode())
