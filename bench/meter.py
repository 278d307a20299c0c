"""What processes cost, read from Linux's /proc: CPU with everything they have reaped, and memory at its peak."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
EVERY = 0.25  # seconds between two looks
FLOW_RUN = b"PREFECT__FLOW_RUN_ID="


def cpu(pid: int) -> float:
    """CPU-seconds of a process and of the children that it has waited for; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS  # utime, stime, cutime, cstime


def tree_cpu(pid: int) -> float:
    """CPU-seconds of a process and of everything below it, living or reaped."""
    return sum(map(cpu, (pid, *descendants(pid))))


def children_cpu() -> float:
    """CPU-seconds of the children that this process has waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine_cpu() -> float:
    """CPU-seconds that everything on this machine has used since it was started."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    user, nice, system, _idle, _waiting, interrupts, more_interrupts, stolen = map(int, fields)
    return (user + nice + system + interrupts + more_interrupts + stolen) / TICKS


def descendants(pid: int) -> Iterator[int]:
    """Everything that lives below a process."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text(encoding="utf-8").split():
                yield int(child)
                yield from descendants(int(child))


def find(pid: int, *words: str) -> int:
    """The first process below `pid` whose command line has these words in this order, side by side."""
    wanted = b"\0" + b"\0".join(word.encode() for word in words) + b"\0"
    for child in descendants(pid):
        with suppress(OSError):
            if wanted in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
    raise LookupError(f"no process `{' '.join(words)}` runs")


@dataclass(slots=True)
class Seen:
    """The most that was seen of a flow run's process: CPU-seconds, and bytes of memory."""

    run: str
    cpu: float = 0.0
    memory: int = 0


@dataclass(slots=True)
class FlowRuns:
    """The processes of flow runs, by process id; CPU of the last quarter of a second before their end is missed.

    A flow run that waited at a gate has had two.
    """

    seen: dict[int, Seen] = field(default_factory=dict)

    def look(self, worker: int) -> None:
        """Look at everything below a worker."""
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
        """CPU-seconds of a flow run's processes."""
        return sum(one.cpu for one in self.seen.values() if one.run == run)

    def memory(self, run: str) -> int:
        """Bytes that the largest of a flow run's processes held at its peak."""
        return max(one.memory for one in self.seen.values() if one.run == run)


@asynccontextmanager
async def watched(worker: int) -> AsyncIterator[FlowRuns]:
    """Keep an eye on the flow runs of a worker."""
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
