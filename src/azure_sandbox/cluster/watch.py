"""Watches: changes since a resource version, one JSON line per event, until the client's timeout.

The sandbox has no background tasks: a watch polls, and each poll applies the changes that are due.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from azure_sandbox.cluster import status
from azure_sandbox.cluster.resources import Resource
from azure_sandbox.cluster.selectors import matches
from azure_sandbox.cluster.store import Object, Store

LONGEST = 1800.0  # seconds; a real server picks between 30 and 60 minutes
PAUSE = 0.05  # seconds between two polls
Shown = Callable[[Object], Any]


class Watch:
    """A watch. `settle` applies the changes that are due; `shown` formats an object as the client asked."""

    def __init__(
        self, store: Store, resource: Resource, namespace: str, query: Mapping[str, str], settle: Callable[[], None]
    ) -> None:
        if query.get("sendInitialEvents"):
            raise status.invalid("meta.k8s.io", "ListOptions", "", "sendInitialEvents: Forbidden: not enabled")
        self._store = store
        self._resource = resource
        self._namespace = namespace
        self._wanted = (query.get("labelSelector", ""), query.get("fieldSelector", ""))
        self._name = ""
        self._settle = settle
        try:
            self._seconds = min(LONGEST, float(query.get("timeoutSeconds") or LONGEST))
            self._since = int(query.get("resourceVersion") or 0)
        except ValueError as error:
            raise status.bad_request("resourceVersion or timeoutSeconds cannot be read") from error
        matches({"metadata": {}}, *self._wanted)  # an invalid selector is refused before the stream begins

    def only(self, name: str) -> None:
        """Watch a single object."""
        self._name = name

    def _is_wanted(self, document: Object) -> bool:
        metadata = document["metadata"]
        if self._namespace and metadata.get("namespace") != self._namespace:
            return False
        return (not self._name or metadata["name"] == self._name) and matches(document, *self._wanted)

    async def lines(self, shown: Shown) -> AsyncIterator[bytes]:
        """Yield the events. Without a resource version, they begin with all existing objects."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        at = self._since
        if not at:
            at = int(self._store.version)
            for it in self._store.list(self._resource.key, self._namespace):
                if self._is_wanted(it):
                    yield _line("ADDED", shown(it))
        while True:
            self._settle()
            events = self._store.since(at)
            if events is None:
                problem = status.gone(f"too old resource version: {at} ({self._store.oldest})")
                yield _line("ERROR", problem.body)
                return
            for version, kind, key, document in events:
                at = version
                if key == self._resource.key and self._is_wanted(document):
                    yield _line(kind, shown(document))
            left = until - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(min(PAUSE, left))
            yield b""  # lets the sender check whether the client is still connected


def _line(kind: str, document: Any) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode() + b"\n"
