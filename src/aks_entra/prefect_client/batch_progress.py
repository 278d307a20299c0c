"""What a batch notes about its clusters while it works, for those who follow its rollout.

One small artifact of the batch is written again at most every few seconds. Those who follow read it, and never the task
runs, of which a thousand clusters have ten thousand. Nothing is decided by it, and a note that cannot be written delays
nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import moment, stamp
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.progress import (
    NOTE,
    BatchProgress,
    ClusterProgress,
    StepProgress,
    StepState,
    with_verdict,
)
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.documents.progress import dump_progress, load_progress
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.names import key
from aks_entra.prefect_client.progress import now

PATIENCE: Final = 10.0
"""Seconds after which a write is given up. The next one has what it had, and more."""
_log: Final = logging.getLogger(__name__)
_PREFIX: Final = "batch-progress"


class BatchTracker:
    """Knows what each cluster of a batch does now."""

    def __init__(self, plan: FleetPlan, clusters: Iterable[ClusterId], *, clock: Callable[[], datetime] = now) -> None:
        self._plan, self._clock = plan, clock
        self._clusters = {one.key: ClusterProgress(cluster=str(one), key=one.key) for one in clusters}
        self.changed = asyncio.Event()
        self.changed.set()

    @contextmanager
    def step(self, cluster: ClusterId, title: str) -> Iterator[None]:
        """Note that a part of a step begins, and how it ends."""
        began = stamp(self._clock())
        before = self._clusters[cluster.key].steps
        state = StepState.FAILED
        self._note(cluster, (*before, StepProgress(title=title, began=began)))
        try:
            yield
            state = StepState.DONE
        except asyncio.CancelledError:
            state = StepState.STOPPED
            raise
        finally:
            seconds = max((self._clock() - moment(began)).total_seconds(), 0.0)
            ended = StepProgress(title=title, began=began, state=state, seconds=seconds)
            self._note(cluster, (*before, ended))

    def give(self, *verdicts: Verdict) -> None:
        """Note the verdicts of clusters."""
        for verdict in verdicts:
            known = self._clusters[verdict.cluster.key]
            self._clusters[known.key] = with_verdict(known, self._plan, verdict)
            self.changed.set()

    @property
    def progress(self) -> BatchProgress:
        """The progress of the batch now."""
        return BatchProgress(plan=self._plan.digest, clusters=tuple(self._clusters.values()))

    def _note(self, cluster: ClusterId, steps: tuple[StepProgress, ...]) -> None:
        self._clusters[cluster.key] = replace(self._clusters[cluster.key], steps=steps)
        self.changed.set()


@asynccontextmanager
async def noted(tracker: BatchTracker) -> AsyncIterator[None]:
    """Note the progress of the present batch whenever it changed, and once more at its end."""
    note = artifacts.Renewed(key(_PREFIX, str(artifacts.own_flow_run())), kind="progress")

    async def write() -> None:
        await note.put(dump_progress(tracker.progress))

    every = NOTE.seconds(len(tracker.progress.clusters))
    writing = asyncio.create_task(write_changes(tracker.changed, write, every=every))
    try:
        yield
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
    await _write(write)


async def write_changes(
    changed: asyncio.Event,
    write: Callable[[], Awaitable[None]],
    *,
    every: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Write after each change, at most every so many seconds, until cancelled. A write that failed is repeated."""
    while True:
        await changed.wait()
        changed.clear()
        if not await _write(write):
            changed.set()
        await sleep(every)


async def _write(write: Callable[[], Awaitable[None]]) -> bool:
    """Write, and return whether that was possible. Those who follow may see an old state; the batch goes on."""
    try:
        async with asyncio.timeout(PATIENCE):
            await write()
    except Exception as error:  # noqa: BLE001 - whatever it is, no cluster waits for it
        _log.info("the progress of this run could not be noted: %s", type(error).__name__)
        return False
    return True


async def progress_of_batches(client: PrefectClient, batches: tuple[UUID, ...]) -> dict[UUID, BatchProgress]:
    """Return what these batches noted, with one query for 200 of them. One that cannot be read is left out."""
    found: dict[UUID, BatchProgress] = {}
    for one in await artifacts.of_runs(client, batches, _PREFIX):
        if one.flow_run is not None:
            with suppress(Refused):
                found[one.flow_run] = load_progress(one.text)
    return found
