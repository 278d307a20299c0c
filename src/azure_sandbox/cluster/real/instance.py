"""One run of kube-apiserver: from its keys on disk to its end."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from azure_sandbox.cluster.real.audit_log import AuditLogFile
from azure_sandbox.cluster.real.binaries import Binaries
from azure_sandbox.cluster.real.client import Client
from azure_sandbox.cluster.real.process import Process, free_port
from azure_sandbox.cluster.real.recipe import AUDIT_LOG, GuardAddress, Recipe, arguments, write

POLL_INTERVAL = 0.1  # seconds
START_TIMEOUT = 120.0  # seconds; an idle machine needs three


class DidNotStart(Exception):
    """A program of the control plane ended or did not become ready. The message quotes its log."""


class Instance:
    """A kube-apiserver that is ready."""

    def __init__(self, recipe: Recipe, process: Process, client: Client, folder: Path, port: int) -> None:
        self.recipe = recipe
        self.process = process
        self.client = client
        self.port = port
        self.audit = AuditLogFile(folder / AUDIT_LOG)
        self._folder = folder

    @classmethod
    async def start(
        cls, recipe: Recipe, guard: GuardAddress, binaries: Binaries, folder: Path, *, fqdn: str, etcd: str, prefix: str
    ) -> Instance:
        """Start kube-apiserver and wait until it is ready. Raises DidNotStart."""
        write(recipe, guard, folder)
        port = free_port()
        options = arguments(recipe, folder, port=port, etcd=etcd, prefix=prefix)
        process = await Process.start(binaries.kube_apiserver, options, folder / "log", folder)
        client = Client(port=port, fqdn=fqdn, generation=recipe.generation, token=recipe.platform)
        started = cls(recipe, process, client, folder, port)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while process.alive and not await client.ready():  # noqa: ASYNC110  # it has no event for readiness
                    await asyncio.sleep(POLL_INTERVAL)
        except TimeoutError as error:
            words = f"kube-apiserver of {fqdn} was not ready after {START_TIMEOUT:g} s: {process.last_words()}"
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
        """Stop the process and remove its keys. Its audit log can still be taken."""
        await self.client.__aexit__(None, None, None)
        await self.process.kill()
        self.audit.catch_up()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
