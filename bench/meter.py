"""CPU, memory and open files of processes, read from Linux's /proc. CPU includes children that were waited for."""

from __future__ import annotations

import asyncio
import json
import os
import resource
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.figures import Others, Pause

TICKS = os.sysconf("SC_CLK_TCK")
EVERY, SELDOM = 0.25, 4  # seconds between two looks at flow runs, and how many of them for one at all processes
FLOW_RUN = b"PREFECT__FLOW_RUN_ID="
PAUSES = Path(__file__).with_name("pauses")  # the folder whose sitecustomize.py records pauses
COMMANDS, NAMED = 4, 0.05  # how many other commands are named, and how many cores each has kept busy


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
class Commands:
    """The CPU seconds of each process of this machine since the first look, by process ID, with its command's name.

    What a process used after the last look at it is missed. `ours`: this process and all that it started.
    """

    ours: set[int] = field(default_factory=set)
    before: dict[int, float] | None = None
    seen: dict[int, tuple[str, float]] = field(default_factory=dict)

    def look(self) -> None:
        """Read the figures of all processes."""
        self.ours.update((os.getpid(), *descendants(os.getpid())))
        now = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError):
                begin, _, end = (entry / "stat").read_text(encoding="utf-8").rpartition(")")
                now[int(entry.name)] = begin.partition("(")[2], sum(map(int, end.split()[11:13])) / TICKS
        self.note(now)

    def note(self, now: Mapping[int, tuple[str, float]]) -> None:
        """Take the figures of all processes."""
        if self.before is None:
            self.before = {pid: used for pid, (_, used) in now.items()}
        self.seen.update(now)

    def others(self, *, busy: float, wall: float) -> Others:
        """Return what else ran for `wall` seconds. `busy`: the CPU seconds of all others."""
        cores: dict[str, float] = {}
        for pid, (name, used) in self.seen.items():
            if pid not in self.ours:
                cores[name] = cores.get(name, 0.0) + (used - (self.before or {}).get(pid, 0.0)) / wall
        largest = sorted(cores.items(), key=lambda it: -it[1])[:COMMANDS]
        named = {name: number for name, number in largest if number >= NAMED}
        return Others(cores=max(0.0, busy) / wall, of=os.cpu_count() or 1, commands=named)


def pauses(folder: Path, run: str) -> tuple[Pause, ...]:
    """Return the pauses of a flow run's event loops, those first that other processes caused least of."""
    lines = (line for file in folder.glob("*.jsonl") for line in file.read_text(encoding="utf-8").splitlines())
    found = (json.loads(line) for line in lines)
    ours = (Pause(**{key: one[key] for key in ("pause", "waited", "where")}) for one in found if one["run"] == run)
    return tuple(sorted(ours, key=lambda it: -it.own))


@dataclass(slots=True)
class Seen:
    """The highest CPU seconds, bytes of memory and number of open files that were read for a flow run's process."""

    run: str
    cpu: float = 0.0
    memory: int = 0
    files: int = 0


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
                one.files = max(one.files, len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208  # numbers, no paths

    def cpu(self, run: str) -> float:
        """Return the CPU seconds of a flow run's processes."""
        return sum(one.cpu for one in self.seen.values() if one.run == run)

    def memory(self, run: str) -> int:
        """Return the peak memory in bytes of the largest of a flow run's processes."""
        return max(one.memory for one in self.seen.values() if one.run == run)

    def files(self, run: str) -> int:
        """Return the most files that one of a flow run's processes had open."""
        return max(one.files for one in self.seen.values() if one.run == run)


@asynccontextmanager
async def watched(*workers: int) -> AsyncIterator[tuple[FlowRuns, Commands]]:
    """Read the figures of these workers' flow runs, and of all processes, until the context ends."""
    runs, commands = FlowRuns(), Commands()

    async def look() -> None:
        for turn in count():
            for worker in workers:
                runs.look(worker)
            if turn % SELDOM == 0:
                commands.look()
            await asyncio.sleep(EVERY)

    looking = asyncio.create_task(look())
    try:
        yield runs, commands
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
