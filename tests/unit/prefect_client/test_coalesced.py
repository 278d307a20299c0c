"""Questions that are asked at the same time share a request, and no answer is older than its question."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from aks_entra.prefect_client.coalesced import CoalescedRequests


class Server:
    """Answers each question with the number of the request; a request lasts until it is let go."""

    def __init__(self) -> None:
        self.requests: list[frozenset[str]] = []
        self.sent = asyncio.Queue[int]()
        self.answers = asyncio.Queue[Exception | None]()

    async def send(self, asked: frozenset[str]) -> Mapping[str, int]:
        self.requests.append(asked)
        number = len(self.requests)
        self.sent.put_nowait(number)
        error = await self.answers.get()
        if error is not None:
            raise error
        return dict.fromkeys(asked, number)


async def test_what_is_asked_while_a_request_is_under_way_waits_for_the_next_one() -> None:
    server = Server()
    coalesced = CoalescedRequests(server.send)
    first = [asyncio.create_task(coalesced.ask(name)) for name in ("a", "b", "a")]
    assert await server.sent.get() == 1
    later = [asyncio.create_task(coalesced.ask(name)) for name in ("a", "c")]
    await asyncio.sleep(0)
    assert server.requests == [{"a", "b"}]
    server.answers.put_nowait(None)
    assert await asyncio.gather(*first) == [1, 1, 1]
    assert await server.sent.get() == 2
    server.answers.put_nowait(None)
    assert await asyncio.gather(*later) == [2, 2]
    assert server.requests == [{"a", "b"}, {"a", "c"}]


async def test_an_error_reaches_all_that_asked_with_it_and_nobody_else() -> None:
    server = Server()
    coalesced = CoalescedRequests(server.send)
    lost = [asyncio.create_task(coalesced.ask(name)) for name in ("a", "b")]
    assert await server.sent.get() == 1
    later = asyncio.create_task(coalesced.ask("a"))
    await asyncio.sleep(0)
    server.answers.put_nowait(OSError("away"))
    server.answers.put_nowait(None)
    assert [str(one) for one in await asyncio.gather(*lost, return_exceptions=True)] == ["away", "away"]
    assert await later == 2


async def test_one_that_is_cancelled_leaves_the_request_to_the_others() -> None:
    server = Server()
    coalesced = CoalescedRequests(server.send)
    stopped, other = asyncio.create_task(coalesced.ask("a")), asyncio.create_task(coalesced.ask("b"))
    assert await server.sent.get() == 1
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    server.answers.put_nowait(None)
    assert await other == 1
    assert server.requests == [{"a", "b"}]
