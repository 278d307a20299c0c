"""Roll back the reversible parts of a migration: plan the rollback, store it, and let the coordinator carry it out.

The coordinator asks at its gate for an approval of the rollback's own digest. Only local accounts, admin groups and the
Azure RBAC flag are restored. Microsoft Entra ID itself and the rotation are irreversible.
"""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.core.planning.plan import FleetPlan
from aks_entra.planning import rollback
from aks_entra.prefect_client import following, migration_records, names, records, runs, start_migration
from aks_entra.prefect_client.liveness import register
from aks_entra.settings import Settings
from tasks.rollback import plan_way_back
from tasks.session import open_session


@flow(name="rollback-cluster", persist_result=False)
async def rollback_cluster(plan: str, clusters: list[str] | None = None) -> State[Any]:
    """Roll a migration back after an approval at the rollback's own gate.

    Args:
        plan: digest of the migration's plan, `sha256:…`.
        clusters: names, `resource-group/name` or ARM ids; if empty, all clusters of the plan.
    """
    await register()
    back = await plan_back(plan, tuple(clusters or ()))
    if not back.stages:
        return Completed(message="nothing to roll back")
    await migration_records.store_plan(back)
    await migration_records.show_plan(back)
    run = await start_migration(back.digest)
    seen = await following.look_at(run.id)
    while not seen.ended:  # it is suspended at its gate and continues in another process
        await asyncio.sleep(runs.EVERY)
        seen = await following.look_at(run.id)
    message = f"plan {names.short(back.digest)}: {seen.message} · {seen.page}"
    return Completed(message=message) if seen.completed else Failed(message=message)


async def plan_back(digest: str, clusters: tuple[str, ...]) -> FleetPlan:
    """Plan the rollback from the clusters as they are now."""
    done = await migration_records.load_plan(digest)
    async with open_session(Settings(), prover=done.prover.spec):
        return await plan_way_back(done, rollback.chosen(done, clusters), await records())
