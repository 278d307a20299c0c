"""Gives all steps the ports, the waits, and this process's memory of each cluster beyond what ARM shows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.cluster import ROTATING, ClusterId, Posture
from aks_entra.core.evidence.observations import Evidence, SignInProven
from aks_entra.core.evidence.rotation_debt import unseen
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import Guarded, Step
from aks_entra.core.target import LocalAccounts
from aks_entra.execution import preconditions, write_guards
from aks_entra.execution.operations import Watch
from aks_entra.execution.shared_readings import SharedReadings
from aks_entra.ports.migration import HeldCredential, Ports
from aks_entra.ports.operations import Operation
from aks_entra.probes import checks
from aks_entra.probes.authorities import Authorities
from aks_entra.probes.checks import Timeouts
from aks_entra.probes.deadlines import Deadlines

RECENT: Final = timedelta(seconds=5)
"""For how long the next step takes what this run read of a cluster at rest. No write of this run lies between."""


@dataclass(slots=True)
class Memory:
    """What this run knows of one cluster, beyond what ARM shows. All of it may be lost when the process dies."""

    proven: SignInProven | None = None  # the last sign-in that was proven at this cluster
    written: dict[str, str] = field(default_factory=dict)  # by kind of step: the correlation id of our own write
    kept: tuple[Evidence, ...] = ()  # what was seen just before the rotation
    held: HeldCredential | None = None
    attached: bool = False  # this run found the rotation running
    rotated: bool = False  # this run has evidence of the rotation
    groups_at: str = ""  # when this run last wrote the admin groups
    found: tuple[str, str] = ("", "")  # when this run found another run's rotation finished, and the ETag at that time
    asked_at: str = ""  # when this run asked for the rotation
    log_until: str = ""  # only the activity log tells what happened between the rotation's end and this moment
    ended: tuple[Evidence, ...] = ()  # the last look, kept while it waits for the activity log
    last: tuple[datetime, Posture] | None = None  # the last read at rest, and when it began; None once a write is near


class Engine:
    """Ports, timeouts and memory for any number of clusters side by side."""

    def __init__(self, ports: Ports, watch: Watch, timeouts: Timeouts) -> None:
        self.ports = ports
        self.watch = watch
        self.timeouts = timeouts
        self.deadlines = Deadlines(ports.clock, timeouts.poll_interval)
        self.authorities = Authorities(ports)
        self._readings = SharedReadings(ports)
        self._memberships = SharedReadings(ports)
        self._memory: dict[str, Memory] = {}
        self._group_locks: dict[str, asyncio.Lock] = {}
        self._fences: dict[str, Callable[[], Awaitable[None]]] = {}

    def of(self, cluster: ClusterId) -> Memory:
        """Return the memory of one cluster."""
        return self._memory.setdefault(cluster.key, Memory())

    def forget(self, cluster: ClusterId) -> None:
        """Drop the credential held of a cluster, and its memory."""
        self.authorities.forget(cluster)
        self.ports.vault.forget(cluster)
        self._memory.pop(cluster.key, None)

    def fence(self, cluster: ClusterId, still_ours: Callable[[], Awaitable[None]]) -> None:
        """Ask this before each write to the cluster. It raises Refused when another process may hold the cluster."""
        self._fences[cluster.key] = still_ours

    def group_lock(self, reference: str) -> asyncio.Lock:
        """Return the lock of an admin group. Several clusters may need one group, and one of them creates it."""
        return self._group_locks.setdefault(reference, asyncio.Lock())

    def stamp(self) -> str:
        """Return the present time as evidence writes it."""
        return checks.stamp(self.ports.clock)

    async def found_and_at_rest(self, cluster: ClusterId, *, recent: bool = False) -> tuple[Posture, Posture]:
        """Return the cluster as it is now, and once no operation runs on it.

        `recent`: what this run read at rest in the last seconds is enough, unless it wrote since.
        """
        if recent and (kept := self._recent(cluster)):
            return kept, kept
        now = self.ports.clock.now()
        found, posture = await self.watch.found_and_at_rest(cluster)
        self.of(cluster).last = (now, posture)
        return found, posture

    async def at_rest(self, cluster: ClusterId, *, recent: bool = False) -> Posture:
        """Wait until the cluster is at rest, and read it. `recent` as above."""
        return (await self.found_and_at_rest(cluster, recent=recent))[1]

    async def observe(self, cluster: ClusterId, *, recent: bool = False) -> Posture:
        """Wait until the cluster is at rest, and read it with its CA. `recent` as above."""
        return await self.with_ca(await self.at_rest(cluster, recent=recent))

    async def read(self, cluster: ClusterId) -> Posture:
        """Read the cluster with its CA, in whichever state it is."""
        return await self.with_ca(await self.ports.arm.cluster(cluster))

    async def read_lately(self, cluster: ClusterId) -> Posture:
        """Return the cluster with its CA as this run read it at rest in the last seconds, or read it now."""
        kept = self._recent(cluster)
        return await (self.with_ca(kept) if kept else self.read(cluster))

    def _recent(self, cluster: ClusterId) -> Posture | None:
        last = self.of(cluster).last
        return last[1] if last is not None and self.ports.clock.now() - last[0] < RECENT else None

    async def with_ca(self, posture: Posture, *, serving: bool = False) -> Posture:
        """Return a posture that was read just now with its CA, which is read only if it can have changed.

        `serving`: a kept CA counts only if the API server shows by a TLS handshake that it serves.
        """
        return posture.with_ca(await self.authorities.of(posture, serving=serving))

    async def expected_before(self, job: Job, step: Step) -> Guarded:
        """Return the state that the approved steps before this one lead to, with groups that exist by now."""
        return write_guards.expected_before(job.plan, step, await checks.existing_groups(self.ports, job.plan))

    async def ask_again(self, job: Job, step: Step, posture: Posture) -> None:
        """Check again, before a write, what could bar a way in or a way back, and that the cluster is still ours."""
        await self.ask_ways_again(job, step, posture)
        await self.still_ours(job.plan.cluster)

    async def ask_ways_again(self, job: Job, step: Step, posture: Posture) -> None:
        """Check again, before a write, what could bar a way in or a way back. The caller asks the fence afterwards."""
        if not job.plan.restores:
            reading = self._readings.of(job.plan.cluster)
            await preconditions.require(self.ports, job.plan, step, posture, job.skips, reading=reading)

    async def is_member(self, group: str, principal: str, token: str) -> bool | None:
        """Ask for a membership, as a proof of sign-in does. Clusters share an answer that is younger than the token."""
        return await self._memberships.present().once(
            "member", f"{group} {principal} {token}", lambda: self.ports.directory.is_member(group, principal)
        )

    def membership_lost(self) -> None:
        """Ask for memberships anew, because the directory does not show one any more that it showed before."""
        self._memberships.forget()

    def group_written(self) -> None:
        """Read everything about groups anew, because this process created one."""
        self._readings.forget()
        self._memberships.forget()

    async def still_ours(self, cluster: ClusterId) -> None:
        """Ask the cluster's fence. Raises Refused when another process may hold the cluster.

        A write follows, so nothing that was read before counts any more.
        """
        self.of(cluster).last = None
        await self._fences.get(cluster.key, write_guards.nobody_else)()

    async def finish(self, job: Job, step: Step, operation: Operation) -> None:
        """Wait for the end of our own operation. Raises Diverged when it did not succeed.

        The caller checks the effect afterwards.
        """
        self.of(job.plan.cluster).written[step.kind] = operation.correlation_id
        self.of(job.plan.cluster).last = None
        await write_guards.ended_well(self.watch, operation)

    def note_rotation_seen(self, cluster: ClusterId, at: str) -> str:
        """Note that the rotation was seen to have ended. Return when it was last known to run.

        Returns "" if this run neither asked for it nor saw it running. If somebody could have opened the cluster and
        closed it between the two moments, the activity log is needed up to the second one.
        """
        memory = self.of(cluster)
        running = self.watch.running_until(cluster, ROTATING, asked_at=memory.asked_at)
        memory.log_until = at if not running or unseen(running, at) else ""
        return running

    def own_write(self, job: Job, step: Step) -> tuple[bool, str]:
        """Return whether this run wrote for the step, and the correlation id of that write."""
        correlation_id = self.of(job.plan.cluster).written.get(step.kind)
        return correlation_id is not None, correlation_id or ""


def closed(job: Job) -> bool:
    """Whether local accounts are off once the plan is carried out."""
    return job.plan.target.local_accounts is LocalAccounts.OFF or not job.plan.before.local_accounts
