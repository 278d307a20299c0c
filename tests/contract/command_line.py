"""Commands in this process, against a sandbox that runs in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Event, Thread

from typer.testing import CliRunner, Result

from aks_entra.cli import app
from azure_sandbox.server import Sandbox


def serving(folder: Path, text: str) -> Iterator[dict[str, str]]:
    """Run a sandbox in a thread: a command needs the main thread, because it handles signals."""
    world, opened, closing = folder / "world.yaml", Queue[dict[str, str]](), Event()
    world.write_text(text)

    async def serve() -> None:
        async with Sandbox(world, pace=100_000) as box:
            opened.put(dict(box.environment))
            await asyncio.to_thread(closing.wait)

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield opened.get(timeout=60)
    finally:
        closing.set()
        thread.join(timeout=60)


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, words, env={"COLUMNS": "220"})  # wide enough that no sentence is wrapped
