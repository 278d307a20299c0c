"""The same work on many things, with a bound on how many run at a time."""

from __future__ import annotations

import asyncio

import pytest

from aks_entra.bounded_gather import bounded_gather


async def test_no_more_run_at_a_time_than_the_bound_and_results_keep_their_order() -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - number):
            await asyncio.sleep(0)
        running -= 1
        return number * 10

    assert await bounded_gather(work, range(6), at_once=2) == (0, 10, 20, 30, 40, 50)
    assert most == 2


async def test_the_first_error_is_raised() -> None:
    async def work(number: int) -> int:
        if number == 1:
            raise ValueError(f"number {number}")
        return number

    with pytest.raises(ValueError, match="number 1"):
        await bounded_gather(work, range(3), at_once=3)
