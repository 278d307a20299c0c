"""Reading a fleet, one task each: what there is, what a plan would do. Nothing here writes to Azure."""

from __future__ import annotations

from aks_entra import stage_survey, survey
from aks_entra.core.cluster import ClusterId
from aks_entra.core.fleet import Fleet, Selector, WantedGroup
from aks_entra.core.plan import FleetPlan
from aks_entra.core.windows import Window
from aks_entra.prefect_client import records
from aks_entra.survey import Row
from aks_entra.wiring import current_session
from tasks.observable import observable


@observable("plan fleet", of="fleet.name")
async def plan_fleet(fleet: Fleet) -> FleetPlan:
    """Read everything a plan rests on and decide; our own reports say which old credentials are dead."""
    return await survey.plan_fleet(current_session().ports, fleet, await records())


@observable("take inventory", of=None)
async def take_inventory(
    selectors: tuple[Selector, ...], *, probe: bool, read: bool, declared: tuple[WantedGroup, ...] = ()
) -> tuple[Row, ...]:
    """What there is, as deep as asked; and what of the groups that a fleet file declares is otherwise."""
    session = current_session()
    return await survey.inventory(
        session.ports, selectors, probe=probe, read=read, records=await records(), declared=declared
    )


@observable("read maintenance windows", of=None)
async def read_windows(clusters: tuple[ClusterId, ...]) -> tuple[tuple[Window, ...] | None, ...]:
    """The maintenance configurations of each cluster; None where they could not be read."""
    return await stage_survey.maintenance_windows(current_session().ports, clusters)


@observable("look for changes", of=None)
async def plan_changes(plan: FleetPlan, members: tuple[ClusterId, ...]) -> FleetPlan | None:
    """The plan made anew for those members that moved since it was made; None: nobody did."""
    ports = current_session().ports
    plans = tuple(plan.plan_for(member) for member in members)
    changes = await stage_survey.moved(ports, tuple(one for one in plans if not one.restores))
    return await survey.plan_again(ports, plan, changes, await records()) if changes else None


@observable("plan rotations", of=None)
async def plan_rotations(plan: FleetPlan, owing: tuple[ClusterId, ...]) -> FleetPlan:
    """The second part of a plan: the rotations that it left owed, as the clusters are now."""
    return await survey.plan_rotations(current_session().ports, plan, owing, await records())
