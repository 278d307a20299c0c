"""Opens the sessions of runs. A run shares Azure's request buckets with all other runs of its Prefect server.

Prefect imports a flow before the event loop of its run begins, and this module with it. So Azure's clients are imported
here, and not when the first session is opened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aks_entra import wiring
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.ports.migration import Journal, RunLog
from aks_entra.prefect_client.request_shares import request_shares
from aks_entra.settings import Settings

wiring.load_services()


@asynccontextmanager
async def open_session(
    settings: Settings,
    *,
    prover: ProverSpec | None = None,
    journal: Journal | None = None,
    log: RunLog | None = None,
    look_only: bool = False,
) -> AsyncIterator[wiring.Session]:
    """Open a session as `wiring.open_session` does, with this process's part of Azure's request buckets."""
    async with (
        request_shares(settings.request_rate).used() as buckets,
        wiring.open_session(
            settings, prover=prover, journal=journal, log=log, look_only=look_only, buckets=buckets
        ) as session,
    ):
        yield session
