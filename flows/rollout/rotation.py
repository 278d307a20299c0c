"""The second part of a rollout: the rotations that the first part left owed, under their own plan."""

from __future__ import annotations

from uuid import UUID

from aks_entra.core.rollout.actions import StartRotation
from aks_entra.core.rollout.next_action import RolloutState
from aks_entra.prefect_client import migration_records, progress
from flows.rollout.gates import adopt, read
from flows.rollout.parts import plan_owed_rotations


async def start_rotation(run: UUID, state: RolloutState, todo: StartRotation) -> RolloutState:
    """Plan the owed rotations and adopt that plan. Its gates count from the ends of the first plan's stages."""
    first = state.plan
    second = await plan_owed_rotations(first, todo.clusters)
    await migration_records.store_plan(second)
    await progress.soak_from(second.digest, first)
    await adopt(run, second)
    return await read(run, second)
