"""Whether a flow run is still alive, and how a dead one is put to rest.

Every run of ours writes down its own process (host, process id, start time), so that on the same host life is a
question to the kernel. Elsewhere only Prefect's heartbeat events tell.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.states import Cancelled, Crashed
from prefect.types._datetime import now

from aks_entra.prefect_client import claims, store

PROCESS: Final = "aks-entra.process"
"""Label of a flow run: host/process id/start time in clock ticks since boot."""
SILENCE: Final = timedelta(seconds=180)
"""Without a heartbeat for this long, a run on another host is dead (Prefect beats every 30 s at best)."""
_START_TIME: Final = 19  # field of /proc/PID/stat after the command's closing bracket


class Life(StrEnum):
    """What is known of a run's process."""

    ENDED = "ended"  # the run is over
    WAITING = "waiting"  # for a worker, or at a gate: no process
    ALIVE = "alive"
    DEAD = "dead"  # the run says Running, but its process is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that can be told from a later one with the same number."""

    host: str
    pid: int
    started: str

    @classmethod
    def own(cls) -> Process:
        """The present process."""
        return cls(host=socket.gethostname(), pid=os.getpid(), started=_start_time(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> Process:
        """Read a label."""
        host, pid, started = text.rsplit("/", 2)
        return cls(host=host, pid=int(pid), started=started)

    @property
    def here(self) -> bool:
        """Whether the process is, or was, on this host."""
        return self.host == socket.gethostname()

    @property
    def exists(self) -> bool:
        """Whether it is there now; only for `here`."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _start_time(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.started}"


async def sign_on() -> UUID:
    """Write down that the present process carries out the present flow run; returns the run's id."""
    run = store.own_flow_run()
    async with get_client() as client:
        await client.update_flow_run_labels(run, {PROCESS: str(Process.own())})
    return run


async def sign_off() -> None:
    """Take the present process off the present flow run, which waits without one: the next signs on for itself."""
    async with get_client() as client:
        await client.update_flow_run_labels(store.own_flow_run(), {PROCESS: ""})


async def life(client: PrefectClient, run: FlowRun) -> Life:
    """What is known of a run's process now."""
    state = run.state
    if state is None or state.is_scheduled() or state.is_paused():
        return Life.WAITING
    if state.is_final():
        return Life.ENDED
    label = run.labels.get(PROCESS)
    if label:
        process = Process.parse(str(label))
        if process.here:
            return Life.ALIVE if process.exists else Life.DEAD
    return Life.ALIVE if await _heard_of(client, run) else Life.DEAD


async def bury(client: PrefectClient, runs: tuple[FlowRun, ...]) -> None:
    """Force dead runs to Crashed (Cancelled, where they were told to end) and give back the slots they hold."""
    for run in runs:
        told = run.state is not None and run.state.is_cancelling()
        end: State[Any] = Crashed(message="its process is gone: put to rest so that the migration can be resumed")
        if told:
            end = Cancelled(message="it was cancelled, and its process is gone")
        await client.set_flow_run_state(run.id, end, force=True)
    await claims.free(client, tuple(run.id for run in runs))


async def _heard_of(client: PrefectClient, run: FlowRun) -> bool:
    """Whether the run began, or its heartbeat was heard, within the silence that is allowed."""
    since = now("UTC") - SILENCE
    began = run.state.timestamp if run.state else None
    if began is not None and began > since:
        return True
    page = await client.read_events(
        filter=EventFilter(
            occurred=EventOccurredFilter.model_validate({"since": since}),
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
        ),
        limit=1,
    )
    return bool(page.events)


def _start_time(pid: int) -> str:
    """The kernel's start time of a process; empty where there is no /proc, or no such process, or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "gone" if fields[0] == "Z" else fields[_START_TIME]


LIVE_STATES: Final = frozenset(
    {StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING}
)
