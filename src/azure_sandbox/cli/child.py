"""The command that runs inside a sandbox: its environment and signals, and the end of everything that it started."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FOREIGN = ("AZURE_", "ARM_", "AAD_", "MSI_", "IDENTITY_")  # the machine's own Azure must not reach in
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def end_with_parent() -> None:
    """On Linux, end with SIGTERM when our parent process ends, and become the parent of orphaned descendants."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    _prctl(_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:  # it ended before the call to prctl
        os.kill(os.getpid(), signal.SIGTERM)


class Child:
    """A command. It gets a process group of its own unless it shares our terminal.

    In a terminal the command stays in our process group, so that Ctrl-C and Ctrl-Z reach it.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, spare: frozenset[int] = frozenset()
    ) -> None:
        """Prepare the command. `spare`: IDs of our processes that must outlive it."""
        self._spare = spare
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self._command = command
        self._environment = {**inherited, **environment}
        self._own_group = not (sys.stdin is not None and sys.stdin.isatty())
        self._process: asyncio.subprocess.Process | None = None
        self._early: list[signal.Signals] = []

    async def run(self) -> int:
        """Run the command to its end, forward signals, then end the processes that it left running.

        Returns a shell's exit code. Raises OSError if the command cannot be started.
        """
        loop = asyncio.get_running_loop()
        for number in FORWARDED:
            loop.add_signal_handler(number, self._forward, number)
        try:
            process = await self._start()
            for number in self._early:
                self._forward(number)
            code = await process.wait()
        finally:
            await self._sweep()
            for number in FORWARDED:
                loop.remove_signal_handler(number)
        return code if code >= 0 else 128 - code

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            process_group=0 if self._own_group else None,
            preexec_fn=_die_with_us if sys.platform == "linux" else None,
        )
        return self._process

    def _forward(self, number: signal.Signals) -> None:
        if not self._own_group and number in (signal.SIGINT, signal.SIGQUIT):
            return  # the terminal has sent it the signal already
        if self._process is None:
            self._early.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            if self._own_group:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    async def _sweep(self) -> None:
        self._signal_leftovers(signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + GRACE
        while self._leftovers():
            if asyncio.get_running_loop().time() > deadline:
                self._signal_leftovers(signal.SIGKILL)
            await asyncio.sleep(0.02)
            _reap()

    def _leftovers(self) -> list[int]:
        return [pid for pid in leftovers() if pid not in self._spare]

    def _signal_leftovers(self, number: signal.Signals) -> None:
        if self._own_group and self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
        for pid in self._leftovers():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def leftovers() -> list[int]:
    """Return the IDs of our living descendants. Without /proc the list is empty."""
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                waiting += (children := [int(pid) for pid in task.read_text().split()])
                found += children
    return [pid for pid in found if not _is_zombie(pid)]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _die_with_us() -> None:
    _prctl(_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
