"""Follows a flow run to its end, and notices when its process dies or no worker takes it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from aks_entra.prefect_client.leases import free
from aks_entra.prefect_client.liveness import SilenceWatch, liveness_of, set_to_crashed

PATIENCE: Final = 90.0
"""Seconds in which a worker has taken a batch, if it has a free place."""


class Underway:
    """The batches of one stage that a coordinator follows: how many have begun and not ended."""

    def __init__(self, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._runs: set[UUID] = set()
        self._idle_since = clock()

    def note(self, run: FlowRun) -> None:
        """Note one more look at a batch."""
        begun = run.state is not None and not run.state.is_scheduled() and not run.state.is_final()
        (self._runs.add if begun else self._runs.discard)(run.id)
        if self._runs:
            self._idle_since = self._clock()

    @property
    def idle(self) -> bool:
        """Whether none of the batches has been underway for as long as the patience lasts."""
        return self._clock() - self._idle_since > self._patience


class NotTaken(Exception):
    """No worker has taken a batch for `PATIENCE`, nor is any other batch of its stage underway."""


async def await_end(run: UUID, *, every: float, underway: Underway | None = None) -> FlowRun:
    """Follow one run, with one query per poll, until it ended. If its process is gone, set it to Crashed.

    `underway`: the batches among which it is one. Raises NotTaken if they are idle.
    """
    watch, underway = SilenceWatch(), underway or Underway(patience=math.inf)
    async with get_client() as client:
        while True:
            found = await client.read_flow_run(run)
            underway.note(found)
            if found.state is not None and found.state.is_final():
                if found.state.is_crashed():
                    await free(client, (found.id,))
                return found
            if watch.dead(found, await liveness_of(client, found)):
                await set_to_crashed(client, (found,))
                continue
            if found.state is not None and found.state.is_scheduled() and underway.idle:
                raise NotTaken
            await asyncio.sleep(every)
