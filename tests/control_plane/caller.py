"""A client of a cluster: over TLS through the proxy, with a certificate, a token, both or neither."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from azure_sandbox.cluster.certificates import KeyPair
from azure_sandbox.cluster.credentials import Generation
from azure_sandbox.server import Sandbox

AKS = "6dae42f8-4368-4678-94ff-3960e28e3630"
ARM = "https://management.azure.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer."""

    status: int
    media: str
    body: Any

    @property
    def message(self) -> str:
        return str(self.body.get("message")) if isinstance(self.body, dict) else str(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A client of one sandbox that trusts the CA in a cluster's present kubeconfig."""

    sandbox: Sandbox
    folder: Path

    def fqdn(self, cluster: str) -> str:
        return next(it.fqdn for it in self.sandbox.clusters.all() if it.fqdn.startswith(f"{cluster}-"))

    def generation(self, cluster: str) -> Generation:
        server = self.sandbox.clusters.for_host(self.fqdn(cluster))
        assert server is not None
        return server.generation

    def _context(self, authority: bytes, identity: KeyPair | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=authority.decode())
        if identity is not None:
            file = self.folder / "identity.pem"
            file.write_bytes(identity.key_pem + identity.certificate_pem)
            context.load_cert_chain(file)
            file.unlink()
        return context

    async def ask(  # one argument per part of a request
        self,
        cluster: str,
        path: str,
        *,
        method: str = "GET",
        body: Any = None,
        token: str = "",
        certificate: Generation | KeyPair | None = None,
        accept: str = "application/json",
    ) -> Answer:
        headers = {"accept": accept} | ({"authorization": f"Bearer {token}"} if token else {})
        if body is not None:
            headers["content-type"] = "application/json"
            body = body if isinstance(body, str) else json.dumps(body)
        identity = certificate.admin if isinstance(certificate, Generation) else certificate
        context = self._context(self.generation(cluster).authority.certificate_pem, identity)
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                f"https://{self.fqdn(cluster)}{path}",
                proxy=self.sandbox.proxy.url,
                ssl=context,
                headers=headers,
                data=body,
            ) as answer,
        ):
            text = await answer.text()
            parsed = json.loads(text) if text.startswith("{") else text
            return Answer(status=answer.status, media=answer.content_type, body=parsed)

    async def token(self, application: str, secret: str, audience: str = AKS) -> str:
        body = {
            "grant_type": "client_credentials",
            "client_id": application,
            "client_secret": secret,
            "scope": f"{audience}/.default",
        }
        answer = await self._azure(
            "POST",
            f"https://login.microsoftonline.com/{self.sandbox.operator.tenant_id}/oauth2/v2.0/token",
            data=body,
        )
        return str(answer["access_token"])

    async def arm(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask ARM as the operator, and wait for the operation that it starts."""
        operator = self.sandbox.operator
        bearer = {"authorization": f"Bearer {await self.token(operator.principal.app_id, operator.secret, ARM)}"}
        url = f"{ARM}{path}?api-version=2025-08-01"
        context = ssl.create_default_context(cafile=self.sandbox.environment["SSL_CERT_FILE"])
        async with aiohttp.ClientSession(headers=bearer) as session:
            async with session.request(method, url, json=body, proxy=self.sandbox.proxy.url, ssl=context) as answer:
                found: dict[str, Any] = await answer.json() if answer.content_length else {}
                assert answer.status < 300, found
                operation = answer.headers.get("azure-asyncoperation")
            while operation:
                async with session.get(operation, proxy=self.sandbox.proxy.url, ssl=context) as answer:
                    state = (await answer.json())["status"]
                if state in {"Succeeded", "Failed", "Canceled"}:
                    assert state == "Succeeded"
                    break
        return found

    async def _azure(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        context = ssl.create_default_context(cafile=self.sandbox.environment["SSL_CERT_FILE"])
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, proxy=self.sandbox.proxy.url, ssl=context, **more) as answer,
        ):
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found
