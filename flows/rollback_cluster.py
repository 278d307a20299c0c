"""Take a migration back, as far as that goes: plan the way back, store it, and have the coordinator carry it out.

The coordinator asks at its gate for an approval of the rollback's own digest. Only local accounts, admin groups and the
Azure RBAC flag go back; Microsoft Entra ID itself and the rotation stay.
"""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra import wayback
from aks_entra.core.plan import FleetPlan
from aks_entra.prefect_client import archive, names, records, runs, start_migration
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.wayback import plan_way_back


@flow(name="rollback-cluster", persist_result=False)
async def rollback_cluster(plan: str, clusters: list[str] | None = None) -> State[Any]:
    """Roll a migration back, behind a gate of its own.

    Args:
        plan: digest of the migration's plan, `sha256:…`.
        clusters: names, `resource-group/name` or ARM ids; all clusters of the plan when empty.
    """
    await sign_on()
    back = await plan_back(plan, tuple(clusters or ()))
    if not back.stages:
        return Completed(message="nothing to roll back")
    await archive.store_plan(back)
    await archive.show_plan(back)
    run = await start_migration(back.digest)
    seen = await runs.look_at(run.id)
    while not seen.ended:  # it is suspended at its gate and begins again in another process: only its end counts
        await asyncio.sleep(runs.EVERY)
        seen = await runs.look_at(run.id)
    message = f"plan {names.short(back.digest)}: {seen.message} · {seen.page}"
    return Completed(message=message) if seen.completed else Failed(message=message)


async def plan_back(digest: str, clusters: tuple[str, ...]) -> FleetPlan:
    """The plan back, from the clusters as they are now."""
    done = await archive.load_plan(digest)
    async with open_session(Settings(), prover=done.prover.spec):
        return await plan_way_back(done, wayback.chosen(done, clusters), await records())
