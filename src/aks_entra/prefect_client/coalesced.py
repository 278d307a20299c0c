"""One request for everything that is asked at the same time: request coalescing.

The clusters of a batch often ask Prefect's server the same kind of question within milliseconds, because one list of
Azure tells all of them that an operation ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

_K = TypeVar("_K")
_R = TypeVar("_R")


class CoalescedRequests(Generic[_K, _R]):
    """Sends one request at a time, with the questions of all that asked while the request before was under way.

    Nothing is kept: each answer comes from a request that began after it was asked for. An error of a request reaches
    everybody who asked with it.
    """

    def __init__(self, send: Callable[[frozenset[_K]], Awaitable[Mapping[_K, _R]]]) -> None:
        """`send` is one request; it answers every question that it is given."""
        self._send = send
        self._asked: set[_K] = set()
        self._next: asyncio.Task[Mapping[_K, _R]] | None = None
        self._last: asyncio.Task[Mapping[_K, _R]] | None = None

    async def ask(self, question: _K) -> _R:
        """Return the answer of the next request. Raises what the request raised."""
        self._asked.add(question)
        if self._next is None:
            self._next = asyncio.create_task(self._request(self._last))
            self._next.add_done_callback(_read_error)
        return (await asyncio.shield(self._next))[question]  # a caller that is cancelled does not cancel the others

    async def _request(self, before: asyncio.Task[Mapping[_K, _R]] | None) -> Mapping[_K, _R]:
        if before is not None:
            await asyncio.wait({before})
        asked, self._asked = frozenset(self._asked), set()
        own, self._next = self._next, None
        self._last = own
        try:
            return await self._send(asked)
        finally:
            if self._last is own:
                self._last = None


def _read_error(ended: asyncio.Task[Mapping[_K, _R]]) -> None:
    """Take the error of a request, so that asyncio does not log it when all that asked were cancelled."""
    if not ended.cancelled():
        ended.exception()
