"""Find the time about which nothing is known, from Azure's activity log and from two looks with the same ETag.

The activity log shows a request some minutes after it was made, and keeps it for 90 days. A cluster's ETag changes with
every write. If two looks show the same ETag, nothing was written between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aks_entra.core.durations import stamp, when
from aks_entra.core.evidence.observations import ActivityLogRead


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a cluster with local accounts off: its time, and the ETag in ARM."""

    at: datetime
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time about which nothing is known.

    `again` says when another look can close the gap (ISO 8601; empty: never). `unread`: the activity log was not read.
    """

    because: str
    again: str = ""
    unread: bool = False


def gap(start: datetime, end: datetime, looks: tuple[Look, ...], log: ActivityLogRead | None) -> Gap | None:
    """Return the gap between `start` and `end`, or None if everything is known."""
    since, until = (when(log.since), when(log.until)) if log else (None, None)
    seen = sorted((look for look in looks if look.etag), key=lambda look: look.at)
    known = start
    while True:
        reach = [known]
        if since and until and since <= known:
            reach.append(until)
        reach += [
            later.at
            for number, first in enumerate(seen)
            if first.at <= known
            for later in seen[number + 1 :]
            if later.etag == first.etag
        ]
        if max(reach) == known:
            break
        known = max(reach)
    if known >= end:
        return None
    return _why(known, end, since, until, log)


def _why(
    known: datetime, end: datetime, since: datetime | None, until: datetime | None, log: ActivityLogRead | None
) -> Gap:
    if log is None or since is None or until is None:
        problem = f": {log.problem}" if log and log.problem else ""
        return Gap(because=f"Azure's activity log could not be read from {stamp(known)[:10]} on{problem}", unread=True)
    if since > known:
        return Gap(
            because=f"Azure's activity log begins on {stamp(since)[:10]}, nothing is known from {stamp(known)[:10]} on"
        )
    read = when(log.at) or end
    again = stamp(end + (read - until))
    return Gap(
        because=f"the cluster may have been written since: Azure's activity log is complete only up to {stamp(until)}",
        again=again,
    )
