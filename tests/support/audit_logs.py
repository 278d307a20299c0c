"""Audit logs of clusters as they were read: callers, and the time that a log covers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from aks_entra.core.durations import stamp
from aks_entra.core.preflight.audit_callers import AuditedCallers, Caller, Holds
from tests.support.rollouts import NOW


def caller(*, last_seen: datetime = NOW, **how: Any) -> Caller:
    said = {"holds": Holds.ADMIN_CERTIFICATE, "username": "masterclient", "user_agent": "Helm/3.14.0"}
    counted = {"addresses": ("10.2.0.7",), "verbs": ("get", "list"), "count": 41, "last_seen": stamp(last_seen)}
    return Caller(**{**said, **counted, **how})


def covered(seconds: int, *callers: Caller, now: datetime = NOW, without: int = 0, **how: Any) -> AuditedCallers:
    """Return a log that covers these seconds before `now`, and two hours more; `without`: some of its first hours."""
    begins = now - timedelta(seconds=seconds) - timedelta(hours=2)
    first = begins.replace(minute=0, second=0, microsecond=0)
    hours = [first + timedelta(hours=number) for number in range((now - first) // timedelta(hours=1) + 1)]
    kept = hours[:2] + hours[2 + without :] if without else hours
    said = {"since": stamp(begins), "until": stamp(now), "events": 1_000, "complete": True, "callers": callers}
    return AuditedCallers(**{**said, "hours": tuple(map(stamp, kept)), **how})
