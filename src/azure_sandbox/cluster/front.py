"""What an API server of the sandbox needs to know of a real control plane that serves it: how far it is."""

from __future__ import annotations

from typing import Protocol


class Front(Protocol):
    """A control plane of its own processes, which takes its time to become what the cluster already is."""

    @property
    def port(self) -> int | None:
        """Where it serves TLS on loopback; None while it does not, or still with other keys."""

    @property
    def failed(self) -> str:
        """Why it will not serve any more; empty while it may."""

    def behind(self) -> bool:
        """Whether it has not caught up: nothing more happens to the cluster until it has."""

    def wake(self) -> None:
        """Something may have happened."""

    def retire(self) -> None:
        """The cluster is gone."""
