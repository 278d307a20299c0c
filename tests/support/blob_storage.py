"""Azure Blob Storage for tests: a server in memory, and Azure's own emulator, Azurite. Both use HTTPS and tokens.

The answers of the server in memory are those of Azurite 3.37; `tests/contract/test_record_places.py` runs with both.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from xml.sax.saxutils import escape

import jwt
import pytest
from aiohttp import web
from azure.core.credentials import AccessToken

from azure_sandbox.cluster.real.process import free_port

HOST = "records.blob.core.windows.net"
PAGE = 2
"""How many names the server in memory lists at a time. Azure lists 5,000."""


class Person:
    """A credential with a token as Entra ID makes it. Azurite checks its claims, and not its signature."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        now = int(time.time())
        issued = {
            "iss": "https://sts.windows.net/7c9e2f64/",
            "aud": "https://storage.azure.com",
            "iat": now,
            "nbf": now,
        }
        token = jwt.encode({**issued, "exp": now + 3600}, "a key that nobody checks, and that is long enough", "HS256")
        return AccessToken(token, now + 3600)

    @property
    def runner_credential(self) -> Person:
        return self

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass


@asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[str]:
    """Yield the address of a proxy that leads every CONNECT to one port of this machine."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer), return_exceptions=True)

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def certificate(folder: Path) -> None:
    """Write cert.pem and key.pem for the host of the account."""
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"),
        *("-keyout", "key.pem", "-out", "cert.pem"),
        cwd=folder,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0


class MemoryBlobs:
    """Containers with block blobs. `failures` are answered first, one for each request; 0 loses the response.

    `endless`: each page of a list names the first one as the next. `immutable`: beginnings of names that cannot be
    deleted, each with the error code.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.failures: list[tuple[int, str]] = []
        self.endless = False
        self.immutable: dict[str, str] = {}

    async def answer(self, request: web.Request) -> web.Response:
        container, _, name = request.path.lstrip("/").partition("/")
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return _error(401, "NoAuthenticationInformation")
        status, code = self.failures.pop(0) if self.failures else (None, "")
        if status:
            return _error(status, code)
        reply = await self._answer(request, container, name)
        if status == 0 and request.transport is not None:
            request.transport.close()
        return reply

    async def _answer(self, request: web.Request, container: str, name: str) -> web.Response:
        if request.query.get("restype") == "container" and request.method == "PUT":
            self.blobs.setdefault(container, {})
            return web.Response(status=201, headers=_HEADERS)
        if container not in self.blobs:
            return _error(404, "ContainerNotFound")
        there = self.blobs[container]
        if request.query.get("comp") == "list":
            return _listed(sorted(there), request.query, endless=self.endless)
        if request.method == "PUT":
            return _put(there, name, await request.read(), request.headers)
        if request.method == "DELETE":
            return self._delete(there, name)
        return _read(there, name)

    def _delete(self, there: dict[str, bytes], name: str) -> web.Response:
        if code := next((code for prefix, code in self.immutable.items() if name.startswith(prefix)), ""):
            return _error(409, code)
        if there.pop(name, None) is None:
            return _error(404, "BlobNotFound")
        return web.Response(status=202, headers=_HEADERS)


_HEADERS = {
    "ETag": '"0x8DE2E1B5C0A7F00"',
    "Last-Modified": "Sat, 28 Nov 2026 05:00:00 GMT",
    "x-ms-version": "2026-02-06",
}


def _error(status: int, code: str) -> web.Response:
    text = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml", headers={"x-ms-error-code": code})


def _put(there: dict[str, bytes], name: str, content: bytes, headers: Mapping[str, str]) -> web.Response:
    assert headers["x-ms-blob-type"] == "BlockBlob"
    if name in there and headers.get("If-None-Match") == "*":
        return _error(409, "BlobAlreadyExists")
    there[name] = content
    return web.Response(status=201, headers=_HEADERS)


def _read(there: dict[str, bytes], name: str) -> web.Response:
    if name not in there:
        return _error(404, "BlobNotFound")
    content = there[name]
    whole = {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}", "x-ms-blob-type": "BlockBlob"}
    return web.Response(status=206, body=content, headers=_HEADERS | whole)


def _listed(names: list[str], query: Any, *, endless: bool) -> web.Response:
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    rows: dict[str, str] = {}
    for name in names:
        if not name.startswith(prefix):
            continue
        head, found, _ = name.removeprefix(prefix).partition(delimiter) if delimiter else (name, "", "")
        if found:
            rows[prefix + head + delimiter] = "BlobPrefix"
        else:
            rows[name] = "Blob"
    begin = int(query.get("marker") or 0)
    body = "".join(
        f"<{kind}><Name>{escape(name)}</Name></{kind}>" for name, kind in list(rows.items())[begin : begin + PAGE]
    )
    marker = "0" if endless else str(begin + PAGE) if len(rows) > begin + PAGE else ""
    asked = (
        f"<Prefix>{escape(prefix)}</Prefix><Delimiter>{delimiter}</Delimiter>"  # the SDK asks for the next page by it
    )
    text = f"<EnumerationResults>{asked}<Blobs>{body}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    return web.Response(text=text, content_type="application/xml")


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[tuple[MemoryBlobs, int]]:
    """Yield a server without containers, and its port."""
    await certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    blobs = MemoryBlobs()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", blobs.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield blobs, port
    finally:
        await runner.cleanup()


@asynccontextmanager
async def azurite(folder: Path) -> AsyncIterator[int]:
    """Yield the port of an emulator that has the account `records` and a certificate for its host."""
    command = shutil.which("azurite-blob")
    if command is None:
        pytest.skip("azurite is not installed: npm install azurite, and put node_modules/.bin on PATH")
    await certificate(folder)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        command,
        "--silent",
        "--inMemoryPersistence",
        "--skipApiVersionCheck",
        "--disableTelemetry",
        *("--blobPort", str(port), "--oauth", "basic", "--cert", "cert.pem", "--key", "key.pem"),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"records:{base64.b64encode(b'k' * 64).decode()}"},
    )
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        yield port
    finally:
        process.terminate()
        await process.wait()
