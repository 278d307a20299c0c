"""A program that ends when our process ends, with its output in a log file."""

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

LAST_WORDS = 2000  # characters of a log that an error quotes
_SET_PDEATHSIG = 1  # linux/prctl.h


class Process:
    """A running program in its own process group, so that signals of a terminal do not reach it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @classmethod
    async def start(cls, program: Path, arguments: Sequence[str], log: Path, folder: Path) -> Self:
        """Start a program with an empty environment. Raises OSError if it cannot be started."""
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
        """Return the process ID."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.returncode is None

    async def ended(self) -> None:
        """Wait until the process ends."""
        await self._process.wait()

    async def kill(self) -> None:
        """Kill the process. This loses nothing: etcd and kube-apiserver acknowledge a write after it is on disk."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def last_words(self) -> str:
        """Return the end of the log."""
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace")[-LAST_WORDS:]
        return ""


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def free_port() -> int:
    """Return a loopback port on which nothing listens at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
