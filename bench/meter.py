"""CPU and peak memory of processes, read from Linux's /proc. CPU includes children that were waited for."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
EVERY = 0.25  # seconds between two readings
FLOW_RUN = b"PREFECT__FLOW_RUN_ID="


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process and of the children that it has waited for, or 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS  # utime, stime, cutime, cstime


def tree_cpu(pid: int) -> float:
    """Return the CPU seconds of a process and of all its descendants, ended ones included."""
    return sum(map(cpu, (pid, *descendants(pid))))


def children_cpu() -> float:
    """Return the CPU seconds of the children that this process has waited for, and of their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine_cpu() -> float:
    """Return the CPU seconds of this machine since its start."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    user, nice, system, _idle, _waiting, interrupts, more_interrupts, stolen = map(int, fields)
    return (user + nice + system + interrupts + more_interrupts + stolen) / TICKS


def descendants(pid: int) -> Iterator[int]:
    """Yield the process IDs of all living descendants."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text(encoding="utf-8").split():
                yield int(child)
                yield from descendants(int(child))


def find(pid: int, *words: str) -> int:
    """Return the first descendant whose command line contains these words next to each other. Raises LookupError."""
    wanted = b"\0" + b"\0".join(word.encode() for word in words) + b"\0"
    for child in descendants(pid):
        with suppress(OSError):
            if wanted in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
    raise LookupError(f"no process `{' '.join(words)}` is running")


@dataclass(slots=True)
class Seen:
    """The highest CPU seconds and bytes of memory that were read for a flow run's process."""

    run: str
    cpu: float = 0.0
    memory: int = 0


@dataclass(slots=True)
class FlowRuns:
    """The processes of flow runs, by process ID. The CPU of the last quarter of a second before their end is missed.

    A flow run that waited at a gate has had two processes.
    """

    seen: dict[int, Seen] = field(default_factory=dict)

    def look(self, worker: int) -> None:
        """Read the figures of all descendants of a worker."""
        for pid in descendants(worker):
            with suppress(OSError, StopIteration):
                if pid not in self.seen:
                    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                    run = next(it for it in variables if it.startswith(FLOW_RUN)).decode()
                    self.seen[pid] = Seen(run=run.partition("=")[2])
                one = self.seen[pid]
                one.cpu = max(one.cpu, cpu(pid))
                one.memory = max(one.memory, _peak(pid))

    def cpu(self, run: str) -> float:
        """Return the CPU seconds of a flow run's processes."""
        return sum(one.cpu for one in self.seen.values() if one.run == run)

    def memory(self, run: str) -> int:
        """Return the peak memory in bytes of the largest of a flow run's processes."""
        return max(one.memory for one in self.seen.values() if one.run == run)


@asynccontextmanager
async def watched(worker: int) -> AsyncIterator[FlowRuns]:
    """Read the figures of a worker's flow runs until the context ends."""
    runs = FlowRuns()

    async def look() -> None:
        while True:
            runs.look(worker)
            await asyncio.sleep(EVERY)

    looking = asyncio.create_task(look())
    try:
        yield runs
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
