"""A program that lives no longer than we do, and says what it has to say into a log file."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

LAST_WORDS = 2000  # characters of a log that a failure cites
_SET_PDEATHSIG = 1  # linux/prctl.h


class Process:
    """A started program, in a process group of its own: what a terminal sends to ours does not reach it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @classmethod
    async def start(cls, program: Path, arguments: Sequence[str], log: Path, folder: Path) -> Self:
        """Start it with nothing of our environment; raises OSError when it cannot be."""
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                program,
                *arguments,
                cwd=folder,
                env={"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                process_group=0,
                preexec_fn=_die_with_us if sys.platform == "linux" else None,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def ended(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    async def kill(self) -> None:
        """End it at once: etcd and the API server keep nothing that they have acknowledged in memory alone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace")[-LAST_WORDS:]
        return ""


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
