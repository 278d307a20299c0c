"""Calls the sandbox's Entra ID and Graph directly, without HTTP, in a world that the test defines."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from multidict import CIMultiDict

from azure_sandbox.clock import Clock
from azure_sandbox.entra.discovery import HOST as ENTRA
from azure_sandbox.entra.service import Entra
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.http import Reply, Request, split_path
from azure_sandbox.graph.service import HOST as GRAPH
from azure_sandbox.graph.service import Graph
from azure_sandbox.world.build import build_directory
from azure_sandbox.world.model import World

AKS = "6dae42f8-4368-4678-94ff-3960e28e3630"
AKS_CLIENT = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
ARM_SCOPE = "https://management.azure.com/.default"
AKS_SCOPE = f"{AKS}/.default openid offline_access profile"
DOMAIN = "contoso.onmicrosoft.com"
ALL = (
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Application.Read.All",
    "RoleManagement.ReadWrite.Directory",
    "Policy.Read.All",
    "Policy.ReadWrite.ConditionalAccess",
    "AuditLog.Read.All",
    "PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup",
    "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
    "RoleManagementPolicy.ReadWrite.AzureADGroup",
)
PIM_CLIENT: dict[str, Any] = {
    "name": "access-tool",
    "publicClient": True,
    "redirectUris": ["http://localhost"],
    "delegatedPermissions": [
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
        "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
        "Group.Read.All",
        f"{AKS}/user.read",
    ],
}


class IdentityClient:
    """The identities of a world. `caller` is the application or user whose Graph token is sent."""

    def __init__(self, world: dict[str, Any], *, replication: float = 0.0, pace: float = math.inf) -> None:
        applications = [{"name": "operator", "secret": "right", "graphPermissions": list(ALL)}]
        given = world.get("servicePrincipals", [])
        named = {it["name"] for it in given}
        whole = {
            "version": 1,
            **world,
            "servicePrincipals": [it for it in applications if it["name"] not in named] + given,
        }
        self.clock = Clock(pace=pace)
        model = World.model_validate(whole)
        self.directory, self._names = build_directory(model, self.clock, replication=replication)
        self.tokens = Tokens(self.directory)
        self.entra = Entra(self.directory, self.tokens)
        self.graph = Graph(self.directory, self.tokens, throttle=model.graph_throttling)
        self.caller = "operator"
        self.amr: tuple[str, ...] = ("pwd", "mfa")
        self.tenant = self.directory.tenant.id

    def id(self, name: str) -> str:
        return self._names.resolve(name, "test")

    def app(self, name: str) -> str:
        found = self.directory.principal(self.id(name))
        return str(getattr(found, "app_id"))  # noqa: B009  # a test names an application

    async def _send(self, host: str, method: str, target: str, body: bytes, **headers: str) -> Reply:
        parts = urlsplit(target.removeprefix(f"https://{host}"))
        request = Request(
            method=method,
            host=host,
            path=split_path(parts.path),
            raw_path=target,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers=CIMultiDict(headers),
            body=body,
            now=self.clock.now(),
        )
        return await (self.graph if host == GRAPH else self.entra).handle(request)

    # -- Entra

    async def entra_send(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Reply:
        return await self._send(ENTRA, method, path, urlencode(form or {}).encode(), **headers)

    async def token(self, **form: str) -> dict[str, Any]:
        reply = await self.entra_send("POST", f"/{self.tenant}/oauth2/v2.0/token", form)
        assert reply.status == 200, reply.body
        assert isinstance(reply.body, dict)
        return reply.body

    async def refused(self, **form: str) -> tuple[int, str]:
        """Return the AADSTS code and the description of a refusal."""
        reply = await self.entra_send("POST", f"/{self.tenant}/oauth2/v2.0/token", form)
        assert isinstance(reply.body, dict)
        assert reply.status in {400, 401}, reply
        return int(reply.body["error_codes"][0]), str(reply.body["error_description"])

    async def device_code(self, name: str, *, client: str = AKS_CLIENT, scope: str = AKS_SCOPE) -> Reply:
        """Start a device code flow, sign in as a user in the browser, and return the reply to one poll."""
        form = {"client_id": client, "scope": scope}
        begun = (await self.entra_send("POST", f"/{self.tenant}/oauth2/v2.0/devicecode", form)).body
        assert isinstance(begun, dict), begun
        assert "device_code" in begun, begun
        await self.entra_send("POST", "/common/oauth2/deviceauth", {"user_code": begun["user_code"], "username": name})
        poll = {**form, "grant_type": "device_code", "device_code": begun["device_code"]}
        return await self.entra_send("POST", f"/{self.tenant}/oauth2/v2.0/token", poll)

    # -- Graph

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        principal = self.directory.principal(self.id(self.caller))
        assert principal is not None
        scopes = frozenset(it for it in PIM_CLIENT["delegatedPermissions"] if "/" not in it)
        token = self.tokens.issue(
            principal,  # type: ignore[arg-type]  # tests speak as users and applications only
            audience="https://graph.microsoft.com",
            scopes=scopes,
            amr=self.amr,
        )
        target = path if path.startswith("https://") else f"/v1.0{path}"
        raw = b"" if body is None else json.dumps(body).encode()
        return await self._send(GRAPH, method, target, raw, Authorization=f"Bearer {token}", **headers)

    async def get(self, path: str, **headers: str) -> Any:
        reply = await self.send("GET", path, **headers)
        assert reply.status == 200, reply
        return reply.body

    async def post(self, path: str, body: object, status: int = 201) -> Any:
        reply = await self.send("POST", path, body)
        assert reply.status == status, reply
        return reply.body

    async def error(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str, str]:
        """Return status, code and message of a refusal."""
        reply = await self.send(method, path, body, **headers)
        assert isinstance(reply.body, dict), reply
        assert "error" in reply.body, reply
        return reply.status, reply.body["error"]["code"], reply.body["error"]["message"]

    def later(self, **time: float) -> None:
        self.clock.advance(timedelta(**time))
