"""The page of a coordinator's run in Prefect that shows how far its rollout is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import UUID

from prefect.client.orchestration import get_client

from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.progress import PAGE, overview
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.following import StoredVerdicts, batches_of
from aks_entra.prefect_client.names import key, short
from aks_entra.prefect_client.progress import now
from aks_entra.report import progress_lines
from aks_entra.report.time_left import time_left

PATIENCE: Final = 20.0
"""Seconds after which one renewal is given up."""
_log: Final = logging.getLogger(__name__)


class _Page:
    """The page under one plan. A renewal costs three queries and one write, or no write if nothing changed."""

    def __init__(self, run: UUID, plan: FleetPlan, known: Mapping[str, Verdict], request_rate: float) -> None:
        self._run, self._plan, self._rate = run, plan, request_rate
        self._verdicts = StoredVerdicts(known, plan.digest)
        self._artifact = artifacts.Renewed(key("page-progress", short(plan.digest)), kind="markdown", ours=False)
        self._counts: object = None

    async def renew(self) -> None:
        """Write the page again if a count changed. It waits for nothing: the rollout goes on without it."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._renew()
        except Exception as error:  # noqa: BLE001 - whatever it is, no cluster waits for a page
            _log.info("the page with the progress could not be renewed: %s", type(error).__name__)

    async def _renew(self) -> None:
        async with get_client() as client:
            batches = await batches_of(client, await client.read_flow_run(self._run))
        at, clusters = now(), await self._verdicts.with_batches(self._plan, batches)
        whole = overview(self._plan, clusters, at)
        if (whole.counts, whole.steps) != self._counts:
            left = time_left(self._plan, clusters, at, request_rate=self._rate)
            await self._artifact.put(progress_lines.page(self._plan, whole, at, left=left))
            self._counts = (whole.counts, whole.steps)


@asynccontextmanager
async def shown(
    run: UUID, plan: FleetPlan, known: Mapping[str, Verdict], *, request_rate: float
) -> AsyncIterator[None]:
    """Renew the page while a stage runs, at most every `PAGE` seconds, and once at its end.

    Args:
        run: the coordinator.
        plan: what it carries out.
        known: the stored verdicts, by `ClusterId.key`.
        request_rate: the setting of that name, for the time left.
    """
    page = _Page(run, plan, known, request_rate)

    async def renew() -> None:
        while True:
            await asyncio.sleep(PAGE.seconds(len(plan.clusters)))
            await page.renew()

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
    await page.renew()
