"""A CONNECT proxy on loopback that terminates TLS for Azure's real names and refuses every other host.

A client needs `HTTPS_PROXY` and the CA bundle, nothing else. Each connection gets its own SSL context, so that the next
connection sees a cluster's rotated certificates and no TLS session survives the rotation.
"""

from __future__ import annotations

import asyncio
import binascii
import logging
import re
import ssl
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from aiohttp import web

from azure_sandbox.clock import Clock
from azure_sandbox.faults.effects import strike
from azure_sandbox.faults.requests import Faults
from azure_sandbox.front.http import MARK, Reply, Request, on_one_line, split_path
from azure_sandbox.front.traffic_report import NOT_MODELLED, Exchange, exchange_of
from azure_sandbox.front.tunnel import Passage, connect
from azure_sandbox.front.web_server import Server, body_of

__all__ = ["Exchange", "Proxy", "Target", "Unreachable"]

LONGEST_HEAD = 16 * 1024
HANDSHAKE = 10.0  # seconds
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
NETWORK = re.compile(rb"^proxy-authorization:[ \t]*basic[ \t]+(\S+)", re.IGNORECASE | re.MULTILINE)
CUT = 0  # status of an exchange whose connection was cut

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What serves a host: TLS context of one new connection, handler, and the connections that may be aborted."""

    context: ssl.SSLContext
    handle: Callable[[Request], Awaitable[Reply]]
    connections: WeakSet[asyncio.Transport] | None = None


class Unreachable(Exception):
    """Nothing serves this name. The CONNECT is answered with `status` and the message."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Hosts(Protocol):
    """Finds what serves a host."""

    def target(self, host: str, port: int, network: str) -> Target | Passage:
        """Return what serves a host for a client in a network, which has a name or is "". Raises Unreachable."""

    def greeting(self, path: str) -> str | None:
        """Return the proxy's own answer to a direct `GET path`. Returns None if it has no answer for the path."""


class Proxy:
    """The proxy on 127.0.0.1. `port` 0 picks a free port. `mark`: headers that each answer carries."""

    def __init__(
        self,
        hosts: Hosts,
        clock: Clock,
        *,
        port: int = 0,
        observe: Callable[[Exchange], None] | None = None,
        faults: Faults | None = None,
        mark: Mapping[str, str] = MARK,
    ) -> None:
        self.hosts = hosts
        self._mark = mark
        self._faults = faults or Faults()
        self.port = port
        self._clock = clock
        self._observe = observe
        self._listener: asyncio.Server | None = None
        self._transports: WeakSet[asyncio.Transport] = WeakSet()
        self._handing_over: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Return the value for `HTTPS_PROXY`."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start listening."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Front(self), "127.0.0.1", self.port, backlog=1024)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and close every connection."""
        if self._listener is not None:
            self._listener.close()
        for transport in list(self._transports):
            transport.abort()
        await asyncio.gather(*self._handing_over, return_exceptions=True)
        if self._listener is not None:
            await self._listener.wait_closed()

    def opened(self, transport: asyncio.Transport) -> None:
        """Track a connection until it is closed."""
        self._transports.add(transport)

    def run(self, handing_over: Coroutine[None, None, None]) -> None:
        """Keep a reference to the hand-over of a connection until it is done."""
        task = asyncio.get_running_loop().create_task(handing_over)
        self._handing_over.add(task)
        task.add_done_callback(self._handing_over.discard)

    def passed(self, host: str) -> None:
        """Report a connection whose requests are encrypted end to end and cannot be read here."""
        if self._observe is not None:
            self._observe(Exchange(at=self._clock.now(), host=host, method="CONNECT", path="", status=200))

    def server(self, host: str, target: Target) -> web.Server:
        """Return the HTTP server of one connection to a host."""

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            begun = time.monotonic()
            refusal: Reply | None = None
            try:
                body = await body_of(request)
            except web.HTTPRequestEntityTooLarge as error:
                body, refusal = b"", _too_large(error)
            asked = self._read(host, request, body)
            reply = await self._reply(target, asked, request) if refusal is None else refusal
            if self._observe is not None:
                took = round((time.monotonic() - begun) * 1000)
                status = CUT if reply is None else reply.status
                told = exchange_of(asked, self._clock.now(), status, words=_words(reply), milliseconds=took)
                self._observe(told)
            if reply is None:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            if reply.stream is not None:
                return await _streamed(reply, reply.stream, request, self._mark)
            return _response(reply, self._mark)

        return Server(answer, self._mark)

    async def _reply(self, target: Target, asked: Request, request: web.BaseRequest) -> Reply | None:
        """Return the service's answer, as changed by a fault. None means that the connection is cut."""
        fault = self._faults.take(asked)
        if fault is None:
            return await _answered(target, asked)

        def gone() -> bool:
            return request.transport is None or request.transport.is_closing()

        return await strike(fault, self._faults, asked, lambda it: _answered(target, it), gone)

    def _read(self, host: str, request: web.BaseRequest, body: bytes) -> Request:
        tls = request.get_extra_info("ssl_object")
        return Request(
            method=request.method,
            host=host,
            path=split_path(request.raw_path.partition("?")[0]),
            raw_path=request.raw_path,
            query=dict(request.query),
            headers=request.headers,
            body=body,
            peer_certificate=tls.getpeercert(binary_form=True) if tls is not None else None,
            now=self._clock.now(),
        )


async def _answered(target: Target, request: Request) -> Reply:
    try:
        return await target.handle(request)
    except Exception:  # noqa: BLE001  # the client gets a 500, the log the traceback
        _log.exception("%s %s%s failed", request.method, request.host, on_one_line(request.path))
        return Reply(
            500, {"error": {"code": "SandboxFailure", "message": "The sandbox failed. Its log shows the error."}}
        )


def _too_large(error: web.HTTPRequestEntityTooLarge) -> Reply:
    """Return the answer to a body that no service reads to its end."""
    return Reply(413, {"error": {"code": "RequestEntityTooLarge", "message": error.text}}, {"Connection": "close"})


def _words(reply: Reply | None) -> str:
    """Return the reason that a 501 states. Returns an empty string for other replies."""
    if reply is None or reply.status != NOT_MODELLED or not isinstance(reply.body, dict):
        return ""
    error = reply.body.get("error", reply.body)
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def _response(reply: Reply, mark: Mapping[str, str]) -> web.Response:
    body, content_type = reply.encoded()
    headers = {**mark, **reply.headers}
    if content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    return web.Response(status=reply.status, body=body or None, headers=headers)


async def _streamed(
    reply: Reply, stream: AsyncIterator[bytes], request: web.BaseRequest, mark: Mapping[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers={**mark, **reply.headers})
    await response.prepare(request)
    try:
        async for piece in stream:
            if request.transport is None or request.transport.is_closing():
                break
            if piece:
                await response.write(piece)
        await response.write_eof()
    except (ConnectionError, RuntimeError):  # the client has disconnected; aiohttp raises either one
        pass
    return response


class _Front(asyncio.Protocol):
    """One connection, until it is handed over to the HTTP server behind TLS."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # narrows the type that create_server passes
        self._transport = transport
        self._proxy.opened(transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._head += data
        if b"\r\n\r\n" not in self._head:
            if len(self._head) > LONGEST_HEAD:
                self._refuse(431, "the request's head is too long")
            return
        line = self._head.split(b"\r\n", 1)[0].decode("latin-1")
        method, _, rest = line.partition(" ")
        address = rest.partition(" ")[0]
        if method != "CONNECT":
            self._answer_directly(method, address)
            return
        host, _, port = address.rpartition(":")
        host = host.lower().rstrip(".")
        try:
            target = self._proxy.hosts.target(host, int(port) if port.isdecimal() else 0, _network(self._head))
        except Unreachable as reason:
            self._refuse(reason.status, str(reason))
            return
        self._proxy.run(self._pass(host, target) if isinstance(target, Passage) else self._hand_over(host, target))

    async def _pass(self, host: str, passage: Passage) -> None:
        transport = self._transport
        assert transport is not None  # noqa: S101  # data has arrived, so there is a transport
        transport.pause_reading()
        try:
            await connect(passage, transport, ESTABLISHED)
        except OSError as error:
            self._refuse(502, f"the API server {host} does not answer: {error.strerror}")
            return
        self._proxy.passed(host)

    async def _hand_over(self, host: str, target: Target) -> None:
        transport = self._transport
        assert transport is not None  # noqa: S101  # data has arrived, so there is a transport
        transport.pause_reading()
        transport.write(ESTABLISHED)
        if target.connections is not None:
            target.connections.add(transport)
        protocol = self._proxy.server(host, target)()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, protocol, target.context, server_side=True, ssl_handshake_timeout=HANDSHAKE
            )
        except (ssl.SSLError, OSError, TimeoutError):
            transport.abort()
            return
        if secured is not None and not secured.is_closing():  # None or closing: aborted during the handshake
            protocol.connection_made(secured)

    def _answer_directly(self, method: str, address: str) -> None:
        words = self._proxy.hosts.greeting(address) if method == "GET" and address.startswith("/") else None
        if words is None:
            self._refuse(403, f"the sandbox serves Azure over HTTPS only; {method} {address} was refused")
        else:
            self._say(200, "OK", words)

    def _refuse(self, status: int, words: str) -> None:
        reasons = {403: "Forbidden", 431: "Request Header Fields Too Large", 502: "Bad Gateway"}
        reason = reasons.get(status, "Gateway Timeout")
        self._say(status, reason, f"azure sandbox: {on_one_line(words)}\n")

    def _say(self, status: int, reason: str, words: str) -> None:
        assert self._transport is not None  # noqa: S101  # called after connection_made
        body = words.encode()
        head = (
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nX-Azure-Sandbox: true\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.close()


def _network(head: bytes) -> str:
    """Return the network that a client names as the user name of the proxy. Empty if it names none."""
    sent = NETWORK.search(head)
    try:
        return b64decode(sent[1]).decode().partition(":")[0] if sent else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
