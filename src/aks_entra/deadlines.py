"""Waits with a limit that survive being called again: TryLater until the limit, then the last word."""

from __future__ import annotations

from typing import NoReturn

from aks_entra.core.cluster import ClusterId
from aks_entra.errors import AksEntraError, Diverged, Refused, TryLater
from aks_entra.ports import Clock


class Deadlines:
    """When each wait of each cluster began. In memory: a new process is patient anew."""

    def __init__(self, clock: Clock, every: float) -> None:
        self._clock = clock
        self._every = every
        self._since: dict[tuple[str, str], float] = {}  # (cluster, what is waited for): seconds since the epoch

    def patient(self, cluster: ClusterId, what: str, limit: float) -> bool:
        """Whether the time for a wait, in seconds, is not over yet; it begins when it is first asked for."""
        now = self._clock.now().timestamp()
        return now - self._since.setdefault((cluster.key, what), now) < limit

    def arrived(self, cluster: ClusterId, what: str) -> None:
        """What was waited for is there: the next wait of this name begins anew."""
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
        """Raise TryLater until the limit, then `last`. What the service said (`cause`) goes with it."""
        code, correlation_id = (cause.code, cause.correlation_id) if cause else ("", "")
        if self.patient(cluster, what, limit):
            after = cause.after if isinstance(cause, TryLater) else self._every
            raise TryLater(message, after=after, code=code, correlation_id=correlation_id) from cause
        self.arrived(cluster, what)
        text = f"{message} (after {limit / 60:.0f} minutes)"
        raise last(text, remedy=remedy, code=code, correlation_id=correlation_id) from cause
