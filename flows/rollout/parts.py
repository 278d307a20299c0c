"""Plans clusters again where they can be read: each group on its work queue, as its prover."""

from __future__ import annotations

import asyncio
import logging

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.parts import put_together
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import MemberGroup
from aks_entra.errors import AksEntraError
from aks_entra.planning.unreadable_cluster import plan_of_unreadable_again
from aks_entra.prefect_client.part_runs import plan_again_elsewhere
from aks_entra.prefect_client.run_log import tell
from aks_entra.settings import Settings
from tasks.planning import plan_changes, plan_rotations
from tasks.session import open_session


async def plan_what_changed(plan: FleetPlan, clusters: tuple[ClusterId, ...]) -> FleetPlan | None:
    """Plan clusters again that changed, or whose way in or way back is barred now. None if there are none.

    A group that nobody can read now is left out: its batch is started on the same work queue, and looks again.
    """

    async def of(group: MemberGroup) -> FleetPlan | None:
        if not group.work_queue:
            async with open_session(Settings(), prover=(group.prover or plan.prover).spec):
                return await plan_changes(plan, group.members)
        try:
            return await plan_again_elsewhere(plan, group, rotations=False)
        except AksEntraError as error:
            names = ", ".join(map(str, group.members))
            tell(f"{names}: not read again at the gate, but before each write: {error}", level=logging.WARNING)
            return None

    found = await asyncio.gather(*(of(group) for group in plan.groups_of(clusters)))
    changed = tuple(one for one in found if one is not None)
    return put_together(plan, changed) if changed else None


async def plan_owed_rotations(plan: FleetPlan, clusters: tuple[ClusterId, ...]) -> FleetPlan:
    """Plan the rotations that a plan left owed. Clusters that nobody can read now are refused, with the reason."""

    async def of(group: MemberGroup) -> FleetPlan:
        if not group.work_queue:
            async with open_session(Settings(), prover=(group.prover or plan.prover).spec):
                return await plan_rotations(plan, group.members)
        try:
            made = await plan_again_elsewhere(plan, group, rotations=True)
        except AksEntraError as error:
            return plan.rotations(
                tuple(plan_of_unreadable_again(plan.plan_for(one), error) for one in group.members), at=plan.created_at
            )
        assert made is not None  # noqa: S101 - rotations are always planned
        return made

    found = await asyncio.gather(*(of(group) for group in plan.groups_of(clusters)))
    plans = tuple(one for part in found for one in part.clusters)
    return plan.rotations(plans, at=max(part.created_at for part in found))
