"""The guard over HTTPS on loopback: the two webhooks that AKS puts in front of every Entra cluster.

POST /token takes a TokenReview, POST /access a SubjectAccessReview. The bearer token identifies the cluster.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from aiohttp import web

from azure_sandbox.clock import Clock
from azure_sandbox.cluster.guard import AUTHENTICATED, Guard
from azure_sandbox.cluster.real.recipe import GUARD, GuardAddress
from azure_sandbox.cluster.reviews import attributes_of, subject
from azure_sandbox.entra.tokens import InvalidToken
from azure_sandbox.front.http import Problem
from azure_sandbox.front.pki import Authority

Document = dict[str, Any]
MALFORMED = 400


class Webhooks:
    """One HTTPS listener for all clusters of a sandbox."""

    def __init__(self, clock: Clock) -> None:
        self._authority = Authority(clock.now(), "aks-entra sandbox guard")
        self._guards: dict[str, Guard] = {}
        self._listener: asyncio.Server | None = None
        self._server: web.Server | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        loop, context = asyncio.get_running_loop(), self._authority.server_context([GUARD])
        self._server = web.Server(self._answer, access_log=None)
        self._listener = await loop.create_server(self._server, "127.0.0.1", 0, ssl=context)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and all connections."""
        if self._listener is not None:
            self._listener.close()
        if self._server is not None:
            await self._server.shutdown(timeout=0)

    def address(self, guard: Guard) -> GuardAddress:
        """Return where a cluster's API server reaches its guard."""
        token = secrets.token_urlsafe(32)
        self._guards[token] = guard
        return GuardAddress(port=self._port, authority=self._authority.pem, token=token)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        guard = self._guards.get(token) if scheme.lower() == "bearer" else None
        if guard is None:
            return web.Response(status=401)
        try:
            review: Document = json.loads(await request.read())
            spec: Document = review["spec"]
            match request.method, request.path:
                case "POST", "/token":
                    status = who(guard, spec)
                case "POST", "/access":
                    status = may(guard, spec)
                case _:
                    return web.Response(status=404)
        except (ValueError, KeyError, TypeError, Problem):
            return web.Response(status=MALFORMED)
        return web.json_response({"apiVersion": review["apiVersion"], "kind": review["kind"], "status": status})


def who(guard: Guard, spec: Document) -> Document:
    """Return the status of a TokenReview. Only Entra tokens are checked: the API server tries its own keys first."""
    try:
        caller = guard.entra(spec["token"])
    except InvalidToken as reason:
        return {"authenticated": False, "error": str(reason)}
    info = caller.info()
    return {"authenticated": True, "user": {**info, "groups": [it for it in info["groups"] if it != AUTHENTICATED]}}


def may(guard: Guard, spec: Document) -> Document:
    """Return the status of a SubjectAccessReview: Azure RBAC decides if Kubernetes RBAC has no opinion."""
    answer = guard.azure(subject(spec), attributes_of(spec, "authorization.k8s.io"))
    return {"allowed": answer.allowed, "reason": answer.reason}
