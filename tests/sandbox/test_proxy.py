"""The proxy: hosts that it serves over TLS, hosts that it refuses, and cut connections."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp
import pytest

from azure_sandbox.clock import Clock
from azure_sandbox.faults.requests import Faults, throttled
from azure_sandbox.front.http import Problem, Reply, Request, Router
from azure_sandbox.front.pki import Authority
from azure_sandbox.front.proxy import Exchange, Proxy, Target, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVED = "management.azure.com"
CLUSTER = "shop-01.hcp.westeurope.azmk8s.io"


class ProxySetup:
    """A service and a cluster behind a proxy."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.authority = Authority(self.clock.now())
        self.front = self.authority.server_context([SERVED, CLUSTER])
        self.router = Router("test")
        self.router.add("GET", "/echo/{name}", self.echo)
        self.router.add("POST", "/json", self.read_json)
        self.router.add("POST", "/count", self.count)
        self.counted = 0
        self.router.add("GET", "/broken", self.broken)
        self.router.add("GET", "/refused", self.refused)
        self.held: WeakSet[asyncio.Transport] = WeakSet()
        self.exchanges: list[Exchange] = []
        self.faults = Faults()
        self.proxy = Proxy(self, self.clock, observe=self.exchanges.append, faults=self.faults)

    async def echo(self, request: Request, name: str) -> Reply:
        return Reply(body={"name": name, "path": request.path, "query": dict(request.query), "host": request.host})

    async def read_json(self, request: Request) -> Reply:
        return Reply(body=request.json())

    async def count(self, request: Request) -> Reply:
        self.counted += len(request.body)
        return Reply(204)

    async def broken(self, request: Request) -> Reply:
        raise RuntimeError(request.path)

    async def refused(self, request: Request) -> Reply:
        raise Problem(409, {"error": {"code": "Conflict", "message": request.method}}, {"Retry-After": "1"})

    def target(self, host: str, port: int, network: str) -> Target:  # noqa: ARG002 - it is the same in every network
        if host == SERVED and port == 443:
            return Target(context=self.front, handle=self.router.dispatch)
        if host == CLUSTER:
            return Target(context=self.front, handle=self.router.dispatch, connections=self.held)
        raise Unreachable(403, f"{host}:{port} is not ours")

    def greeting(self, path: str) -> str | None:
        return "hello" if path == "/environment" else None


@asynccontextmanager
async def client(proxied: ProxySetup) -> AsyncIterator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cadata=proxied.authority.pem.decode())
    trust.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 does by default
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(proxy=proxied.proxy.url, connector=connector) as session:
        yield session


@pytest.fixture
async def proxied() -> AsyncIterator[ProxySetup]:
    proxied = ProxySetup()
    await proxied.proxy.start()
    yield proxied
    await proxied.proxy.stop()


async def test_azures_host_names_are_served_over_tls(proxied: ProxySetup) -> None:
    async with client(proxied) as session, session.get(f"https://{SERVED}//echo//a%2Fb%20c?x=1%2B1") as answer:
        assert answer.headers["x-azure-sandbox"] == "true"
        assert await answer.json() == {"name": "a/b c", "path": "/echo/a%2Fb c", "query": {"x": "1+1"}, "host": SERVED}
    assert [(it.host, it.method, it.status) for it in proxied.exchanges] == [(SERVED, "GET", 200)]


async def test_paths_ignore_case(proxied: ProxySetup) -> None:
    async with client(proxied) as session, session.get(f"https://{SERVED}/ECHO/Name/") as answer:
        assert (await answer.json())["name"] == "Name"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/refused", 409, "Conflict"),
        ("POST", "/json", 400, "InvalidRequestContent"),
        ("GET", "/nowhere", 501, "SandboxRouteNotModelled"),
        ("PUT", "/json", 501, "SandboxRouteNotModelled"),
        ("GET", "/broken", 500, "SandboxFailure"),
    ],
)
async def test_refusals_are_json(proxied: ProxySetup, method: str, path: str, status: int, code: str) -> None:
    async with client(proxied) as session, session.request(method, f"https://{SERVED}{path}", data=b"{") as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["code"] == code


async def test_the_501_names_the_methods_of_a_known_path(proxied: ProxySetup) -> None:
    async with client(proxied) as session, session.delete(f"https://{SERVED}/json") as answer:
        assert "modelled for POST" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("url", ["https://example.com/", f"https://{SERVED}:8443/"])
async def test_other_hosts_and_ports_are_refused(proxied: ProxySetup, url: str) -> None:
    async with client(proxied) as session:
        with pytest.raises(aiohttp.ClientHttpProxyError) as caught:
            await session.get(url)
    assert caught.value.status == 403


async def raw(proxied: ProxySetup, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxied.proxy.port)
    writer.write(text)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (b"GET http://example.com/ HTTP/1.1\r\n\r\n", b"403", b"over HTTPS only"),
        (b"CONNECT example.com:x HTTP/1.1\r\n\r\n", b"403", b"example.com:0 is not ours"),
        (b"GET /environment HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200", b"hello"),
        (b"GET /elsewhere HTTP/1.1\r\n\r\n", b"403", b"refused"),
        (b"\r\n\r\n", b"403", b"refused"),
        (b"x" * 20_000, b"431", b"too long"),
    ],
)
async def test_requests_without_tls_are_refused(proxied: ProxySetup, text: bytes, status: bytes, words: bytes) -> None:
    answer = await raw(proxied, text)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert words in answer


async def test_a_request_head_can_arrive_in_pieces(proxied: ProxySetup) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxied.proxy.port)
    for piece in (b"GET /envi", b"ronment HTTP/1.1\r\n", b"\r\n"):
        writer.write(piece)
        await writer.drain()
    assert b"hello" in await reader.read()
    writer.close()


async def test_a_clusters_connections_can_be_cut_while_others_continue(proxied: ProxySetup) -> None:
    async with client(proxied) as session:
        for host in (SERVED, CLUSTER):
            await (await session.get(f"https://{host}/echo/x")).read()
        assert len(proxied.held) == 1
        for transport in list(proxied.held):
            transport.abort()
        for host in (SERVED, CLUSTER):  # the second one over a new connection
            assert (await session.get(f"https://{host}/echo/x")).status == 200


async def test_a_client_that_does_not_trust_the_ca_does_no_harm(proxied: ProxySetup) -> None:
    async with aiohttp.ClientSession(proxy=proxied.proxy.url) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"https://{SERVED}/echo/x")
    async with client(proxied) as session:
        assert (await session.get(f"https://{SERVED}/echo/x")).status == 200


async def test_http_2_is_not_offered(proxied: ProxySetup) -> None:
    trust = ssl.create_default_context(cadata=proxied.authority.pem.decode())
    trust.set_alpn_protocols(["h2", "http/1.1"])
    reader, writer = await asyncio.open_connection("127.0.0.1", proxied.proxy.port)
    writer.write(f"CONNECT {SERVED}:443 HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(trust, server_hostname=SERVED)
    tls: Any = writer.get_extra_info("ssl_object")
    assert tls.selected_alpn_protocol() == "http/1.1"
    writer.write(f"GET /echo/x HTTP/1.1\r\nHost: {SERVED}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["name"] == "x"
    writer.close()


async def test_each_scripted_fault_hits_one_request(proxied: ProxySetup) -> None:
    proxied.faults.add("GET", "/echo/.*", answer=throttled(), times=2)
    proxied.faults.add("POST", "/count$", lost=True)
    proxied.faults.add("DELETE", "/echo", host="*.azmk8s.io")
    async with client(proxied) as session:
        for status in (429, 429, 200):
            async with session.get(f"https://{SERVED}/echo/x") as answer:
                assert answer.status == status
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"https://{SERVED}/count", data=b"1")
        assert (await session.post(f"https://{SERVED}/count", data=b"1")).status == 204
    assert proxied.counted == 2  # the request with the lost answer was executed
    assert [it.method for it in proxied.faults.waiting] == ["DELETE"]
    assert [it.status for it in proxied.exchanges] == [429, 429, 200, 0, 204]


async def test_a_connection_can_be_cut_before_the_service_does_anything(proxied: ProxySetup) -> None:
    proxied.faults.add("*", "/count")
    async with client(proxied) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"https://{SERVED}/count", data=b"1")
    assert proxied.counted == 0
    assert not proxied.faults.waiting
