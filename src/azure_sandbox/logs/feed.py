"""Sends the audit logs of real control planes to Log Analytics, where a diagnostic setting says so.

The sandbox runs no scheduler and no controllers, whose requests never pause in AKS. So a log also gets one request of
kube-scheduler for each hour since its first event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from azure_sandbox.clock import Clock
from azure_sandbox.logs.state import AuditEvent, Logs

EXTRA = "authentication.kubernetes.io/"
Event = dict[str, Any]


class Feed:
    """`read` returns the new events (`audit.k8s.io/v1`) with the resource IDs of their clusters."""

    def __init__(self, logs: Logs, clock: Clock, read: Callable[[], Iterable[tuple[str, Event]]]) -> None:
        self._logs = logs
        self._clock = clock
        self._read = read
        self._merged: dict[tuple[Any, ...], int] = {}  # place of similar requests among the events of their cluster

    def __call__(self) -> None:
        """Take over the new events. Similar requests of an hour become one with a count, as in a world file."""
        for cluster, document in self._read():
            key = cluster.lower()
            event = _event(document, self._clock.shown(datetime.fromisoformat(document["stageTimestamp"])))
            if not self._logs.settings.get(key):
                continue  # Azure keeps no log for a cluster without a diagnostic setting
            events = self._logs.events.setdefault(key, [])
            if not any(it.hourly for it in events):
                events.append(AuditEvent(user="system:kube-scheduler", at=event.at, hourly=True))
            hour = event.at.replace(minute=0, second=0, microsecond=0)
            place = self._merged.setdefault((key, hour, replace(event, at=hour)), len(events))
            if place == len(events):
                events.append(event)
            else:
                events[place] = replace(event, count=events[place].count + 1)


def _event(document: Event, at: datetime) -> AuditEvent:
    user = document.get("user") or {}
    extra = user.get("extra") or {}
    about = document.get("objectRef") or {}
    return AuditEvent(
        user=str(user.get("username") or ""),
        at=at,
        verb=str(document.get("verb") or ""),
        groups=tuple(user.get("groups") or ()),
        user_agent=str(document.get("userAgent") or ""),
        address=str((document.get("sourceIPs") or [""])[0]),
        status=int((document.get("responseStatus") or {}).get("code") or 0),
        certificate=any(str(it).startswith("X509SHA256=") for it in extra.get(f"{EXTRA}credential-id") or ()),
        entra=bool(extra.get("oid")),
        pod=bool(extra.get(f"{EXTRA}pod-name")),
        resource=str(about.get("resource") or ""),
        namespace=str(about.get("namespace") or ""),
    )
