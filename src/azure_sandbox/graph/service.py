"""graph.microsoft.com: authenticate, throttle and answer every request, and add its ids to the answer."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import GRAPH_AUDIENCES, Claims, InvalidToken, Tokens
from azure_sandbox.front.http import Reply, Request, Router
from azure_sandbox.graph import batch, deleted_items, domains, errors, groups, principals, routes, users
from azure_sandbox.graph.access import Caller
from azure_sandbox.graph.call import Call, CallHandler
from azure_sandbox.graph.throttling import Throttle

HOST = "graph.microsoft.com"
IN_BETA = ("/groups", "/directoryObjects")  # what Terraform reads there; answered with the properties of v1.0
FUNCTION = re.compile(
    r"(microsoft\.graph\.)?(delta|getByIds|getUserOwnedObjects|validateProperties|getAvailableExtensionProperties)|.*\(.*",
    re.IGNORECASE,
)


class Graph:
    """Microsoft Graph v1.0 over the world's directory; with `throttle` it enforces the documented budgets."""

    def __init__(self, directory: Directory, tokens: Tokens, *, throttle: bool = False) -> None:
        self._directory = directory
        self._tokens = tokens
        self.throttle = Throttle(on=throttle)
        self.router = Router("Microsoft Graph")
        self.router.add("POST", "/v1.0/$batch", self._batch)
        self._add_groups()
        self._add_principals()
        routes.add_applications(self._add)
        routes.add_governance(self._add, directory)

    async def handle(self, request: Request) -> Reply:
        """Answer one request; the reply carries Graph's headers and ids."""
        return _stamped(request, await self.router.dispatch(request))

    async def _batch(self, request: Request) -> Reply:
        self._caller(request)
        return await batch.answer(request, self.handle)

    def _add_groups(self) -> None:
        add = self._add
        add("GET", "/groups", groups.listing)
        add("POST", "/groups", groups.create)
        add("GET", "/groups(uniqueName='{unique_name}')", groups.read_unique)
        add("PATCH", "/groups(uniqueName='{unique_name}')", groups.upsert)
        add("GET", "/groups/$count", groups.count)
        add("GET", "/groups/{group_id}", groups.read)
        add("PATCH", "/groups/{group_id}", groups.update)
        add("DELETE", "/groups/{group_id}", groups.delete)
        for relation in ("members", "owners"):
            add("POST", f"/groups/{{group_id}}/{relation}/$ref", _with(groups.add_reference, relation))
            add(
                "DELETE",
                f"/groups/{{group_id}}/{relation}/{{object_id}}/$ref",
                _with(groups.remove_reference, relation),
            )
        transitive = partial(groups.members, transitive=True)
        for name, handler in (
            ("members", groups.members),
            ("transitiveMembers", transitive),
            ("owners", groups.owners),
        ):
            add("GET", f"/groups/{{group_id}}/{name}", handler)
            add("GET", f"/groups/{{group_id}}/{name}/{{cast}}", handler)
        add("GET", "/directory/deletedItems/microsoft.graph.{cast}", deleted_items.listing)
        add("GET", "/directory/deletedItems/{object_id}", deleted_items.read)
        add("DELETE", "/directory/deletedItems/{object_id}", deleted_items.delete)
        add("POST", "/directory/deletedItems/{object_id}/restore", deleted_items.restore)

    def _add_principals(self) -> None:
        add = self._add
        add("GET", "/domains", domains.listing)
        add("GET", "/me", principals.me)
        add("GET", "/users", principals.users)
        add("GET", "/users/$count", principals.count_users)
        add("GET", "/users/{user_id}", principals.user)
        add("POST", "/users", users.create)
        add("PATCH", "/users/{user_id}", users.update)
        add("DELETE", "/users/{user_id}", users.delete)
        add("GET", "/servicePrincipals", principals.service_principals)
        add("GET", "/servicePrincipals(appId='{app_id}')", principals.service_principal_of)
        add("GET", "/servicePrincipals/{object_id}", principals.service_principal)
        add("POST", "/directoryObjects/getByIds", principals.by_ids)
        add("GET", "/directoryObjects/{object_id}", principals.directory_object)
        transitive = partial(principals.member_of, transitive=True)
        for collection in ("users", "groups", "servicePrincipals", "directoryObjects"):
            for action in ("", "microsoft.graph."):
                base = f"/{collection}/{{object_id}}"
                add("POST", f"{base}/{action}checkMemberGroups", principals.check_member_groups)
                add("POST", f"{base}/{action}getMemberGroups", principals.get_member_groups)
            add("GET", f"{base}/memberOf", principals.member_of)
            add("GET", f"{base}/transitiveMemberOf", transitive)
        mine = {"checkMemberGroups": principals.check_member_groups, "getMemberGroups": principals.get_member_groups}
        for action, handler in mine.items():
            add("POST", f"/me/{action}", _of_caller(handler))
        add("GET", "/me/memberOf", _of_caller(principals.member_of))
        add("GET", "/me/transitiveMemberOf", _of_caller(transitive))

    def _add(self, method: str, path: str, handler: CallHandler) -> None:
        async def authenticated(request: Request, **parts: str) -> Reply:
            caller = self._caller(request)
            _no_function(parts)
            if refusal := self.throttle.pay(request, caller.client):
                raise refusal
            call = Call(request=request, caller=caller, directory=self._directory)
            if method != "GET":
                _no_options(request)
            return _located(request, await handler(call, **parts))

        self.router.add(method, f"/v1.0{path}", authenticated)
        if path.startswith(IN_BETA):
            self.router.add(method, f"/beta{path}", authenticated)

    def _caller(self, request: Request) -> Caller:
        authorization = request.headers.get("Authorization")
        if not authorization:
            raise errors.problem(401, "InvalidAuthenticationToken", "Access token is empty.")
        try:
            claims = self._tokens.verify(authorization, GRAPH_AUDIENCES)
        except InvalidToken as reason:
            words = "Lifetime validation failed, the token is expired." if reason.expired else _words(reason)
            raise errors.problem(401, "InvalidAuthenticationToken", words) from reason
        return Caller(
            object_id=claims.oid,
            permissions=_permissions(claims),
            scopes=frozenset(claims.scp.split()),
            roles=frozenset(claims.wids),
            mfa="mfa" in claims.amr,
            client=claims.appid,
            now=request.now,
        )


def _permissions(claims: Claims) -> frozenset[str] | None:
    return frozenset(claims.roles) if claims.idtyp == "app" else None


def _words(reason: InvalidToken) -> str:
    audience = "audience" in reason.reason.lower()
    return "Access token validation failure. Invalid audience." if audience else f"CompactToken: {reason.reason}"


def _no_function(parts: Mapping[str, str]) -> None:
    """Raise 501 for a function in the place of an id, which would be read as an object that does not exist."""
    for name, part in parts.items():
        if name in {"group_id", "user_id", "object_id"} and FUNCTION.fullmatch(part):
            raise errors.not_modelled(f"the function {part!r}")


def _located(request: Request, reply: Reply) -> Reply:
    """Return a reply with the address that Graph names: of a new object, and (recorded) its own for an action."""
    if request.method != "POST" or "Location" in reply.headers or reply.status not in {200, 201}:
        return reply
    made = reply.body.get("id") if reply.status == 201 and isinstance(reply.body, dict) else None  # noqa: PLR2004
    place = f"https://{HOST}" if made is None else f"https://{HOST}{request.path}/{made}"
    return replace(reply, headers={**reply.headers, "Location": place})


def _no_options(request: Request) -> None:
    if request.query:
        raise errors.not_modelled(f"the option {next(iter(request.query))!r} on {request.method} {request.path}")


def _with(handler: Callable[..., Awaitable[Reply]], relation: str) -> CallHandler:
    async def bound(call: Call, **parts: str) -> Reply:
        return await handler(call, relation, **parts)

    return bound


def _of_caller(handler: Callable[..., Awaitable[Reply]]) -> CallHandler:
    async def bound(call: Call) -> Reply:
        await principals.me(call)  # raises 400 for an application
        return await handler(call, call.caller.object_id)

    return bound


def _stamped(request: Request, reply: Reply) -> Reply:
    identity = str(uuid.uuid4())
    client = request.headers.get("client-request-id") or identity
    headers = {
        **reply.headers,
        "request-id": identity,
        "client-request-id": client,
        "x-ms-ags-diagnostic": '{"ServerInfo":{"DataCenter":"Sandbox","Slice":"E","Ring":"1","ScaleUnit":"000"}}',
        "Cache-Control": "no-cache",
        "OData-Version": "4.0",
    }
    body = reply.body
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        inner = {
            **body["error"].get("innerError", {}),
            "date": f"{request.now:%Y-%m-%dT%H:%M:%S}",
            "request-id": identity,
            "client-request-id": client,
        }
        body = {**body, "error": {**body["error"], "innerError": inner}}
    if isinstance(body, dict) and request.path.startswith("/beta/") and "@odata.context" in body:
        body = {**body, "@odata.context": body["@odata.context"].replace("/v1.0/", "/beta/")}
    if isinstance(body, dict):
        headers["Content-Type"] = (
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
        )
    return Reply(reply.status, body, headers)
