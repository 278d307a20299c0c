"""When a sweep has to run: at the end of each opening and grant, and soon after an end that was not carried out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

DELAY: Final = timedelta(minutes=5)
"""How long after an end a sweep begins at the latest. A process that waits for the end has this time to end it itself.

A sweep that could not end something is repeated after the same time.
"""
DAY: Final = timedelta(days=1)


def first_sweep(end: datetime, *, attended: bool) -> datetime:
    """Return when the sweep for an end has to begin. `attended`: a process or a flow run waits to end it itself."""
    return end + DELAY if attended else end


def missing_sweeps(ends: Iterable[datetime], scheduled: Iterable[datetime], now: datetime) -> tuple[datetime, ...]:
    """Return the times for which a sweep is still to be scheduled, so that one begins within `DELAY` of each end.

    `ends`: of everything that is open; for an end that has passed, the present counts. `scheduled`: when the sweeps
    begin that are scheduled already. All times are in UTC.
    """
    times = list(scheduled)
    missing = []
    for end in sorted(max(end, now) for end in ends):
        if not any(end <= at <= end + DELAY for at in times):
            times.append(end + DELAY)
            missing.append(end + DELAY)
    return tuple(missing)


def ends_ahead(ends: Iterable[datetime | None], now: datetime) -> tuple[datetime, ...]:
    """Return the ends in records of grants for which a sweep has to be scheduled before this one begins its work.

    These are the ends that have not come, and those of the last moments: if this sweep dies, another one follows. A
    grant without an end (None) needs none.
    """
    return tuple(end for end in ends if end is not None and end > now - DELAY)


def looks_again(ends: Iterable[datetime | None], now: datetime) -> bool:
    """Return whether a place that cannot be read is looked at again soon: a grant may be there whose end just passed.

    If no grant ended within a day, the schedule of the sweep is soon enough.
    """
    return any(end is not None and now - DAY < end <= now for end in ends)
