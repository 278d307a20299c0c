"""The store of records in Azure's own emulator of Blob Storage, Azurite, over HTTPS and with tokens.

Azurite is not part of the tests: `npm install azurite` puts it on a PATH. Without it this is a skip that says so.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import jwt
import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob.aio import ContainerClient

from aks_entra.adapters.http.network import Web
from aks_entra.adapters.records import archive
from aks_entra.adapters.records.azure_blobs import AzureBlobs
from aks_entra.adapters.records.check import check
from aks_entra.adapters.records.folder import FolderBlobs
from aks_entra.adapters.records.store import Records
from aks_entra.errors import AksEntraError
from azure_sandbox.cluster.real.process import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.clients

HOST = "records.blob.core.windows.net"


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


@asynccontextmanager
async def azurite(folder: Path) -> AsyncIterator[int]:
    """Yield the port of an emulator that has the account `records` and a certificate for its host."""
    command = shutil.which("azurite-blob")
    if command is None:
        pytest.skip("azurite is not installed: npm install azurite, and put node_modules/.bin on PATH")
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"),
        *("-keyout", "key.pem", "-out", "cert.pem"),
        cwd=folder,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
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


async def test_records_are_kept_in_blob_storage_as_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with azurite(tmp_path) as port, tunnel(port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))

        def opened(prefix: str = "eu/") -> Records:
            return Records(AzureBlobs(HOST, "kept", prefix, Web(connect=10, read=30), Person()))  # type: ignore[arg-type]

        store = opened()
        with pytest.raises(AksEntraError, match="could not list records in https") as missing:
            await store.append("plan-a", "one", kind="plan")
        assert "records.md" in missing.value.remedy
        web = Web(connect=10, read=30)
        async with ContainerClient(
            f"https://{HOST}", "kept", credential=Person(), transport=web.transport(HOST)
        ) as made:
            await made.create_container()
        await web.close()
        first = await store.append("plan-a", "one", kind="plan")
        second = await store.append("plan-a", "two", kind="plan")
        await store.append("verdict-a", "x" * 100_000, kind="verdict")
        assert await store.versions("plan-a") == (second, first)
        assert await store.newest(["plan-a", "plan-b"]) == {"plan-a": second, "plan-b": None}
        assert [one.key for one in await store.newest_under("")] == ["plan-a", "verdict-a"]
        assert await store.keys("plan-") == ("plan-a",)
        name = (await store.blobs.names("records/plan-a/"))[0]
        await store.blobs.create(name, b"another text")  # Azure refuses to write over it
        assert (await check(store.blobs)).problems == ()
        other = opened("us/")
        assert await other.keys("") == ()
        assert await archive.export(store.blobs, tmp_path / "all.tar.gz") == 3
        assert await archive.bring_in(other.blobs, tmp_path / "all.tar.gz") == (3, 0)
        assert await archive.bring_in(FolderBlobs(tmp_path / "folder"), tmp_path / "all.tar.gz") == (3, 0)
        assert (await check(other.blobs)).state == (await check(FolderBlobs(tmp_path / "folder"))).state
        await store.close()
        await other.close()
