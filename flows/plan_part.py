"""Plan some clusters of a fleet inside of their network. The process that starts the run puts the parts together."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.documents import load_fleet
from aks_entra.errors import Refused
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.migration_records import load_plan
from aks_entra.prefect_client.part_runs import store_part
from aks_entra.prefect_client.run_log import PrefectLog
from aks_entra.settings import Settings
from tasks.planning import plan_changes, plan_fleet, plan_rotations
from tasks.session import open_session


@flow(name="plan-part", persist_result=False)
async def plan_part(
    fleet: str | None = None,
    plan: str | None = None,
    facts: str = "",
    members: list[str] | None = None,
    rotations: bool = False,
) -> State[Any]:
    """Plan a fleet, or plan some clusters of a stored plan again. It only reads, and its plan cannot be carried out.

    Args:
        fleet: the document of a fleet, as `migrate-fleet` makes it.
        plan: digest of a stored plan, instead of a fleet.
        facts: the second digest of that plan.
        members: ARM ids of the clusters to plan again.
        rotations: plan the rotations that the plan left owed, instead of what changed.
    """
    await register()
    if fleet is not None:
        wanted = load_fleet(fleet)
        async with open_session(Settings(), prover=wanted.prover, log=PrefectLog()):
            made: FleetPlan | None = await plan_fleet(wanted)
    elif plan is not None:
        agreed = await load_plan(plan, facts=facts)
        made = await again(agreed, tuple(map(ClusterId.parse, members or ())), rotations=rotations)
    else:
        raise Refused("neither a fleet nor a plan was given", remedy="migrate-fleet starts these runs itself")
    if made is None:
        return Completed(message="nothing changed")
    await store_part(made)
    return Completed(message=f"{len(made.clusters)} clusters of fleet {made.name} were planned")


async def again(plan: FleetPlan, clusters: tuple[ClusterId, ...], *, rotations: bool) -> FleetPlan | None:
    """Plan clusters of one group again, as the prover of the group."""
    (group,) = plan.groups_of(clusters)
    async with open_session(Settings(), prover=(group.prover or plan.prover).spec, log=PrefectLog()):
        return await plan_rotations(plan, clusters) if rotations else await plan_changes(plan, clusters)
