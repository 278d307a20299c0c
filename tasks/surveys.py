"""Reading a fleet, one task each: what there is, what a plan would do. Nothing here writes to Azure."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from aks_entra import survey
from aks_entra.core.fleet import Fleet, Selector, WantedGroup
from aks_entra.core.plan import FleetPlan
from aks_entra.prefect_client import records
from aks_entra.survey import Row
from aks_entra.wiring import current_session
from tasks.observable import HOURS, MANY, try_later


@task(
    name="plan fleet",
    task_run_name="plan fleet · {fleet.name}",
    retries=MANY,
    retry_condition_fn=try_later,
    timeout_seconds=HOURS,
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def plan_fleet(fleet: Fleet) -> FleetPlan:
    """Read everything a plan rests on and decide; our own reports say which old credentials are dead."""
    return await survey.plan_fleet(current_session().ports, fleet, await records())


@task(
    name="take inventory",
    retries=MANY,
    retry_condition_fn=try_later,
    timeout_seconds=HOURS,
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def take_inventory(
    selectors: tuple[Selector, ...], *, probe: bool, read: bool, declared: tuple[WantedGroup, ...] = ()
) -> tuple[Row, ...]:
    """What there is, as deep as asked; and what of the groups that a fleet file declares is otherwise."""
    session = current_session()
    return await survey.inventory(
        session.ports, selectors, probe=probe, read=read, records=await records(), declared=declared
    )
