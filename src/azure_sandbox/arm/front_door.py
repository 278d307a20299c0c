"""ARM's front door, through which every request to management.azure.com passes before a resource provider sees it.

It checks token, quota, api-version, rights and locks, in Azure's order, and adds the headers that every answer carries.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from azure_sandbox.arm import api_versions
from azure_sandbox.arm.authorization.access import normal
from azure_sandbox.arm.errors import front, locked, not_modelled
from azure_sandbox.arm.insights.activity_log import Ending, record
from azure_sandbox.arm.resources.regions import REGIONS
from azure_sandbox.arm.state import State
from azure_sandbox.arm.throttling import Throttle
from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import ARM_AUDIENCES, Claims, InvalidToken, Tokens
from azure_sandbox.front.http import Problem, Reply, Request, Router

WRITING = {"PUT": "write", "PATCH": "write", "POST": "write", "DELETE": "delete"}
RECOMMENDED_POLL = 30.0  # seconds that Azure's clients wait between two polls
COMMON_HEADERS = {
    "cache-control": "no-cache",
    "pragma": "no-cache",
    "expires": "-1",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that the front door let in.

    `principals` are the object ids of the caller and of the caller's groups, `scope` is the id that the route checks,
    `version` is the api-version.
    """

    request: Request
    claims: Claims
    principals: frozenset[str]
    scope: str
    version: str

    def option(self, name: str) -> str:
        """Return the value of a query option, or "" if it is absent."""
        return self.request.query.get(name, "")


Handler = Callable[..., Awaitable[Reply]]
Scope = Callable[[dict[str, str]], str]


def _pattern(template: str) -> Scope:
    return template.format_map


def _subscription(scope: str) -> str:
    parts = scope.split("/")
    return parts[2] if len(parts) > 2 and parts[1].lower() == "subscriptions" else ""  # noqa: PLR2004  # /subscriptions/x


class FrontDoor:
    """Adds routes, and checks each request before its handler sees it."""

    def __init__(
        self,
        *,
        state: State,
        directory: Directory,
        tokens: Tokens,
        clock: Clock,
        router: Router,
        throttle: Throttle | None = None,
        accepted_versions: Collection[str] = (),
    ) -> None:
        self.throttle = throttle or Throttle(clock)
        self.actions: set[str] = set()  # every action that a route requires
        self.before_write: list[Callable[[str], None]] = []  # called with the path of each write that is admitted
        self.state = state
        self.clock = clock
        self._directory = directory
        self._tokens = tokens
        self._router = router
        self._accepted_versions = accepted_versions

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
        """Add a route.

        `scope` is a template with the path's parts; the caller needs `action` on it. Without an `action` a valid token
        is enough. A query option outside of `options` is answered with 501. A `lockable` write respects locks.
        """
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
                    for look in self.before_write:
                        look(request.path)
                self.throttle.pass_provider(request, _subscription(scope), self.state.region(request.path))
                reply = await handler(call, **parts)
            except Problem as problem:
                reply = Reply(problem.status, problem.body, problem.headers)
            if ended is not None:
                ended(reply.status, self.clock.now())
                self._follow(reply, ended)
            return self._with_headers(request, reply, {"x-ms-correlation-request-id": correlation, **quota})

        self._router.add(method, template, guarded)

    def _follow(self, reply: Reply, ended: Ending) -> None:
        """Let the operation that an answer names write its end into the activity log."""
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
        self._check_version(request.path, version)
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

    def _check_version(self, path: str, version: str) -> None:
        if version in self._accepted_versions:
            return
        today, region = self.clock.now().date(), self.state.region(path)
        if problem := api_versions.refusal(path, version, region, REGIONS, today):
            raise problem

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
        """Return the caller's display name, which refusals contain."""
        return self._directory.display_of(call.claims.oid)

    def require(self, call: Call, action: str, scope: str) -> None:
        """Raise ARM's 403 unless the caller may perform an action. Deny assignments are evaluated before roles."""
        if denial := self.state.denied(call.principals, action, scope):
            raise front(
                403,
                "DenyAssignmentAuthorizationFailed",
                f"The client '{self.name_of(call)}' with object id '{call.claims.oid}' has permission to perform "
                f"action '{action}' on scope '{scope}'; however, the access is denied because of the deny assignment "
                f"with name '{denial.properties['denyAssignmentName']}' and Id '{denial.name}' at scope "
                f"'{denial.scope}'.",
            )
        if self.state.access.allows(call.principals, action, scope):
            return
        raise front(
            403,
            "AuthorizationFailed",
            f"The client '{self.name_of(call)}' with object id '{call.claims.oid}' does not have authorization to "
            f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, "
            "please refresh your credentials.",
        )

    def require_linked(self, call: Call, action: str, linked: Iterable[tuple[str, str]]) -> None:
        """Raise ARM's 403 unless the caller has each right (action, resource id) on the resources that a body names.

        The wording is that of refusals in public issues, such as Azure/aad-pod-identity#613.
        """
        lacking: dict[str, list[str]] = {}
        for wanted, scope in linked:
            denied = self.state.denied(call.principals, wanted, scope)
            if denied or not self.state.access.allows(call.principals, wanted, scope):
                lacking.setdefault(wanted, []).append(scope)
        for wanted, scopes in lacking.items():
            raise front(
                403,
                "LinkedAuthorizationFailed",
                f"The client '{self.name_of(call)}' with object id '{call.claims.oid}' has permission to perform "
                f"action '{action}' on scope '{call.scope}'; however, it does not have permission to perform action "
                f"'{wanted}' on the linked scope(s) '{','.join(scopes)}' or the linked scope(s) are invalid.",
            )

    def check_locks(self, scope: str, kind: str) -> None:
        """Raise 409 if a lock forbids a write: any lock forbids a `delete`, a ReadOnly lock also a `write`."""
        held = [it.scope for it in self.state.locks_above(scope) if kind == "delete" or it.level == "ReadOnly"]
        if held:
            raise locked(scope, kind, held)

    def _with_headers(self, request: Request, reply: Reply, more: dict[str, str]) -> Reply:
        now = self.clock.now()
        identifier = str(uuid.uuid4())
        headers = {
            **COMMON_HEADERS,
            "x-ms-request-id": identifier,
            **more,
            "x-ms-routing-request-id": f"SANDBOX:{now:%Y%m%dT%H%M%SZ}:{identifier}",
            **reply.headers,
        }
        if client := request.headers.get("x-ms-client-request-id"):
            headers["x-ms-client-request-id"] = client
        return Reply(reply.status, reply.body, headers)

    def poll_headers(self) -> dict[str, str]:
        """Return the headers that say when to poll again.

        They are empty at Azure's pace: Azure sends none, and its clients wait 30 seconds.
        """
        if self.clock.pace == 1 and not self.clock.by_hand:
            return {}
        if self.clock.by_hand:
            return {"x-ms-retry-after-ms": "200"}
        return {"x-ms-retry-after-ms": str(max(50, round(1000 * self.clock.real(RECOMMENDED_POLL).total_seconds())))}
