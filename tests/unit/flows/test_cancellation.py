"""SIGTERM cancels a flow in order: the tasks of its clusters end first, and only then is the run Cancelled."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.states import Completed
from prefect.utilities.engine import capture_sigterm

from flows.rollout.cancellation import cancel_in_order


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class Batch:
    """Two clusters; the first receives SIGTERM in the middle of its own code, as it happens in a busy process."""

    def __init__(self) -> None:
        self.was_cancelled: list[str] = []
        self.begun = asyncio.Event()

    async def cluster(self, name: str, *, signals: int = 0) -> None:
        try:
            if signals:
                await self.begun.wait()
                for _ in range(signals):
                    os.kill(os.getpid(), signal.SIGTERM)
            self.begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await turns(20)  # storing a verdict takes several turns of the loop
            self.was_cancelled.append(name)
            raise

    async def body(self, signals: int = 1) -> State[Any]:
        work = (self.cluster("first", signals=signals), self.cluster("second"))
        await asyncio.gather(*work, return_exceptions=True)
        return Completed()


@pytest.mark.parametrize("signals", [1, 3])
async def test_each_cluster_stores_its_verdict_before_the_run_is_cancelled(signals: int) -> None:
    batch = Batch()
    with capture_sigterm():
        state = await cancel_in_order(batch.body(signals), yes)
    assert state.is_cancelled()
    assert sorted(batch.was_cancelled) == ["first", "second"]


async def test_a_process_that_has_to_go_leaves_a_run_that_can_be_resumed() -> None:
    batch = Batch()
    with capture_sigterm(), pytest.raises(asyncio.CancelledError):
        await cancel_in_order(batch.body(), no)
    assert sorted(batch.was_cancelled) == ["first", "second"]


async def test_prefects_own_handler_is_back_once_the_flow_has_ended() -> None:
    async def body() -> State[Any]:
        return Completed()

    with capture_sigterm():
        before = signal.getsignal(signal.SIGTERM)
        assert (await cancel_in_order(body(), no)).is_completed()
        assert signal.getsignal(signal.SIGTERM) is before
        with pytest.raises(TerminationSignal):
            os.kill(os.getpid(), signal.SIGTERM)


async def test_outside_of_the_main_thread_a_flow_runs_without_signals() -> None:
    async def body() -> State[Any]:
        return Completed()

    assert (await asyncio.to_thread(lambda: asyncio.run(cancel_in_order(body(), no)))).is_completed()
