"""The front door: every request to management.azure.com passes here before a provider sees it.

Token, api-version, role, lock, in Azure's order; and the headers that every answer carries.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from azure_sandbox.arm.access import normal
from azure_sandbox.arm.activity import Ending, record
from azure_sandbox.arm.errors import front, locked, not_modelled
from azure_sandbox.arm.state import State
from azure_sandbox.arm.throttling import Throttle
from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import ARM_AUDIENCES, Claims, InvalidToken, Tokens
from azure_sandbox.http import Problem, Reply, Request, Router

WRITING = {"PUT": "write", "PATCH": "write", "POST": "write", "DELETE": "delete"}
RECOMMENDED_POLL = 30.0  # seconds: what Azure's clients wait between two polls
STANDING = {
    "cache-control": "no-cache",
    "pragma": "no-cache",
    "expires": "-1",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that was let in: who asks (with the groups in the token), for which scope, by which api-version."""

    request: Request
    claims: Claims
    principals: frozenset[str]
    scope: str
    version: str

    def option(self, name: str) -> str:
        """A query option, empty when absent."""
        return self.request.query.get(name, "")


Handler = Callable[..., Awaitable[Reply]]
Scope = Callable[[dict[str, str]], str]


def _pattern(template: str) -> Scope:
    return template.format_map


def _subscription(scope: str) -> str:
    parts = scope.split("/")
    return parts[2] if len(parts) > 2 and parts[1].lower() == "subscriptions" else ""  # noqa: PLR2004  # /subscriptions/x


class Gate:
    """Routes with what it takes to pass them."""

    def __init__(
        self,
        *,
        state: State,
        directory: Directory,
        tokens: Tokens,
        clock: Clock,
        router: Router,
        throttle: Throttle | None = None,
    ) -> None:
        self.throttle = throttle or Throttle(clock)
        self.actions: set[str] = set()  # what any route asks for
        self.state = state
        self.clock = clock
        self._directory = directory
        self._tokens = tokens
        self._router = router

    def add(
        self,
        method: str,
        template: str,
        handler: Handler,
        *,
        scope: str = "",
        action: str | None,
        options: Iterable[str] = (),
        lockable: bool = True,
    ) -> None:
        """Serve a route. `scope` is a template of the same parts; without an `action`, a valid token is enough."""
        known = {"api-version", *options}
        if action is not None:
            self.actions.add(action)
        reach = _pattern(scope)

        async def guarded(request: Request, **parts: str) -> Reply:
            correlation = request.headers.get("x-ms-correlation-request-id") or str(uuid.uuid4())
            quota: dict[str, str] = {}
            ended = None
            try:
                scope = reach(parts)
                call = self._admit(request, scope, action, known, quota)
                if action and (kind := WRITING.get(method)):
                    name = self._directory.display_of(call.claims.oid)
                    who = (call.claims.upn or name, call.claims.oid)
                    ended = record(self.state.activity, request, action, call.scope, who, correlation)
                    if lockable:
                        self.check_locks(call.scope, kind)
                self.throttle.pass_provider(request, _subscription(scope), self.state.region(request.path))
                reply = await handler(call, **parts)
            except Problem as problem:
                reply = Reply(problem.status, problem.body, problem.headers)
            if ended is not None:
                ended(reply.status, self.clock.now())
                self._follow(reply, ended)
            return self._dressed(request, reply, {"x-ms-correlation-request-id": correlation, **quota})

        self._router.add(method, template, guarded)

    def _follow(self, reply: Reply, ended: Ending) -> None:
        """Let the operation that an answer names write its own end into the activity log."""
        url = reply.headers.get("azure-asyncoperation", "")
        operation = self.state.operations.get(url.partition("?")[0].rpartition("/")[2])
        if operation is not None:
            operation.asked = ended

    def _admit(self, request: Request, scope: str, action: str | None, known: set[str], quota: dict[str, str]) -> Call:
        claims = self._claims(request, scope)
        quota.update(self.throttle.enter(request, _subscription(scope or request.path), claims.oid))
        version = request.query.get("api-version", "")
        if not version:
            text = "The api-version query parameter (?api-version=) is required for all requests."
            raise front(400, "MissingApiVersionParameter", text)
        if unknown := set(request.query) - known:
            raise not_modelled(f"the query option {', '.join(sorted(unknown))} of {request.method} {request.path}")
        groups = self._directory.groups_of(claims.oid) if claims.overage else claims.groups or ()
        call = Call(
            request=request,
            claims=claims,
            principals=frozenset({claims.oid, *groups}),
            scope=scope,
            version=version,
        )
        if action is not None:
            self.require(call, action, scope)
        return call

    def _claims(self, request: Request, scope: str) -> Claims:
        authorization = request.headers.get("authorization")
        try:
            claims = self._tokens.verify(authorization, ARM_AUDIENCES)
        except InvalidToken as error:
            if not authorization:
                raise self._unauthorized("AuthenticationFailed", "The 'Authorization' header is missing.") from error
            if error.expired:
                raise self._unauthorized("ExpiredAuthenticationToken", "The access token has expired.") from error
            raise self._unauthorized("InvalidAuthenticationToken", f"The access token is invalid: {error}.") from error
        parts = normal(scope).split("/")
        if parts[1:2] != ["subscriptions"]:
            return claims
        subscription = self.state.subscription(parts[2])
        if subscription.tenant.lower() != claims.tid.lower():
            text = (
                f"The access token is from the wrong issuer 'https://sts.windows.net/{claims.tid}/'. It must match the "
                f"tenant 'https://sts.windows.net/{subscription.tenant}/' associated with this subscription."
            )
            raise self._unauthorized("InvalidAuthenticationTokenTenant", text)
        return claims

    def _unauthorized(self, code: str, text: str) -> Problem:
        authority = f"https://login.microsoftonline.com/{self._directory.tenant.id}"
        challenge = f'Bearer authorization_uri="{authority}", error="invalid_token", error_description="{text}"'
        message = f"Authentication failed. {text}" if code == "AuthenticationFailed" else text
        return front(401, code, message, {"www-authenticate": challenge})

    def name_of(self, call: Call) -> str:
        """The caller as refusals call them."""
        return self._directory.display_of(call.claims.oid)

    def require(self, call: Call, action: str, scope: str) -> None:
        """Refuse a caller who may not perform an action, in ARM's words."""
        if self.state.access.allows(call.principals, action, scope):
            return
        raise front(
            403,
            "AuthorizationFailed",
            f"The client '{self.name_of(call)}' with object id '{call.claims.oid}' does not have authorization to "
            f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, "
            "please refresh your credentials.",
        )

    def check_locks(self, scope: str, kind: str) -> None:
        """Refuse what a management lock forbids: deletions by any lock, other writes by a ReadOnly one."""
        held = [it.scope for it in self.state.locks_above(scope) if kind == "delete" or it.level == "ReadOnly"]
        if held:
            raise locked(scope, kind, held)

    def _dressed(self, request: Request, reply: Reply, more: dict[str, str]) -> Reply:
        now = self.clock.now()
        identifier = str(uuid.uuid4())
        headers = {
            **STANDING,
            "x-ms-request-id": identifier,
            **more,
            "x-ms-routing-request-id": f"SANDBOX:{now:%Y%m%dT%H%M%SZ}:{identifier}",
            **reply.headers,
        }
        if client := request.headers.get("x-ms-client-request-id"):
            headers["x-ms-client-request-id"] = client
        return Reply(reply.status, reply.body, headers)

    def poll_headers(self) -> dict[str, str]:
        """When to ask again: Azure says nothing (clients wait 30 s); at another pace it takes a hint."""
        if self.clock.pace == 1 and not self.clock.by_hand:
            return {}
        if self.clock.by_hand:
            return {"x-ms-retry-after-ms": "200"}
        return {"x-ms-retry-after-ms": str(max(50, round(1000 * self.clock.real(RECOMMENDED_POLL).total_seconds())))}
