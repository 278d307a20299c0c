"""Two sandboxes at the same time share no credentials, and neither is reachable from another machine."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from azure_sandbox.entra.tokens import InvalidToken
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World

ARM = "https://management.azure.com"
LISTENING = "0A"
LOOPBACK = "0100007F"  # 127.0.0.1 as /proc writes it


async def subscriptions(proxy: Sandbox, trusted: Sandbox, owner: Sandbox) -> tuple[int, Any]:
    """Return how one sandbox answers a token of another, over TLS that trusts a third."""
    tls = ssl.create_default_context(cafile=str(trusted.folder / "ca.pem"))
    token = owner.tokens.issue(owner.operator.principal, audience=ARM)
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{ARM}/subscriptions?api-version=2022-12-01"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, proxy=proxy.proxy.url, ssl=tls, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def test_credentials_of_one_sandbox_do_not_work_in_another() -> None:
    worlds = [World.model_validate({"version": 1, "subscriptions": [{"name": name}]}) for name in ("one", "two")]
    async with Sandbox(worlds[0]) as one, Sandbox(worlds[1]) as two:
        assert one.proxy.port != two.proxy.port
        assert one.folder != two.folder
        for sandbox, name in ((one, "one"), (two, "two")):
            status, body = await subscriptions(sandbox, sandbox, sandbox)
            assert (status, [it["displayName"] for it in body["value"]]) == (200, [name])
        assert (await subscriptions(one, one, two))[0] == 401
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await subscriptions(two, one, two)
        assert one.operator.secret != two.operator.secret
    assert not one.proxy.url.endswith(":0")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", one.proxy.port)


def sockets() -> set[str]:
    """Return the inodes of this process's sockets."""
    found = (str(it.readlink()) for it in Path("/proc/self/fd").iterdir() if it.is_symlink())
    return {it.removeprefix("socket:[").removesuffix("]") for it in found if it.startswith("socket:")}


def listening(inodes: set[str]) -> list[str]:
    """Return the addresses on which these sockets listen, as the kernel writes them."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return [it[1] for it in rows if it[3] == LISTENING and it[9] in inodes]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux says in /proc who listens where")
async def test_a_sandbox_listens_on_loopback_only() -> None:
    before = sockets()
    async with Sandbox(Path("demo")) as sandbox:
        assert listening(sockets() - before) == [f"{LOOPBACK}:{sandbox.proxy.port:04X}"]


def test_a_token_of_one_sandbox_is_refused_by_another() -> None:
    one, other = Sandbox(), Sandbox()
    audience = "https://management.azure.com"
    token = one.tokens.issue(one.operator.principal, audience=audience)
    assert one.tokens.read(token, frozenset({audience})).oid == one.operator.principal.id
    with pytest.raises(InvalidToken, match="Signature verification failed"):
        other.tokens.read(token, frozenset({audience}))
    assert other.tokens.expired(token) == token
