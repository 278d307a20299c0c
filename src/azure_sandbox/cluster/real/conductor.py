"""Brings one cluster's processes to the cluster's present state: keys, settings, objects. It decides nothing.

The cluster's timeline waits after each step until the processes have caught up, so an operation of Azure does not end
before the control plane has reached its result.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError

from azure_sandbox.clock import Clock
from azure_sandbox.cluster.real.instance import DidNotStart, Instance
from azure_sandbox.cluster.real.mirror import Mirror
from azure_sandbox.cluster.real.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from azure_sandbox.cluster.service import ApiServer

ATTEMPTS = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """A state to reach or reached. For a cluster without a running API server it is None instead."""

    recipe: Recipe
    objects: str  # resource version of the store


class Conductor:
    """The real control plane of one cluster."""

    def __init__(
        self,
        server: ApiServer,
        clock: Clock,
        number: int,
        *,
        run: Callable[[ApiServer, Recipe, str, int], Awaitable[Instance]],
        dismiss: Callable[[Conductor], None],
    ) -> None:
        """`run` starts a kube-apiserver; `dismiss` stops this control plane in the background."""
        self._server = server
        self._run = run
        self._dismiss = dismiss
        self._clock = clock
        self._number = number
        self._runs = 0
        self._realized: State | None = None
        self._instance: Instance | None = None
        self._mirror = Mirror(server.store)
        self._awake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._audited: list[dict[str, Any]] = []  # of instances that were stopped
        self._failures = 0
        self._failed = ""
        self.restarted = asyncio.Event()  # set when the process runs again after a crash

    @property
    def port(self) -> int | None:
        """Return the loopback port. Returns None if nothing serves with the present keys."""
        it = self._instance
        if it is None or not it.process.alive or it.recipe.generation is not self._server.keys:
            return None
        return it.port

    @property
    def resource_id(self) -> str:
        """Return the resource ID of the cluster."""
        return self._server.blueprint.resource_id

    @property
    def failed(self) -> str:
        """Return why it failed for good, or an empty string."""
        return self._failed

    @property
    def pids(self) -> frozenset[int]:
        """Return the process IDs."""
        return frozenset() if self._instance is None else frozenset({self._instance.process.pid})

    def audited(self) -> list[dict[str, Any]]:
        """Return the events of the audit log since the last call."""
        taken, self._audited = self._audited, []
        return taken + (self._instance.audit.take() if self._instance is not None else [])

    def behind(self) -> bool:
        """Return whether it has not caught up. After a permanent failure it does not block the timeline."""
        return not self._failed and self._realized != self._wanted()

    def wake(self) -> None:
        """Start to catch up if the cluster has changed."""
        if self.behind():
            self._caught_up.clear()
            self._awake.set()

    def start(self) -> None:
        """Start to follow the cluster."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def caught_up(self) -> None:
        """Wait until the processes match the cluster. Raises DidNotStart if they cannot."""
        await self._caught_up.wait()
        if self._failed:
            raise DidNotStart(self._failed)

    def retire(self) -> None:
        """Stop the control plane in the background, because the cluster was deleted."""
        self._dismiss(self)

    async def stop(self) -> None:
        """Stop all processes. The cluster's timeline no longer waits for them."""
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
        """Wait until the cluster changes or the process ends."""
        waits: list[asyncio.Task[object]] = [asyncio.create_task(self._awake.wait())]
        if self._instance is not None and not self._failed:
            waits.append(asyncio.create_task(self._instance.process.ended()))
        try:
            await asyncio.wait(waits, timeout=self._until_next(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for it in waits:
                it.cancel()
        if self._instance is not None and not self._instance.process.alive and not self._failed:
            _log.warning("kube-apiserver of %s ended unexpectedly; it is started again", self._server.fqdn)
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
            await self._stop_instance()  # it ran with the previous settings until now
            self._instance = fresh
        assert self._instance is not None  # noqa: S101  # mypy does not see that it was set
        await self._mirror.bring(self._instance.client)
        self._realized = wanted

    async def _start_instance(self, recipe: Recipe) -> Instance:
        self._runs += 1
        return await self._run(self._server, recipe, f"cluster-{self._number}", self._runs)

    async def _stop_instance(self) -> None:
        held, self._instance = self._instance, None
        if held is not None:
            await held.stop()
            self._audited += held.audit.take()


def _words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_words(it) for it in error.exceptions)
    return str(error) or type(error).__name__
