"""The `Host` port on the machine that this process runs on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from aks_entra.adapters.host import location, tools
from aks_entra.core.doctor import Reach, Tool
from aks_entra.core.preflight import Home


class ThisHost:
    """This machine, as this process sees it."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        service_account: Path = location.SERVICE_ACCOUNT,
        *,
        patience: float,
    ) -> None:
        """`patience` is the timeout in seconds of each tool and each host. `environment` is this process's own."""
        self._environment = os.environ if environment is None else environment
        self._service_account = service_account
        self._patience = patience

    async def home(self) -> Home:
        """Return whether this is a pod, the CA of its cluster, and the addresses of the services that it depends on."""
        return await location.home(self._environment, self._service_account)

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a host name, as this machine resolves it. Empty if it does not resolve."""
        return await location.addresses(host)

    async def tools(self, *names: str) -> tuple[Tool, ...]:
        """Return these tools in this order, found or not."""
        path = self._environment.get("PATH", "")
        return tuple(await asyncio.gather(*(tools.tool(name, path, seconds=self._patience) for name in names)))

    async def reach(self, now: datetime) -> tuple[Reach, ...]:
        """Return whether each of Azure's hosts answers HTTPS, with any status, and how far its clock is from `now`."""
        return await tools.reach(now, seconds=self._patience)
