"""What an API server of the sandbox knows about a real control plane that serves its cluster."""

from __future__ import annotations

from typing import Protocol


class Front(Protocol):
    """A control plane in its own processes, which needs time to reach the cluster's present state."""

    @property
    def port(self) -> int | None:
        """Return the loopback port on which it serves TLS. Returns None if it does not serve with the present keys."""

    @property
    def failed(self) -> str:
        """Return why it failed for good, or an empty string."""

    def behind(self) -> bool:
        """Return whether it has not reached the cluster's present state. The cluster's timeline waits meanwhile."""

    def wake(self) -> None:
        """Tell it that the cluster may have changed."""

    def retire(self) -> None:
        """Tell it that the cluster was deleted."""
