"""What the tests of the executor share: a plan of the world in memory, and where clusters start from."""

from __future__ import annotations

from typing import Any

from aks_entra.core.cluster import Identity
from aks_entra.core.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.plan import FleetPlan
from aks_entra.executor import Job
from aks_entra.survey import plan_fleet
from tests.unit.ports_world import (
    ADMINS,
    OTHERS,
    SUBSCRIPTION,
    World,
)

CREATED = WantedGroup(name="cluster-admins", create=True, members=("dana@contoso.com",))


async def planned(world: World, target: WantedTarget | None = None) -> FleetPlan:
    fleet = Fleet(
        name="prod",
        selectors=(Selector(subscription=SUBSCRIPTION),),
        target=target or WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
    )
    return await plan_fleet(world.process().ports, fleet, ())


def job_of(plan: FleetPlan, index: int = 0) -> Job:
    return Job(digest=plan.digest, plan=plan.clusters[index], prover=plan.prover)


async def job_for(world: World, target: WantedTarget | None = None) -> Job:
    return job_of(await planned(world, target))


STARTS: dict[str, dict[str, Any]] = {
    "legacy": {"identity": Identity.LEGACY, "tenant_id": "22222222-2222-2222-2222-222222222222"},
    "none": {},
    "managed, accounts on": {"identity": Identity.MANAGED},
    "managed, another group": {"identity": Identity.MANAGED, "groups": (OTHERS,)},
    "closed, never rotated": {"identity": Identity.MANAGED, "local_accounts": False},
}
