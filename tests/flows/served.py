"""Runs `aks-entra up` for the tests of the runbooks."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.patience import SOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

CHECKOUT: Final = Path(__file__).parents[2]
MAIN: Final = "from aks_entra.cli import main; main()"


@asynccontextmanager
async def served(python: Path, port: int, home: Path, environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Run a Prefect server and a worker with these variables, and with their state in a folder, inside the block."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "AZURE", "AKS_ENTRA"))}
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-c", MAIN, "up", "--port", str(port), "--work-queue", "default"),
        cwd=CHECKOUT,
        env={**clean, **environment, "AKS_ENTRA_HOME": str(home)},
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        await _ready(process)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(SOON):
            await process.wait()


async def _ready(process: asyncio.subprocess.Process) -> None:
    said = b""
    assert process.stderr is not None
    async with asyncio.timeout(SOON):
        while b"Ctrl-C" not in said:
            line = await process.stderr.readline()
            assert line, said.decode()
            said += line
