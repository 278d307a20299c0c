"""Find schedules that do not run. A sweep that does not run leaves access and accounts open, without a message.

So commands and flows check the schedules. The input is what Prefect's server knows of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.durations import stamp

MISSED: Final = 2
"""After this many missed times in a row a schedule is overdue. So each schedule is judged by its own interval."""
GRACE: Final = timedelta(minutes=5)
"""How late a run may begin, because a worker may be busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One deployment (`flow/deployment`) with a schedule, as Prefect's server knows it.

    `last`: when its newest run that did not crash began, scheduled or not; None if none did. `due`: the planned times
    after that (or after the deployment was created), oldest first, at least `MISSED` of them. `late`: for when its runs
    were planned whose time is over and that nothing has begun, oldest first. `pool`, `pool_type`: its work pool.
    `workers`: whether workers begin the runs of that pool. Those of push and managed work pools begin without one.
    `online`: whether such a worker is online.
    """

    deployment: str
    last: datetime | None = None
    due: tuple[datetime, ...] = ()
    late: tuple[datetime, ...] = ()
    active: bool = True
    found: bool = True
    pool: str = "aks-entra"
    pool_type: str = "process"
    workers: bool = True
    online: bool = True

    @property
    def shown(self) -> str:
        """The name of its deployment for people: `end-access`, but `migrate-fleet/prod`."""
        flow, _, name = self.deployment.rpartition("/")
        return name if flow == name else self.deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A schedule that does not run, why, and what to do. `deployment` is its name as people read it."""

    deployment: str
    because: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.deployment} {self.because}"


def overdue(schedules: Iterable[Schedule], now: datetime) -> tuple[Overdue, ...]:
    """Return the schedules that do not run: they are paused, do not exist, or have no worker, or their runs are late.

    Runs are late if `MISSED` times were missed, or if one run has not begun `GRACE` after its time.
    """
    return tuple(found for one in schedules if (found := _trouble(one, now)) is not None)


def _trouble(schedule: Schedule, now: datetime) -> Overdue | None:
    name = schedule.shown
    if not schedule.found:
        return Overdue(
            deployment=name,
            because="does not exist on this Prefect server, so it never runs",
            remedy="prefect deploy --all (`aks-entra up` does it)",
        )
    since = f"has not run since {stamp(schedule.last)}" if schedule.last else "has never run"
    if not schedule.active:
        return Overdue(
            deployment=name,
            because=f"{since}: it is paused, or has no active schedule",
            remedy=f"prefect deployment schedule resume {schedule.deployment} SCHEDULE-ID (`… schedule ls` lists them)",
        )
    late = [at for at in schedule.late if now > at + GRACE]
    if late:
        return Overdue(deployment=name, because=f"{since}: {_late(schedule, late)}", remedy=_remedy(schedule))
    if schedule.workers and not schedule.online:
        because = f"{since}, and no worker of pool {schedule.pool} is online"
        return Overdue(deployment=name, because=because, remedy=_remedy(schedule))
    if len(schedule.due) < MISSED or now > schedule.due[MISSED - 1] + GRACE:
        return Overdue(
            deployment=name,
            because=f"{since}: Prefect's scheduler has planned no run of it",
            remedy="restart Prefect's server, and read its log for `scheduler`",
        )
    return None


def _late(schedule: Schedule, late: list[datetime]) -> str:
    waits = "waits for a worker" if schedule.workers else f"does not begin in work pool {schedule.pool}"
    wait = "wait for a worker" if schedule.workers else f"do not begin in work pool {schedule.pool}"
    if len(late) == 1:
        return f"a run {waits} since {stamp(late[0])}"
    return f"{len(late)} of its runs {wait}, the first since {stamp(late[0])}"


def _remedy(schedule: Schedule) -> str:
    if not schedule.workers:
        return f"see whether work pool {schedule.pool} is paused or full: prefect work-pool inspect {schedule.pool}"
    command = f"prefect worker start --pool {schedule.pool} --type {schedule.pool_type}"
    return f"start a worker: {command} (`aks-entra up` has one)"
