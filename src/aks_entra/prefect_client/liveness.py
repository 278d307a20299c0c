"""Whether the process of a flow run is alive, and what happens to a run whose process is dead.

Every run registers its process. On the same boot of the same host, in the same PID namespace, the kernel knows whether
that process lives. From elsewhere only the run's own beat tells: while it lives it writes to its row at Prefect's
server every `BEAT`. Both times that are compared are the server's, so that no clock of a worker counts, and no broker.

A run that is set to Crashed although it lives is told so when it registers, and its leases are gone: it cannot write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Crashed

from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, leases
from aks_entra.prefect_client.names import key

PROCESS: Final = "aks-entra.process"
"""Label of a flow run: host/process id/start time in clock ticks since boot/boot id/PID namespace.

Labels of earlier versions end with the start time.
"""
HEARTBEATS: Final = "aks-entra.beats"
"""Label of a flow run: how often its process has said that it lives. Runs of earlier versions have none."""
HEARTBEAT_INTERVAL: Final = timedelta(seconds=30)
SILENCE: Final = timedelta(seconds=leases.LEASE)
"""A run on another host that was not heard of for this long is silent: ten beats, and its leases have ended too."""
SILENCE_OF_OLD: Final = timedelta(seconds=600)
"""The same for a run of an earlier version: only Prefect's heartbeats tell of it, and these are three of them."""
LOOKED_ON: Final = 3 * HEARTBEAT_INTERVAL
"""A silent run is dead if it stays silent while somebody looks on for this long: the server may just be back."""
PENDING: Final = timedelta(hours=1)
"""A run waits this long for its infrastructure, for example a pod for its node or its image."""
_SET_TO_CRASHED: Final = "buried"
"""Prefix of the key of the note that a run was set to Crashed because its process seemed to be dead."""
_OLD, _NEW = 3, 5  # parts of a label
_START_TIME: Final = 19  # field of /proc/PID/stat after the command's closing bracket

_heartbeats: Final[dict[UUID, asyncio.Task[None]]] = {}


class Liveness(StrEnum):
    """What is known of a run's process."""

    ENDED = "ended"  # the run is over
    WAITING = "waiting"  # for a worker, for its infrastructure, or at a gate: no process
    ALIVE = "alive"
    SILENT = "silent"  # its process is on another host, and was not heard of for `SILENCE`
    DEAD = "dead"  # the run says Running, but its process is gone: this host's kernel says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that cannot be confused with a later one of the same number, or with one on another machine.

    Host names are not unique: cloned machines and pods on their node's network share theirs. `boot` is the kernel's
    boot id, `namespace` the PID namespace in which `pid` counts; both are empty where they are not known.
    """

    host: str
    pid: int
    started: str
    boot: str = ""
    namespace: str = ""

    @classmethod
    def own(cls) -> Process:
        """The present process."""
        boot, namespace = _kernel()
        pid = os.getpid()
        return cls(host=socket.gethostname(), pid=pid, started=_start_time(pid), boot=boot, namespace=namespace)

    @classmethod
    def parse(cls, text: str) -> Process:
        """Read a label, also one of an earlier version. Raises ValueError for any other text."""
        parts = text.split("/")
        if len(parts) not in {_OLD, _NEW}:
            raise ValueError(f"{text[:80]!r} names no process")
        host, pid, started, boot, namespace = (*parts, "", "")[:_NEW]
        return cls(host=host, pid=int(pid), started=started, boot=boot, namespace=namespace)

    @property
    def here(self) -> bool:
        """Whether this kernel knows if the process lives: the same host, boot and PID namespace.

        A label without a boot and a namespace counts only if the process is found with the same start time.
        """
        if self.host != socket.gethostname():
            return False
        if not self.boot or not self.namespace:
            return bool(self.started) and self.exists
        return (self.boot, self.namespace) == _kernel()

    @property
    def exists(self) -> bool:
        """Whether the process exists now. Only valid if it is `here`."""
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass
        return _start_time(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.started}/{self.boot}/{self.namespace}"


async def register() -> UUID:
    """Register this process as the one that carries out the present flow run, and beat from now on. Returns its id.

    Raises Refused if the run was set to Crashed because its process seemed to be dead: another run may have its work.
    """
    run = artifacts.own_flow_run()
    crashed = await artifacts.get(key(_SET_TO_CRASHED, str(run)))
    if crashed is not None:
        raise Refused(
            f"this run was set to Crashed at {crashed.at}, because its process was silent: it may not go on",
            remedy="nothing has to be done if another run has resumed it; if none has: `aks-entra migrate --resume`",
        )
    async with get_client() as client:
        await client.update_flow_run_labels(run, {PROCESS: str(Process.own()), HEARTBEATS: "0"})
    await _stop_heartbeats(run)
    _heartbeats[run] = asyncio.create_task(send_heartbeats(run))
    return run


async def unregister(labels: Mapping[str, str] | None = None) -> None:
    """Unregister this process from the present flow run. The process that resumes the run registers itself.

    `labels`: what else to write on the run.
    """
    run = artifacts.own_flow_run()
    await _stop_heartbeats(run)
    async with get_client() as client:
        await client.update_flow_run_labels(run, {PROCESS: "", **(labels or {})})


async def liveness_of(client: PrefectClient, run: FlowRun) -> Liveness:
    """Return what is known of a run's process now. `SILENT` alone is not dead: see `SilenceWatch`."""
    state = run.state
    if state is None or state.is_scheduled() or state.is_paused():
        return Liveness.WAITING
    if state.is_final():
        return Liveness.ENDED
    if state.is_pending():
        return Liveness.WAITING if await _silence(client, run) < PENDING else Liveness.SILENT
    process = _process_of(run)
    if process is not None and process.here:
        return Liveness.ALIVE if process.exists else Liveness.DEAD
    heard = await _silence(client, run) < (SILENCE if HEARTBEATS in run.labels else SILENCE_OF_OLD)
    if not heard and HEARTBEATS not in run.labels:
        heard = await _sent_heartbeats(client, run)
    return Liveness.ALIVE if heard else Liveness.SILENT


class SilenceWatch:
    """What one observer has seen of a run, look after look.

    A silent run counts as dead only after it was silent for `LOOKED_ON` under the observer's eyes. While the server is
    away nobody is heard of, so a gap between two looks begins the watch again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._updated: datetime | None = None
        self._since = self._last = -float("inf")

    def dead(self, run: FlowRun, known: Liveness) -> bool:
        """Note one more look. Returns whether the run's process is dead. `known`: what `liveness_of` says now."""
        now = self._clock()
        if run.updated != self._updated or now - self._last > HEARTBEAT_INTERVAL.total_seconds():
            self._updated, self._since = run.updated, now
        self._last = now
        return known is Liveness.DEAD or (known is Liveness.SILENT and now - self._since >= LOOKED_ON.total_seconds())


async def settled(client: PrefectClient, run: FlowRun, tell: Callable[[str], None], *, every: float = 5.0) -> Liveness:
    """Watch a run until it is certain whether its process lives: until it beats, ends, or has been silent long enough.

    The answer is at hand at once for a process of this host. `tell` is told that, and why, this takes time.
    """
    watch, first, said = SilenceWatch(), run.updated, False
    while True:
        known = await liveness_of(client, run)
        if watch.dead(run, known):
            return Liveness.DEAD
        process = _process_of(run)
        elsewhere = HEARTBEATS in run.labels and not (process is not None and process.here)
        unsure = known is Liveness.SILENT or (known is Liveness.ALIVE and elsewhere and run.updated == first)
        if not unsure:
            return known
        if not said:
            said = True
            host = process.host if process is not None else "an unknown host"
            tell(
                f"run {run.name} is on another host ({host}): waiting until it says that it lives (every "
                f"{HEARTBEAT_INTERVAL.total_seconds():.0f} s), or was silent for {SILENCE.total_seconds():.0f} s"
            )
        await asyncio.sleep(every)
        run = await client.read_flow_run(run.id)


async def set_to_crashed(client: PrefectClient, runs: tuple[FlowRun, ...]) -> None:
    """Force dead runs to Crashed (to Cancelled if they were being cancelled) and release their slots."""
    for run in runs:
        was_cancelled = run.state is not None and run.state.is_cancelling()
        end: State[Any] = Crashed(message="its process is gone: set to Crashed so that the migration can be resumed")
        if was_cancelled:
            end = Cancelled(message="it was cancelled, and its process is gone")
        await artifacts.put(key(_SET_TO_CRASHED, str(run.id)), "", kind="note")
        await client.set_flow_run_state(run.id, end, force=True)
    await leases.free(client, tuple(run.id for run in runs))


async def send_heartbeats(run: UUID, *, every: timedelta = HEARTBEAT_INTERVAL) -> None:
    """Write to the run's row again and again until the run has ended: the server notes when.

    It has a client of its own, because Prefect closes the client of a flow when the flow ends.
    """
    beats = 0
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # the next beat is the retry
        async with get_client(httpx_settings={"timeout": HEARTBEAT_INTERVAL.total_seconds()}) as client:
            while True:
                await asyncio.sleep(every.total_seconds())
                with contextlib.suppress(httpx.HTTPStatusError, httpx.TransportError):
                    state = (await client.read_flow_run(run)).state
                    if state is not None and state.is_final():
                        return
                    beats += 1
                    await client.update_flow_run_labels(run, {HEARTBEATS: str(beats)})


async def _stop_heartbeats(run: UUID) -> None:
    beating = _heartbeats.pop(run, None)
    if beating is not None:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


def _process_of(run: FlowRun) -> Process | None:
    """Return the process that a run has registered. None if there is no label, or somebody else wrote it."""
    try:
        return Process.parse(str(run.labels[PROCESS]))
    except (KeyError, ValueError):
        return None


async def _silence(client: PrefectClient, run: FlowRun) -> timedelta:
    """How long a run's row was not written to, by the server's clock."""
    if run.updated is None:
        return timedelta()
    answer = await client.request("GET", "/health")
    sent = answer.headers.get("date")
    return (parsedate_to_datetime(sent) if sent else datetime.now(UTC)) - run.updated


async def _sent_heartbeats(client: PrefectClient, run: FlowRun) -> bool:
    """Whether Prefect's engine said within `SILENCE_OF_OLD` that the run lives."""
    page = await client.read_events(
        filter=EventFilter(
            occurred=EventOccurredFilter.model_validate({"since": datetime.now(UTC) - SILENCE_OF_OLD}),
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
        ),
        limit=1,
    )
    return bool(page.events)


def _kernel() -> tuple[str, str]:
    """Return the boot id and this process's PID namespace. Empty if Linux does not tell them.

    Other systems have no PID namespaces; there only the host's name counts.
    """
    if sys.platform != "linux":
        return sys.platform, "none"
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return boot, Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return "", ""


def _start_time(pid: int) -> str:
    """Return the kernel's start time of a process, "gone" for a zombie, or "" without /proc or such a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "gone" if fields[0] == "Z" else fields[_START_TIME]


LIVE_STATES: Final = frozenset(
    {StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING}
)
