"""Which calls in an audit log this program made itself with a credential that it held.

It tries a held credential, and a plan reads the workloads with the admin credential if the fleet asks for that. Anybody
can send any user agent. So a call counts as ours only if a try or a read that was recorded at that time accounts for
it. One call more than was recorded is a caller: nobody hides behind our name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import when
from aks_entra.core.evidence.admin_reads import AdminRead
from aks_entra.core.evidence.observations import CredentialTried
from aks_entra.core.evidence.sightings import answered
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.preflight.audit_callers import (
    AuditedCallers,
    Call,
    Holds,
    callers_of,
    claims_to_be_ours,
    in_order,
)
from aks_entra.core.verdict.verdict import Verdict

AROUND: Final = timedelta(minutes=2)
"""How far the log's time of a call may be from the recorded time: connections take time, and clocks differ."""
_ADMIN: Final = frozenset({Holds.ADMIN_CERTIFICATE, Holds.STATIC_TOKEN})
_LISTS: Final = "list"  # a try lists one node, and a read lists kinds of objects
_UNAUTHORIZED: Final = 401

Calls = tuple[tuple[Holds, Call], ...]
OwnCall: TypeAlias = CredentialTried | AdminRead
"""A record of what this program called itself."""


@dataclass(slots=True, kw_only=True)
class _Recorded:
    """A recorded try or read: when it was made, and how many calls it can still account for."""

    since: datetime
    until: datetime
    calls: int

    def near(self, at: datetime | None) -> bool:
        return at is not None and self.since - AROUND <= at <= self.until + AROUND


def recorded_in(
    clusters: Collection[ClusterId], verdicts: Iterable[Verdict], plans: Iterable[FleetPlan] = ()
) -> dict[str, tuple[OwnCall, ...]]:
    """Return what verdicts and plans recorded of our own calls to clusters, by `ClusterId.key`. Each counts once."""
    found: dict[str, dict[OwnCall, None]] = {cluster.key: {} for cluster in clusters}
    for verdict in verdicts:
        if verdict.cluster.key in found:
            tries = (one for one in verdict.evidence if isinstance(one, CredentialTried))
            found[verdict.cluster.key].update(dict.fromkeys(tries))
    for plan in plans:
        for one in plan.clusters:
            if one.admin_read is not None and one.cluster.key in found:
                found[one.cluster.key][one.admin_read] = None
    return {key: tuple(calls) for key, calls in found.items()}


def without_own(log: AuditedCallers, recorded: Iterable[OwnCall]) -> AuditedCallers:
    """Return a cluster's audit log with this program's own calls apart from its callers: `callers` and `own`."""
    ours, others = own_calls(log.claimed, recorded)
    strangers = (one for one in log.callers if not claims_to_be_ours(one.user_agent))
    return replace(log, callers=in_order((*strangers, *callers_of(others))), own=callers_of(ours))


def own_calls(claimed: Calls, recorded: Iterable[OwnCall]) -> tuple[Calls, Calls]:
    """Part calls with this program's user agent into our own calls and those of others.

    A record accounts for as many calls as it has connections or requests, each of which was let in. Calls that one
    entry of the log counts together are all ours or all of others.
    """
    left = [found for one in recorded if (found := _recorded(one)) is not None]
    left.sort(key=lambda one: one.since)
    ours: list[tuple[Holds, Call]] = []
    others: list[tuple[Holds, Call]] = []
    for holds, call in sorted(claimed, key=lambda one: one[1].at):
        mine = holds in _ADMIN and call.verb == _LISTS and _account_for(call, left)
        (ours if mine else others).append((holds, call))
    return tuple(ours), tuple(others)


def _recorded(one: OwnCall) -> _Recorded | None:
    """Return when a record was made, and for how many calls. None if it has no time, or if it was not let in."""
    if isinstance(one, CredentialTried):
        since, until, calls = when(one.at), when(one.at), one.connections if _let_in(one) else 0
    else:
        since, until, calls = when(one.at), when(one.until), one.requests
    if since is None or until is None or not calls:
        return None
    return _Recorded(since=since, until=until, calls=calls)


def _let_in(one: CredentialTried) -> bool:
    """Whether all connections of a try were let in. Refused ones are in no list of callers."""
    return not one.mixed and answered(one.status) and one.status != _UNAUTHORIZED


def _account_for(call: Call, recorded: list[_Recorded]) -> bool:
    """Whether what was recorded at the time of a call accounts for it. If so, it accounts for so many calls fewer."""
    times = [when(call.first or call.at), when(call.at)]
    near = [one for one in recorded if all(map(one.near, times))]
    left = call.count
    if sum(one.calls for one in near) < left:
        return False
    for one in near:
        used = min(one.calls, left)
        one.calls, left = one.calls - used, left - used
    return True
