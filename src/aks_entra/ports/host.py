"""The questions about the machine that this process runs on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aks_entra.core.doctor import Reach, Tool
    from aks_entra.core.preflight import Home


class Host(Protocol):
    """The machine that this process runs on."""

    async def home(self) -> Home:
        """Return whether it runs in a cluster, and the addresses of the services that it depends on."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a host name, as this machine resolves it."""

    async def tools(self, *names: str) -> tuple[Tool, ...]:
        """Return these tools in this order, found or not. The names are az, kubectl, kubelogin and helm."""

    async def reach(self, now: datetime) -> tuple[Reach, ...]:
        """Return whether Azure's hosts answer, and how far their clocks are from `now`."""
