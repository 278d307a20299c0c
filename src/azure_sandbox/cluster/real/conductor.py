"""Makes one cluster's processes what the cluster already is: keys, settings, objects. It decides nothing itself.

The cluster's timeline says what happens and waits for us after each step, so that an operation of Azure is not over
before the control plane has caught up with it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import ClientError

from azure_sandbox.clock import Clock
from azure_sandbox.cluster.real.instance import DidNotStart, Instance
from azure_sandbox.cluster.real.mirror import Mirror
from azure_sandbox.cluster.real.recipe import Recipe

if TYPE_CHECKING:
    from azure_sandbox.cluster.real.plant import Plant
    from azure_sandbox.cluster.service import ApiServer

ATTEMPTS = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """What is to be, or has been, realized; None instead of it is a cluster without a running API server."""

    recipe: Recipe
    objects: str  # the store's version


class Conductor:
    """The front of one cluster."""

    def __init__(self, server: ApiServer, plant: Plant, clock: Clock, number: int) -> None:
        self._server = server
        self._plant = plant
        self._clock = clock
        self._number = number
        self._runs = 0
        self._realized: State | None = None
        self._instance: Instance | None = None
        self._mirror = Mirror(server.store)
        self._awake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._failed = ""
        self.restarted = asyncio.Event()  # set once it runs again after it had died by itself

    @property
    def port(self) -> int | None:
        """Where it serves; None while it does not, or still with other keys."""
        it = self._instance
        if it is None or not it.process.alive or it.recipe.generation is not self._server.keys:
            return None
        return it.port

    @property
    def failed(self) -> str:
        """Why it will not serve any more; empty while it may."""
        return self._failed

    @property
    def pids(self) -> frozenset[int]:
        """Its processes."""
        return frozenset() if self._instance is None else frozenset({self._instance.process.pid})

    def behind(self) -> bool:
        """Whether it has not caught up. One that has failed for good holds nothing up."""
        return not self._failed and self._realized != self._wanted()

    def wake(self) -> None:
        """Look whether there is something to do."""
        if self.behind():
            self._caught_up.clear()
            self._awake.set()

    def start(self) -> None:
        """Begin to follow the cluster."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def caught_up(self) -> None:
        """Wait until it is what the cluster is; raises DidNotStart when it cannot become that."""
        await self._caught_up.wait()
        if self._failed:
            raise DidNotStart(self._failed)

    def retire(self) -> None:
        """The cluster is gone: so is its control plane, soon."""
        self._plant.dismiss(self)

    async def stop(self) -> None:
        """End everything of it; the cluster no longer waits for it."""
        self._server.front = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._stop_instance()

    def _wanted(self) -> State | None:
        server = self._server
        if not server.up:
            return None
        _ = server.machines
        return State(recipe=Recipe.of(server.keys, server.regime), objects=server.store.version)

    async def _follow(self) -> None:
        while True:
            self._awake.clear()
            self._server.settle()
            if self.behind():
                await self._try()
                continue
            self._caught_up.set()
            await self._rest()

    async def _rest(self) -> None:
        """Until something happens to the cluster, or to the process."""
        waits: list[asyncio.Task[object]] = [asyncio.create_task(self._awake.wait())]
        if self._instance is not None and not self._failed:
            waits.append(asyncio.create_task(self._instance.process.ended()))
        try:
            await asyncio.wait(waits, timeout=self._until_next(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for it in waits:
                it.cancel()
        if self._instance is not None and not self._instance.process.alive and not self._failed:
            _log.warning("kube-apiserver of %s ended by itself; it is started again", self._server.fqdn)
            self._failures += 1
            await self._stop_instance()
            self._realized = None
            self.restarted.clear()
            await self._try()
            self.restarted.set()

    def _until_next(self) -> float | None:
        due = self._server.timeline.next
        if due is None or self._clock.by_hand:
            return None
        return max(0.0, (due - self._clock.progress()).total_seconds())

    async def _try(self) -> None:
        try:
            await self._realize(self._wanted())
            self._failures = 0
        except (DidNotStart, OSError, ClientError, TimeoutError, ExceptionGroup) as error:
            self._failures += 1
            words = _words(error)
            _log.warning("the control plane of %s: %s", self._server.fqdn, words)
            if self._failures >= ATTEMPTS:
                self._failed = f"the control plane of {self._server.fqdn} failed {ATTEMPTS} times: {words}"
                _log.error("%s", self._failed)
                await self._stop_instance()

    async def _realize(self, wanted: State | None) -> None:
        if wanted is None:
            await self._stop_instance()
            self._realized = None
            return
        held = self._instance
        if held is None or held.recipe != wanted.recipe or not held.process.alive:
            if held is not None and held.recipe.generation is not wanted.recipe.generation:
                await self._stop_instance()
            fresh = await self._start_instance(wanted.recipe)
            await self._stop_instance()  # one with other settings served until now
            self._instance = fresh
        assert self._instance is not None  # noqa: S101  # mypy does not see that it was set
        await self._mirror.bring(self._instance.client)
        self._realized = wanted

    async def _start_instance(self, recipe: Recipe) -> Instance:
        self._runs += 1
        return await self._plant.run(self._server, recipe, f"cluster-{self._number}", self._runs)

    async def _stop_instance(self) -> None:
        held, self._instance = self._instance, None
        if held is not None:
            await held.stop()


def _words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_words(it) for it in error.exceptions)
    return str(error) or type(error).__name__
