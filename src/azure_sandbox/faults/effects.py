"""What a scripted fault does to a request: delays, cut connections and changed answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from azure_sandbox.faults.requests import Fault, Faults
from azure_sandbox.front.http import Reply, Request

PIECES = 8
POLL_INTERVAL = 0.05  # seconds between two checks whether the client has disconnected

Serve = Callable[[Request], Awaitable[Reply]]


async def strike(  # noqa: PLR0911  # one answer per kind
    fault: Fault, faults: Faults, request: Request, serve: Serve, gone: Callable[[], bool]
) -> Reply | None:
    """Return the answer to a request that a fault hits. None means that the connection is cut."""
    match fault.kind:
        case "hang":
            await _wait(fault.seconds, gone)
            return None
        case "slow":
            return _slowly(await serve(request), fault.seconds)
        case "truncated":
            return _cut(await serve(request))
        case "token-expired":
            return await serve(_with_old_token(request, faults))
        case "other-writer":
            faults.interfere(request, fault.change)
            return await serve(request)
        case "lost":
            await serve(request)
            return fault.answer
        case "status" | "reset" | "throttle" | "identity-throttle" | "etag-mismatch":
            return fault.answer


async def _wait(seconds: float, gone: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not gone() and loop.time() < until:  # noqa: ASYNC110  # a transport has no event for its end
        await asyncio.sleep(POLL_INTERVAL)


def _slowly(reply: Reply, seconds: float) -> Reply:
    body, kind = reply.encoded()
    size = max(1, -(-len(body) // PIECES))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            await asyncio.sleep(seconds / PIECES)
            yield body[start : start + size]

    headers = {**({"content-type": kind} if kind else {}), **reply.headers}
    return Reply(reply.status, None, headers, stream=pieces())


def _cut(reply: Reply) -> Reply:
    body, kind = reply.encoded()
    return Reply(reply.status, body[: len(body) // 2], {**({"content-type": kind} if kind else {}), **reply.headers})


def _with_old_token(request: Request, faults: Faults) -> Request:
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "bearer":
        return request
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers["authorization"] = f"Bearer {faults.expire(token)}"
    return replace(request, headers=headers)
