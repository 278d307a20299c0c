"""Forward bytes between two connections unchanged, so that TLS ends at the server behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from weakref import WeakSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A server that terminates TLS itself, and its connections, which may be aborted.

    `opening` is sent first if another proxy leads to the server. The client gets that proxy's answer instead of ours.
    """

    port: int
    connections: WeakSet[asyncio.Transport]
    host: str = "127.0.0.1"
    opening: bytes = b""


class _Pipe(asyncio.Protocol):
    """One end: writes what it receives to the other end."""

    def __init__(self, other: asyncio.Transport | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # narrows the type that create_connection passes
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.resume_reading()

    def eof_received(self) -> bool:
        if self.other is not None and self.other.can_write_eof() and not self.other.is_closing():
            self.other.write_eof()
        return True  # the other direction may still send

    def connection_lost(self, _: Exception | None) -> None:
        if self.other is not None:
            self.other.abort() if self.other.is_closing() else self.other.close()


async def connect(passage: Passage, client: asyncio.Transport, greeting: bytes) -> None:
    """Connect a client, whose reading is paused, with the passage's server. Raises OSError if the server refuses."""
    loop = asyncio.get_running_loop()
    _, there = await loop.create_connection(lambda: _Pipe(client), passage.host, passage.port)
    if client.is_closing():
        if there.transport is not None:
            there.transport.abort()
        return
    passage.connections.add(client)
    client.set_protocol(_Pipe(there.transport))
    if passage.opening and there.transport is not None:
        there.transport.write(passage.opening)
    else:
        client.write(greeting)
    client.resume_reading()
