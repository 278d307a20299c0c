"""One run of kube-apiserver: from its keys on disk to its end."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from azure_sandbox.cluster.real.binaries import Binaries
from azure_sandbox.cluster.real.client import Client
from azure_sandbox.cluster.real.process import Process, free_port
from azure_sandbox.cluster.real.recipe import GuardAddress, Recipe, arguments, write

LOOK_EVERY = 0.1  # seconds
STARTS_WITHIN = 120.0  # seconds; three on an idle machine


class DidNotStart(Exception):
    """A program of the control plane ended, or never became ready; the message cites its log."""


class Instance:
    """A kube-apiserver that is ready."""

    def __init__(self, recipe: Recipe, process: Process, client: Client, folder: Path, port: int) -> None:
        self.recipe = recipe
        self.process = process
        self.client = client
        self.port = port
        self._folder = folder

    @classmethod
    async def start(
        cls, recipe: Recipe, guard: GuardAddress, binaries: Binaries, folder: Path, *, fqdn: str, etcd: str, prefix: str
    ) -> Instance:
        """Start it and wait until it is ready; raises DidNotStart."""
        write(recipe, guard, folder)
        port = free_port()
        options = arguments(recipe, folder, port=port, etcd=etcd, prefix=prefix)
        process = await Process.start(binaries.kube_apiserver, options, folder / "log", folder)
        client = Client(port=port, fqdn=fqdn, generation=recipe.generation)
        started = cls(recipe, process, client, folder, port)
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                while process.alive and not await client.ready():  # noqa: ASYNC110  # it tells nobody when it is
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError as error:
            words = f"kube-apiserver of {fqdn} was not ready after {STARTS_WITHIN:g} s: {process.last_words()}"
            await started.stop()
            raise DidNotStart(words) from error
        except BaseException:
            await started.stop()
            raise
        if not process.alive:
            words = process.last_words()
            await started.stop()
            raise DidNotStart(f"kube-apiserver of {fqdn} ended: {words}")
        return started

    async def stop(self) -> None:
        """End it and remove its keys."""
        await self.client.__aexit__(None, None, None)
        await self.process.kill()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
