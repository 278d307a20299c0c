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
"""After this many missed times in a row a schedule is overdue."""
GRACE: Final = timedelta(minutes=5)
"""How late the last of them may begin, because a worker may be busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One deployment with a schedule, as Prefect's server knows it.

    `last`: when its newest run that did not crash began, scheduled or not; None if none did. `due`: the planned times
    after that (or after the deployment was created), oldest first, at least `MISSED` of them. `waiting`: the number of
    planned runs that no worker has begun.
    """

    deployment: str
    last: datetime | None = None
    due: tuple[datetime, ...] = ()
    waiting: int = 0
    active: bool = True
    found: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A schedule that does not run, why, and what to do."""

    deployment: str
    because: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.deployment} {self.because}"


def overdue(schedules: Iterable[Schedule], now: datetime) -> tuple[Overdue, ...]:
    """Return the schedules that missed more than `MISSED` of their times, are paused, or do not exist."""
    return tuple(found for one in schedules if (found := _trouble(one, now)) is not None)


def _trouble(schedule: Schedule, now: datetime) -> Overdue | None:
    name = schedule.deployment
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
            remedy=f"prefect deployment schedule resume {name}/{name} SCHEDULE-ID (`… schedule ls` lists them)",
        )
    late = len(schedule.due) < MISSED or now > schedule.due[MISSED - 1] + GRACE
    if not late:
        return None
    if schedule.waiting:
        return Overdue(
            deployment=name,
            because=f"{since}: {schedule.waiting} of its runs wait for a worker",
            remedy="start a worker: prefect worker start --pool aks-entra --type process (`aks-entra up` has one)",
        )
    return Overdue(
        deployment=name,
        because=f"{since}: Prefect's scheduler has planned no run of it",
        remedy="restart Prefect's server, and read its log for `scheduler`",
    )
