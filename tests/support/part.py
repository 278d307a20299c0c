"""The processes of a stack that a test starts, kills and starts again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[2]
SOON: Final = 120.0
"""Seconds in which each part is up, on a busy machine."""


def clean_environment() -> dict[str, str]:
    """Return the environment of this process, without what sends Prefect, Azure or aks-entra somewhere."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "AZURE", "AKS_ENTRA"))}


@dataclass(kw_only=True)
class Part:
    """One process of the stack, with all that it started."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    port: int | None = None
    address: str = "127.0.0.1"
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until its port answers."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, env=dict(self.environment), cwd=CHECKOUT, stdout=log, stderr=log, start_new_session=True
            )
        if self.port is not None:
            async with asyncio.timeout(SOON):
                while not await self._listens():
                    assert self.process.returncode is None, f"{self.name} ended: {self.log.read_text()[-2000:]}"

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.address, self.port)
        except OSError:
            await asyncio.sleep(0.1)
            return False
        writer.close()
        return True

    async def kill(self) -> None:
        """End it as a power cut does, with all that it started."""
        process, self.process = self.process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def restart(self) -> None:
        """Kill it, and start it again."""
        await self.kill()
        await self.start()


async def run(*command: str, environment: Mapping[str, str] | None = None, given: str | None = None) -> str:
    """Run a command to its end, with `given` as its input. Returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environment) if environment else None,
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(None if given is None else given.encode())
    assert process.returncode == 0, f"{' '.join(command)}: {said.decode()[-3000:]}"
    return said.decode()
