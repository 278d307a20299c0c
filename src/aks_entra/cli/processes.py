"""Processes that this one started: how they are ended, with all that they started themselves."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

GRACE: Final = 15.0  # seconds for one to go down
LOOK: Final = 0.25  # seconds between two looks


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ask a process to end, then end it; then its descendants, which Prefect gives sessions of their own."""
    brood = _descendants(process.pid)
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            brood |= _descendants(process.pid)
            process.kill()
            await process.wait()
    await _end(brood)


async def stop_marked(mark: str) -> None:
    """End every process whose environment carries `mark`: those too whose parent died before them."""
    await _end(_marked(mark))


async def _end(brood: dict[int, str]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        living = {pid: began for pid, began in brood.items() if _born(pid) == began}
        for pid in living:
            _signal(pid, sign)
        for _ in range(int(GRACE / LOOK)):
            if not any(_born(pid) == began for pid, began in living.items()):
                return
            await asyncio.sleep(LOOK)


def _descendants(pid: int) -> dict[int, str]:
    """Process ids below one, each with its start time; empty where there is no /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(int(entry.parent.name))
        if fields:
            parents[int(entry.parent.name)] = int(fields[1])
    found: dict[int, str] = {}
    wave = {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave and child not in found}
        found |= {child: _born(child) for child in wave}
    return found


def _born(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when it is no more (a zombie is no more)."""
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
    """Process ids that were started with `mark` in their environment, each with its start time."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            content = entry.read_bytes()
        except OSError:
            continue
        if mark.encode() in content.split(b"\0"):
            pid = int(entry.parent.name)
            found[pid] = _born(pid)
    return {pid: born for pid, born in found.items() if born}
