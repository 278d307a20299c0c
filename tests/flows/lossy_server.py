"""A Prefect server with a store of records, which loses its database when a test says so."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from azure_sandbox.cluster.real.process import free_port
from azure_sandbox.server import Sandbox
from tests.flows.conftest import QUICK, PrefectStack
from tests.flows.served import served
from tests.support import prepared_database

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from azure_sandbox.front.proxy import Exchange

AUTH = "aks-entra:the-same-after-each-start"


@dataclass(slots=True, kw_only=True)
class LossyServer:
    """The stack, and the ways to lose what its server knows."""

    stack: PrefectStack
    port: int
    empty: Path
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def records(self) -> Path:
        """Return the folder of the store of records."""
        return self.stack.database.parents[1] / "records"

    async def start(self) -> None:
        """Start server and worker."""
        home = self.stack.database.parents[1]
        await self._running.enter_async_context(served(self.stack.python, self.port, home, self.stack.environment))

    async def stop(self) -> None:
        """Send what this process still has to send, and stop server and worker."""
        with self.stack.inside():
            await cast("Any", APILogWorker.drain_all(at_exit=False))
            await cast("Any", EventsWorker.drain_all(at_exit=False))
        await self._running.aclose()

    async def lose_database(self) -> None:
        """Stop server and worker, delete the database, and start them with an empty one."""
        await self.stop()
        for file in self.stack.database.parent.glob(f"{self.stack.database.name}*"):
            file.unlink()
        shutil.copyfile(self.empty, self.stack.database)
        await self.start()

    def harm_record(self, chance: random.Random, *, removes: bool) -> str:
        """Cut a random record of the store short, or remove it. Returns its name, or nothing if there is none."""
        files = sorted(one for one in self.records.rglob("*") if one.is_file())
        if not files:
            return ""
        file = chance.choice(files)
        if removes:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        return str(file.relative_to(self.records))

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Take the store of records away inside the block. Nobody can write to it, and nothing is in it."""
        elsewhere = self.records.with_name("records-elsewhere")
        self.records.rename(elsewhere)
        self.records.write_text("no folder")
        try:
            yield
        finally:
            self.records.unlink()
            elsewhere.rename(self.records)


@asynccontextmanager
async def lossy_server(
    world: str, folder: Path, python: Path, database: Path, **variables: str
) -> AsyncIterator[LossyServer]:
    """Run a sandbox with a world, and a server that keeps its records in a folder.

    `variables` are further ones of the environment of its worker and of commands.
    """
    file = folder / "world.yaml"
    file.write_text(world)
    prepared_database.put(database, folder / "home")
    exchanges: list[Exchange] = []
    async with Sandbox(file, pace=500, observe=exchanges.append) as sandbox:
        environment = {**sandbox.environment, **QUICK, "XDG_STATE_HOME": str(folder / "state")}
        environment |= {
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_API_SSL_CERT_FILE": environment["SSL_CERT_FILE"],
            "PREFECT_SERVER_API_AUTH_STRING": AUTH,
            "AKS_ENTRA_RECORDS": str(folder / "home" / "records"),
            **variables,
        }
        port = free_port()
        stack = PrefectStack(
            sandbox=sandbox,
            api=f"http://127.0.0.1:{port}/api",
            auth=AUTH,
            environment=environment,
            home=folder / "client",
            database=prepared_database.path(folder / "home"),
            python=python,
            exchanges=exchanges,
        )
        server = LossyServer(stack=stack, port=port, empty=database)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()
