"""Timeouts that continue over repeated calls: raise TryLater until the timeout, then the final error."""

from __future__ import annotations

from typing import NoReturn

from aks_entra.core.cluster import ClusterId
from aks_entra.errors import AksEntraError, Diverged, Refused, TryLater
from aks_entra.ports.migration import Clock


class Deadlines:
    """Remembers when each wait of each cluster began. A new process starts each wait again."""

    def __init__(self, clock: Clock, poll_interval: float) -> None:
        self._clock = clock
        self._poll_interval = poll_interval
        self._since: dict[tuple[str, str], float] = {}  # (cluster, what is waited for): seconds since the epoch

    def patient(self, cluster: ClusterId, what: str, limit: float) -> bool:
        """Whether a wait is still within its limit of so many seconds. The first call starts the wait."""
        now = self._clock.now().timestamp()
        return now - self._since.setdefault((cluster.key, what), now) < limit

    def arrived(self, cluster: ClusterId, what: str) -> None:
        """End a wait. The next wait of this name starts again."""
        self._since.pop((cluster.key, what), None)

    def later(
        self,
        cluster: ClusterId,
        what: str,
        limit: float,
        message: str,
        *,
        remedy: str = "",
        cause: AksEntraError | None = None,
        last: type[Refused | Diverged] = Diverged,
    ) -> NoReturn:
        """Raise TryLater until the limit, then `last`. The error carries the code of the service's error, `cause`."""
        code, correlation_id = (cause.code, cause.correlation_id) if cause else ("", "")
        if self.patient(cluster, what, limit):
            after = cause.after if isinstance(cause, TryLater) else self._poll_interval
            raise TryLater(message, after=after, code=code, correlation_id=correlation_id) from cause
        self.arrived(cluster, what)
        text = f"{message} (after {limit / 60:.0f} minutes)"
        raise last(text, remedy=remedy, code=code, correlation_id=correlation_id) from cause
