"""Counts of what a sandbox has seen: requests by host and status, unmodelled routes, refused hosts."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

NOT_MODELLED = 501
MOST = 1000  # distinct lines: a client that invents paths must not fill the memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One answered request, without headers and bodies, so without secrets. `words`: why it is not modelled."""

    at: datetime
    host: str
    method: str
    path: str
    status: int
    words: str = ""


class Report:
    """Counts since the start."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._unmodelled: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def note(self, exchange: Exchange) -> None:
        """Count an exchange. An unmodelled one is also logged."""
        self._requests[
            exchange.host if not exchange.host.endswith(".azmk8s.io") else "*.azmk8s.io", exchange.status
        ] += 1
        if exchange.status == NOT_MODELLED:
            line = f"{exchange.method} https://{exchange.host}{exchange.path}: {exchange.words}"
            _log.warning("not modelled: %s", line)
            self._count(self._unmodelled, line)

    def refuse(self, host: str) -> None:
        """Count a refused host."""
        self._count(self._refused, host)

    @staticmethod
    def _count(counter: Counter[str], line: str) -> None:
        if line in counter or len(counter) < MOST:
            counter[line] += 1

    def shown(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        requests: dict[str, dict[str, int]] = {}
        for (host, status), number in sorted(self._requests.items()):
            requests.setdefault(host, {})[str(status)] = number
        return {
            "requests": requests,
            "unmodelled": dict(sorted(self._unmodelled.items())),
            "refusedHosts": dict(sorted(self._refused.items())),
        }
