"""The platform's client of a real API server. It does the work of AKS's controllers with a token of its own."""

from __future__ import annotations

import json
import ssl
from types import TracebackType
from typing import Any, Self

import aiohttp

from azure_sandbox.cluster.credentials import Generation
from azure_sandbox.cluster.resources import Resource

Document = dict[str, Any]
OWNER = "azure"  # name of the field manager
APPLY = "application/apply-patch+yaml"
TIMEOUT = 30  # seconds; a request usually takes less than a hundredth of it
NOT_FOUND, REFUSED = 404, 400


class RefusedByServer(Exception):
    """The API server refused an object. The message is the API server's."""


class Client:
    """A client of one API server process on loopback."""

    def __init__(self, *, port: int, fqdn: str, generation: Generation, token: str) -> None:
        self._base = f"https://127.0.0.1:{port}"
        self._fqdn = fqdn
        context = ssl.create_default_context(cadata=generation.authority.certificate_pem.decode())
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            headers={"authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ready(self) -> bool:
        """Return whether it serves and has created its own objects."""
        try:
            return (await self._send("GET", "/readyz"))[0] == 200  # noqa: PLR2004  # HTTP OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def apply(self, resource: Resource, document: Document, subresource: str = "") -> Document:
        """Apply an object on the server side and return the result. Raises RefusedByServer."""
        path = path_of(resource, document) + (f"/{subresource}" if subresource else "")
        status, answer = await self._send("PATCH", f"{path}?fieldManager={OWNER}&force=true", document)
        return self._taken(path_of(resource, document), status, answer)

    async def delete(self, resource: Resource, document: Document) -> None:
        """Delete an object immediately, if it exists. Raises RefusedByServer."""
        status, answer = await self._send("DELETE", f"{path_of(resource, document)}?gracePeriodSeconds=0")
        if status != NOT_FOUND:
            self._taken(path_of(resource, document), status, answer)

    @staticmethod
    def _taken(what: str, status: int, answer: Any) -> Document:
        if status >= REFUSED or not isinstance(answer, dict):
            words = answer.get("message") if isinstance(answer, dict) else answer
            raise RefusedByServer(f"HTTP {status} for {what}: {words}")
        return answer

    async def _send(self, method: str, path: str, document: Document | None = None) -> tuple[int, Any]:
        body = None if document is None else json.dumps(document)
        headers = {} if document is None else {"content-type": APPLY}
        async with self._session.request(
            method, self._base + path, data=body, headers=headers, server_hostname=self._fqdn
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text


def path_of(resource: Resource, document: Document) -> str:
    """Return the URL path of an object."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    metadata = document["metadata"]
    home = f"/namespaces/{metadata['namespace']}" if resource.namespaced else ""
    return f"{root}{home}/{resource.plural}/{metadata['name']}"
