"""Ends the processes that this one started, with their descendants."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

GRACE: Final = 15.0  # seconds for a process to end by itself
LOOK: Final = 0.25  # seconds between two checks
_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ask a process to end, and kill it if it does not. Then end its descendants, which have their own sessions."""
    descendants = _descendants(process.pid)
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            descendants |= _descendants(process.pid)
            process.kill()
            await process.wait()
    await _end(descendants)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that they can be found again (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


async def stop_marked(mark: str) -> None:
    """End every process with `mark` in its environment, even if its parent has died.

    Processes that hold credentials hide their environment, even from other processes of the same user. If such a
    process is a descendant of this one, it is ended too.
    """
    await _end(_marked(mark))


async def _end(descendants: dict[int, str]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        living = {pid: began for pid, began in descendants.items() if _born(pid) == began}
        for pid in living:
            _signal(pid, sign)
        for _ in range(int(GRACE / LOOK)):
            if not any(_born(pid) == began for pid, began in living.items()):
                return
            await asyncio.sleep(LOOK)


def _descendants(pid: int) -> dict[int, str]:
    """Return the descendants of a process, each with its start time. Empty if there is no /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(int(entry.parent.name))
        if fields:
            parents[int(entry.parent.name)] = int(fields[1])
    found: dict[int, str] = {}
    generation = {pid}
    while generation:
        generation = {child for child, parent in parents.items() if parent in generation and child not in found}
        found |= {child: _born(child) for child in generation}
    return found


def _born(pid: int) -> str:
    """Return when a process began, in the kernel's ticks. Empty if it has ended, as a zombie has."""
    fields = _stat(pid)
    return "" if not fields or fields[0] == "Z" else fields[19]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def _signal(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


def _marked(mark: str) -> dict[int, str]:
    """Return the processes with `mark` in their environment, each with its start time."""
    found = {}
    below = _descendants(os.getpid())
    for entry in Path("/proc").glob("[0-9]*/environ"):
        pid = int(entry.parent.name)
        try:
            ours = mark.encode() in entry.read_bytes().split(b"\0")
        except PermissionError:
            ours = pid in below
        except OSError:
            continue
        if ours:
            found[pid] = _born(pid)
    return {pid: born for pid, born in found.items() if born}
