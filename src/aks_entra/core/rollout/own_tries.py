"""Which calls in an audit log are this program's own tries of a credential that it held.

Anybody can send any user agent. So a call counts as ours only if a try that our evidence recorded at that time accounts
for it. One call more than was recorded is a caller: nobody hides behind our name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import CredentialTried
from aks_entra.core.evidence.sightings import answered
from aks_entra.core.preflight.audit_callers import Call, Holds

AROUND: Final = timedelta(minutes=2)
"""How far the log's time of a call may be from the recorded time of a try: connections take time, and clocks differ."""
_ADMIN: Final = frozenset({Holds.ADMIN_CERTIFICATE, Holds.STATIC_TOKEN})
_TRIED: Final = "list"  # a try lists one node
_UNAUTHORIZED: Final = 401

Calls = tuple[tuple[Holds, Call], ...]


@dataclass(slots=True, kw_only=True)
class _Try:
    """A recorded try, and how many calls it can still account for."""

    at: datetime
    calls: int


def own_tries(claimed: Calls, tries: Iterable[CredentialTried]) -> tuple[Calls, Calls]:
    """Part calls with this program's user agent into our own tries and the calls of others.

    A try accounts for as many calls as it made connections, each of which was let in. Calls that one entry of the log
    counts together are all ours or all of others.
    """
    left = [_Try(at=at, calls=one.connections) for one in tries if _let_in(one) and (at := when(one.at)) is not None]
    left.sort(key=lambda one: one.at)
    ours: list[tuple[Holds, Call]] = []
    others: list[tuple[Holds, Call]] = []
    for holds, call in sorted(claimed, key=lambda one: one[1].at):
        mine = holds in _ADMIN and call.verb == _TRIED and _account_for(call, left)
        (ours if mine else others).append((holds, call))
    return tuple(ours), tuple(others)


def _let_in(one: CredentialTried) -> bool:
    """Whether all connections of a try were let in. Refused ones are in no list of callers."""
    return not one.mixed and answered(one.status) and one.status != _UNAUTHORIZED


def _account_for(call: Call, tries: list[_Try]) -> bool:
    """Whether tries at the time of a call account for it. If so, they account for so many calls fewer."""
    times = [when(call.first or call.at), when(call.at)]
    near = [one for one in tries if all(at is not None and abs(one.at - at) <= AROUND for at in times)]
    left = call.count
    if sum(one.calls for one in near) < left:
        return False
    for one in near:
        used = min(one.calls, left)
        one.calls, left = one.calls - used, left - used
    return True
