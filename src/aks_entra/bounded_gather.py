"""The same work on many things at once, with a bound on how many run at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


async def bounded_gather(work: Callable[[_T], Awaitable[_R]], things: Iterable[_T], *, at_once: int) -> tuple[_R, ...]:
    """Run `work` on each thing, at most `at_once` at a time.

    Returns:
        The results, in the order of the things.

    Raises:
        Exception: the first error of any `work`, as `asyncio.gather` does. The rest goes on: let `work` turn errors
            that concern one thing only into its result.
    """
    places = asyncio.Semaphore(at_once)

    async def one(thing: _T) -> _R:
        async with places:
            return await work(thing)

    return tuple(await asyncio.gather(*(one(thing) for thing in things)))
