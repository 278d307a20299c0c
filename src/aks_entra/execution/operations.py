"""Wait for operations of many clusters with one list call for each subscription and poll interval.

A list shows when to look at a cluster, but never how an operation ended. That is read from the operation's own URL, or
from the cluster at rest if the URL was lost. Time comes from the Clock port alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aks_entra.core.cluster import ClusterId, Posture, is_terminal
from aks_entra.core.durations import exact_stamp, in_words
from aks_entra.errors import AksEntraError, TryLater
from aks_entra.ports.migration import Clock, ControlPlane, NoLog, RunLog
from aks_entra.ports.operations import Operation, OperationState

_GONE: Final = 404
_LOOK_ANYWAY: Final = 40
"""After this many lists without rest, read the operation itself: another operation may have followed it.

The step has to wait for the end of that one as well, so an earlier look would only tell a failure earlier.
"""


@dataclass(slots=True)
class _Round:
    """The next list call, and how many callers wait for it. Nobody joins it once the list was `asked` for."""

    waiting: int = field(default=0)
    asked: bool = field(default=False)
    listing: asyncio.Task[dict[str, bool]] = field(init=False)


class Watch:
    """Waits for many clusters with one list call for each subscription, and none when idle.

    `poll_interval` is the time between two lists in seconds. A wait of more than `timeout` seconds raises TryLater. The
    next call waits for the same operation again. `log` gets a line when a wait begins, and one when it ends.
    """

    def __init__(
        self,
        arm: ControlPlane,
        clock: Clock,
        poll_interval: float,
        *,
        timeout: float = 7200.0,
        log: RunLog | None = None,
    ) -> None:
        self._arm = arm
        self._clock = clock
        self._poll_interval = poll_interval
        self._timeout = timeout
        self._log = NoLog() if log is None else log
        self._rounds: dict[str, _Round] = {}
        self._running: dict[tuple[str, str], datetime] = {}

    async def settled(self, operation: Operation) -> OperationState:
        """Return how the operation ended. If its URL is lost (empty, or 404), return the cluster's state at rest."""
        began = self._clock.now()
        trace = f" (correlation id {operation.correlation_id})" if operation.correlation_id else ""
        self._log.say(operation.cluster, f"Azure accepted the write{trace}; the step waits for its end")
        while operation.url:
            self._within_timeout(began, operation.cluster)
            await self._until_worth_a_look(operation.cluster)
            try:
                state = await self._arm.operation(operation)
            except TryLater as error:
                await self._clock.sleep(error.after)
                continue
            except AksEntraError as error:
                if error.status != _GONE:
                    raise
                break
            if state.terminal:
                self._log.say(
                    operation.cluster, f"the operation ended {state.status} after {self._since(began)}{trace}"
                )
                return state
        posture = await self.at_rest(operation.cluster)
        return OperationState(status=posture.provisioning_state)

    async def at_rest(self, cluster: ClusterId) -> Posture:
        """Read the cluster once no ARM operation runs on it or its pools."""
        return (await self.found_and_at_rest(cluster))[1]

    async def found_and_at_rest(self, cluster: ClusterId) -> tuple[Posture, Posture]:
        """Return the cluster as it is now, and once no ARM operation runs on it or its pools. Often they are one."""
        began, found = self._clock.now(), None
        while True:
            self._within_timeout(began, cluster)
            try:
                posture = await self._read(cluster)
            except TryLater as error:
                await self._clock.sleep(error.after)
                continue
            if posture.at_rest:
                if found is not None:
                    self._log.say(cluster, f"the cluster is at rest after {self._since(began)}: {_state(posture)}")
                return found or posture, posture
            if found is None:
                self._log.say(cluster, f"the step waits until no operation runs on the cluster: {_state(posture)}")
            found = found or posture
            await self._until_worth_a_look(cluster)

    def running_until(self, cluster: ClusterId, state: str, *, asked_at: str = "") -> str:
        """Return when an operation was last known to run, as evidence writes it; empty if it never ran.

        That is when a cluster was last seen in the operation's provisioning state (lower case), or when this process
        asked for the operation.
        """
        seen = self._running.get((cluster.key, state))
        return max(asked_at, exact_stamp(seen) if seen else "")

    async def _read(self, cluster: ClusterId) -> Posture:
        asked = self._clock.now()
        posture = await self._arm.cluster(cluster)
        self._note(posture, asked)
        return posture

    def _note(self, posture: Posture, asked: datetime) -> None:
        if not is_terminal(posture.provisioning_state):
            self._running[posture.cluster.key, posture.provisioning_state.casefold()] = asked

    def _since(self, began: datetime) -> str:
        return in_words(int((self._clock.now() - began).total_seconds()))

    def _within_timeout(self, began: datetime, cluster: ClusterId) -> None:
        if (self._clock.now() - began).total_seconds() > self._timeout:
            raise TryLater(
                f"an operation is still running after {self._timeout / 60:.0f} minutes",
                after=self._poll_interval,
                cluster=str(cluster),
                remedy="look at the cluster's activity log; when it has ended, run the plan again",
            )

    async def _until_worth_a_look(self, cluster: ClusterId) -> None:
        """Return when a list shows the cluster at rest or does not show it, or after several lists."""
        for _ in range(_LOOK_ANYWAY):
            if (await self._next_list(cluster.subscription_id)).get(cluster.key, True):
                return

    async def _next_list(self, subscription_id: str) -> dict[str, bool]:
        """Return which clusters the subscription's next list shows at rest. Cancel it once nobody waits for it.

        A list that was asked for already may be older than the write that a caller waits for.
        """
        key = subscription_id.lower()
        coming = self._rounds.get(key)
        if coming is None or coming.asked:
            coming = self._rounds[key] = _Round()
            coming.listing = asyncio.create_task(self._list(subscription_id, coming))
        coming.waiting += 1
        try:
            return await asyncio.shield(coming.listing)
        finally:
            coming.waiting -= 1
            if coming.listing.done() or not coming.waiting:
                coming.listing.cancel()
                if self._rounds.get(key) is coming:
                    del self._rounds[key]

    async def _list(self, subscription_id: str, mine: _Round) -> dict[str, bool]:
        after = self._poll_interval
        while True:
            mine.asked = False
            await self._clock.sleep(after)
            mine.asked = True
            asked, found = self._clock.now(), dict[str, bool]()
            try:
                async for posture in self._arm.list_clusters(subscription_id):
                    self._note(posture, asked)
                    found[posture.cluster.key] = posture.at_rest
            except TryLater as error:
                after = error.after
            except AksEntraError:
                return {}  # without the right to list, each caller reads its own cluster at the same interval
            else:
                return found


def _state(posture: Posture) -> str:
    return f"provisioningState {posture.provisioning_state}"
