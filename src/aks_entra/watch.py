"""Shared, batched waiting: one list call per subscription and interval says when to look at which cluster.

A list never says how something ended: that is read from the operation's own URL, or, when the URL was lost, from the
cluster itself once it is at rest. Time comes from the Clock port alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.errors import AksEntraError, TryLater
from aks_entra.ports import Clock, ControlPlane, Operation, OperationState

_GONE: Final = 404
_LOOK_ANYWAY: Final = 10
"""After so many lists that show no rest the operation is asked all the same: somebody else's may have followed it."""


@dataclass(slots=True)
class _Round:
    """One list to come, and who waits for it."""

    listing: asyncio.Task[dict[str, bool]]
    waiting: int = field(default=0)


class Watch:
    """Waits for many clusters at the price of one list per subscription every `every` seconds, and none when idle.

    One wait that takes longer than `limit` seconds ends in TryLater: whoever comes back attaches to it again.
    """

    def __init__(self, arm: ControlPlane, clock: Clock, every: float, *, limit: float = 7200.0) -> None:
        self._arm = arm
        self._clock = clock
        self._every = every
        self._limit = limit
        self._rounds: dict[str, _Round] = {}

    async def settled(self, operation: Operation) -> OperationState:
        """How the operation ended. With a lost URL (empty, or 404) the cluster's own state at rest is the answer."""
        began = self._clock.now()
        while operation.url:
            self._within_limit(began, operation.cluster)
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
                return state
        posture = await self.at_rest(operation.cluster)
        return OperationState(status=posture.provisioning_state)

    async def at_rest(self, cluster: ClusterId) -> Posture:
        """The cluster (read by itself) once no operation of ARM is under way on it or its pools."""
        began = self._clock.now()
        while True:
            self._within_limit(began, cluster)
            try:
                posture = await self._arm.cluster(cluster)
            except TryLater as error:
                await self._clock.sleep(error.after)
                continue
            if posture.at_rest:
                return posture
            await self._until_worth_a_look(cluster)

    def _within_limit(self, began: datetime, cluster: ClusterId) -> None:
        if (self._clock.now() - began).total_seconds() > self._limit:
            raise TryLater(
                f"an operation is still running after {self._limit / 60:.0f} minutes",
                after=self._every,
                cluster=str(cluster),
                remedy="look at the cluster's activity log; when it has ended, run the plan again",
            )

    async def _until_worth_a_look(self, cluster: ClusterId) -> None:
        """Return when a list shows the cluster at rest or not at all, or after several that do not."""
        for _ in range(_LOOK_ANYWAY):
            if (await self._next_list(cluster.subscription_id)).get(cluster.key, True):
                return

    async def _next_list(self, subscription_id: str) -> dict[str, bool]:
        """Share the subscription's next list: which clusters are at rest. Nobody waiting any more: it is called off."""
        key = subscription_id.lower()
        coming = self._rounds.get(key)
        if coming is None:
            coming = self._rounds[key] = _Round(asyncio.create_task(self._list(subscription_id)))
        coming.waiting += 1
        try:
            return await asyncio.shield(coming.listing)
        finally:
            coming.waiting -= 1
            if coming.listing.done() or not coming.waiting:
                coming.listing.cancel()
                if self._rounds.get(key) is coming:
                    del self._rounds[key]

    async def _list(self, subscription_id: str) -> dict[str, bool]:
        after = self._every
        while True:
            await self._clock.sleep(after)
            try:
                return {
                    posture.cluster.key: posture.at_rest async for posture in self._arm.list_clusters(subscription_id)
                }
            except TryLater as error:
                after = error.after
            except AksEntraError:
                return {}  # no right to list the subscription: everybody looks for himself, at the same interval
