"""Whether callers with old credentials have stopped: what a gate with `quiet` decides from the clusters' audit logs.

A log says that nobody called only if it covers the whole time: it has reads, requests of the control plane (which never
rests) in each hour, and nothing of it is missing. An unknown log never opens a gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import in_words, stamp, when
from aks_entra.core.preflight.audit_callers import AuditedCallers, Caller
from aks_entra.core.rollout.own_calls import OwnCall, without_own
from aks_entra.core.rollout.owners import Owner

LEAD: Final = timedelta(hours=2)
"""How much more of a log is read than the quiet time, to see that it began before that."""
LATE: Final = timedelta(minutes=30)
"""How old a log's newest request may be. Azure shows most requests within minutes."""
LOOKS: Final = 24
"""How often the logs are read again in the quiet time; not more than each quarter of an hour, and at least each 6 h."""
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was read of a cluster's audit log, or why nothing was (`unknown`).

    `recorded`: what we called the cluster's API server for with its own credentials, as our evidence has it.
    """

    log: AuditedCallers | None = None
    unknown: str = ""
    recorded: tuple[OwnCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listened:
    """What a cluster's audit log says at a gate: callers that remain, or why that is unknown; the log is quiet if not.

    `since`: the last call with an old credential that the log shows, ISO 8601; empty: it shows none. `owners`: who
    looks after the cluster, and after the namespaces of its callers. `own`: this program's own calls with a credential
    that it held, which do not count.
    """

    cluster: ClusterId
    callers: tuple[Caller, ...] = ()
    unknown: str = ""
    since: str = ""
    owners: tuple[Owner, ...] = ()
    own: tuple[Caller, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether the log is known, and shows nobody with an old credential."""
        return not (self.callers or self.unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallersAtGate:
    """The clusters that kept the gate before a stage shut when their logs were read (`at`). Empty: it was quiet."""

    stage: str
    quiet: int
    at: str
    shut: tuple[Listened, ...] = ()


def listen(cluster: ClusterId, heard: Heard | None, quiet: int, now: datetime) -> Listened:
    """Judge a cluster's audit log for the last `quiet` seconds. `heard` is None if nobody read it."""
    if heard is None or heard.log is None:
        return Listened(cluster=cluster, unknown=heard.unknown if heard and heard.unknown else "nobody read its log")
    begins = now - timedelta(seconds=quiet)
    log = without_own(heard.log, heard.recorded)
    return Listened(
        cluster=cluster,
        callers=_not_before(begins, log.callers),
        unknown=_not_covered(log, begins, now),
        since=max((one.last_seen for one in log.callers), default=""),
        own=_not_before(begins, log.own),
    )


def not_quiet(
    clusters: Iterable[ClusterId], heard: Mapping[str, Heard], quiet: int, now: datetime
) -> tuple[Listened, ...]:
    """Return the clusters that keep a gate shut. `heard`: by `ClusterId.key`."""
    found = (listen(cluster, heard.get(cluster.key), quiet, now) for cluster in clusters)
    return tuple(one for one in found if not one.quiet)


def look_again(shut: tuple[Listened, ...], quiet: int, now: datetime) -> datetime:
    """Return when the logs are read again: after a part of the quiet time, or earlier if the gate can open before."""
    at = now + min(max(timedelta(seconds=quiet / LOOKS), timedelta(minutes=15)), timedelta(hours=6))
    last = [when(caller.last_seen) for one in shut for caller in one.callers]
    known = [at for at in last if at is not None]
    if any(one.unknown for one in shut) or len(known) < len(last):
        return at
    opens = max(known) + timedelta(seconds=quiet + 1)
    return min(at, max(opens, now + timedelta(minutes=1)))


def words_of(shut: tuple[Listened, ...], quiet: int) -> str:
    """Say why a gate is shut: `quiet 7d: 2 callers with old credentials at 1 cluster, the last at 2026-11-27T…`."""
    calling = [one for one in shut if one.callers]
    unknown = [one for one in shut if one.unknown]
    said = []
    if calling:
        callers = [caller for one in calling for caller in one.callers]
        who = f"{len(callers)} caller{'' if len(callers) == 1 else 's'} with old credentials"
        last = max(caller.last_seen for caller in callers)
        said.append(f"{who} at {_count(calling)}, the last at {last}")
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        said.append(f"{_count(unknown)} {verb} unknown ({unknown[0].cluster}: {unknown[0].unknown})")
    return f"quiet {in_words(quiet)}: {'; '.join(said) or 'no log was read'}"


def _not_covered(log: AuditedCallers, begins: datetime, now: datetime) -> str:
    """Return why a log does not prove that nobody called since `begins`. Empty if it does."""
    if log.missing:
        return log.missing
    if not log.complete:
        return "its audit log does not contain reads (kube-audit-admin): a caller that only reads is not in it"
    if not _before(log.since, begins):
        return f"its audit log begins at {log.since}, and must begin before {stamp(begins)}"
    until = when(log.until)
    if until is None or now - until > LATE:
        return f"the newest request in its audit log is of {log.until}: the requests since then have not arrived"
    first = begins.replace(minute=0, second=0, microsecond=0)
    hours = [stamp(first + number * _HOUR) for number in range((until - first) // _HOUR + 1)]
    absent = sorted(set(hours) - set(log.hours))
    if absent:
        more = f" and in {len(absent) - 1} more hours" if len(absent) > 1 else ""
        return f"its audit log has no request of the control plane in the hour from {absent[0]} on{more}"
    return ""


def _not_before(moment: datetime, callers: Iterable[Caller]) -> tuple[Caller, ...]:
    return tuple(one for one in callers if not _before(one.last_seen, moment))


def _before(at: str, moment: datetime) -> bool:
    """Whether something happened before a moment. An unreadable time did not."""
    known = when(at)
    return known is not None and known < moment


def _count(clusters: list[Listened]) -> str:
    return f"{len(clusters)} cluster{'' if len(clusters) == 1 else 's'}"
