"""Fleets of the world in memory, and the plans and inventories of them."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import Identity
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.planning.inventory import Row, inventory
from aks_entra.planning.planner import plan_fleet
from aks_entra.planning.selection import Selection
from tests.support.memory_model import ADMINS
from tests.support.memory_ports import World

WHOLE = Selector(subscription="prod-eu")
GROUPED = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),))


def fleet_world(count: int = 3) -> World:
    world = World()
    for number in range(1, count + 1):
        world.add(f"shop-{number:02}", identity=Identity.MANAGED, fqdn=f"{number}.azmk8s.io")
    return world


async def planned(world: World, wanted: WantedTarget = GROUPED, **fleet: object) -> FleetPlan:
    whole = Fleet(name="prod", selectors=(WHOLE,), target=wanted)
    return await plan_fleet(world.process().ports, replace(whole, **fleet), ())  # type: ignore[arg-type]  # the tests' own fields


async def rows(world: World, *selectors: Selector, probe: bool = False, read: bool = False) -> tuple[Row, ...]:
    wanted = Selection(selectors=selectors or (WHOLE,))
    return await inventory(world.process().ports, wanted, probe=probe, read=read, records=())
