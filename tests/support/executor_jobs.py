"""Shared by the tests of the executor: a plan of the world in memory, and the start states of clusters."""

from __future__ import annotations

from typing import Any

from aks_entra.core.cluster import Identity
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.planning.planner import plan_fleet
from tests.support.memory_model import ADMINS, OTHERS, SUBSCRIPTION
from tests.support.memory_ports import World

CREATED = WantedGroup(name="cluster-admins", create=True, members=("dana@contoso.com",))
STARTS: dict[str, dict[str, Any]] = {
    "legacy": {"identity": Identity.LEGACY, "tenant_id": "22222222-2222-2222-2222-222222222222"},
    "none": {},
    "managed, accounts on": {"identity": Identity.MANAGED},
    "managed, another group": {"identity": Identity.MANAGED, "groups": (OTHERS,)},
    "closed, never rotated": {"identity": Identity.MANAGED, "local_accounts": False},
}


async def planned(world: World, target: WantedTarget | None = None) -> FleetPlan:
    fleet = Fleet(
        name="prod",
        selectors=(Selector(subscription=SUBSCRIPTION),),
        target=target or WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
    )
    return await plan_fleet(world.process().ports, fleet, world.records)


def job_of(plan: FleetPlan, index: int = 0) -> Job:
    return Job(digest=plan.digest, plan=plan.clusters[index], prover=plan.prover)


async def job_for(world: World, target: WantedTarget | None = None) -> Job:
    return job_of(await planned(world, target))


async def calls_of_a_migration() -> list[str]:
    world = World()
    world.add()
    job = await job_for(world)
    await world.process().executor.migrate(job)
    return world.calls
