"""The real control planes of one sandbox: one etcd, one guard, and a kube-apiserver for each such cluster."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from azure_sandbox.clock import Clock
from azure_sandbox.cluster.real.binaries import Binaries
from azure_sandbox.cluster.real.conductor import Conductor
from azure_sandbox.cluster.real.instance import DidNotStart, Instance
from azure_sandbox.cluster.real.process import Process, free_port
from azure_sandbox.cluster.real.webhooks import Webhooks
from azure_sandbox.front.home import HomeFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure_sandbox.cluster.real.recipe import GuardAddress, Recipe
    from azure_sandbox.cluster.service import ApiServer

STARTING_AT_ONCE = 2
_log = logging.getLogger(__name__)


class Plant:
    """All real control planes. Those that `serve` gets before `start` start with it."""

    def __init__(self, binaries: Binaries, clock: Clock) -> None:
        self._binaries = binaries
        self._clock = clock
        self._webhooks = Webhooks(clock)
        self._conductors: dict[str, Conductor] = {}
        self._addresses: dict[str, GuardAddress] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._folder: HomeFolder | None = None
        self._etcd: Process | None = None
        self._etcd_url = ""
        self._limit = asyncio.Semaphore(STARTING_AT_ONCE)
        self._numbers = 0

    @property
    def pids(self) -> frozenset[int]:
        """Return the process IDs of all programs."""
        found = {pid for it in self._conductors.values() for pid in it.pids}
        if self._etcd is not None:
            found.add(self._etcd.pid)
        if self._folder is not None and self._folder.watcher is not None:
            found.add(self._folder.watcher)
        return frozenset(found)

    def audited(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the new events of all audit logs, with the resource IDs of their clusters."""
        for it in self._conductors.values():
            for event in it.audited():
                yield it.resource_id, event

    def serve(self, server: ApiServer) -> Conductor:
        """Give a cluster a control plane."""
        self._numbers += 1
        conductor = Conductor(server, self._clock, self._numbers, run=self.run, dismiss=self.dismiss)
        self._conductors[server.fqdn] = conductor
        if self._folder is not None:
            conductor.start()
        return conductor

    async def start(self) -> None:
        """Start all programs and wait until they are ready. Raises DidNotStart."""
        self._folder = HomeFolder()
        try:
            await self._webhooks.start()
            await self._start_etcd(self._folder)
            for it in self._conductors.values():
                it.start()
            for it in tuple(self._conductors.values()):
                await it.caught_up()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all programs and remove their data."""
        await asyncio.gather(*(it.stop() for it in self._conductors.values()))
        await asyncio.gather(*self._leaving, return_exceptions=True)
        if self._etcd is not None:
            await self._etcd.kill()
            self._etcd = None
        await self._webhooks.stop()
        if self._folder is not None:
            await asyncio.to_thread(self._folder.close)
            self._folder = None

    def dismiss(self, conductor: Conductor) -> None:
        """Stop the control plane of one cluster in the background."""
        self._conductors = {name: it for name, it in self._conductors.items() if it is not conductor}
        task = asyncio.get_running_loop().create_task(conductor.stop())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def run(self, server: ApiServer, recipe: Recipe, name: str, number: int) -> Instance:
        """Start kube-apiserver for a cluster. Raises DidNotStart."""
        if self._folder is None:
            raise DidNotStart("the sandbox is not running")
        if server.fqdn not in self._addresses:
            self._addresses[server.fqdn] = self._webhooks.address(server.guard)
        async with self._limit:
            return await Instance.start(
                recipe,
                self._addresses[server.fqdn],
                self._binaries,
                self._folder.path / f"{name}-{number}",
                fqdn=server.fqdn,
                etcd=self._etcd_url,
                prefix=f"/{name}",
            )

    async def _start_etcd(self, home: HomeFolder) -> None:
        folder = home.path / "etcd"
        folder.mkdir(mode=0o700)
        here, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        options = {
            "name": "sandbox",
            "data-dir": str(folder / "data"),
            "listen-client-urls": here,
            "advertise-client-urls": here,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"sandbox={peers}",
            "log-level": "warn",
        }
        arguments = ["--unsafe-no-fsync", *(f"--{name}={value}" for name, value in options.items())]
        self._etcd = await Process.start(self._binaries.etcd, arguments, folder / "log", folder)
        self._etcd_url = here
