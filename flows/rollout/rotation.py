"""The second part of a rollout: the rotations that the first part left owed, under their own plan."""

from __future__ import annotations

from uuid import UUID

from aks_entra.core.rollout.actions import StartRotation
from aks_entra.core.rollout.next_action import RolloutState
from aks_entra.prefect_client import migration_records, progress
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from flows.rollout.gates import adopt, read
from tasks.planning import plan_rotations


async def start_rotation(run: UUID, state: RolloutState, todo: StartRotation) -> RolloutState:
    """Plan the owed rotations and adopt that plan. Its gates count from the ends of the first plan's stages."""
    first = state.plan
    async with open_session(Settings(), prover=first.prover.spec):
        second = await plan_rotations(first, todo.clusters)
    await migration_records.store_plan(second)
    await progress.soak_from(second.digest, first)
    await adopt(run, second)
    return await read(run, second)
