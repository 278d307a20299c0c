"""One cluster's plan over an open session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.planning.planner import plan_fleet
from tests.contract.small_world import ADMINS, SUBSCRIPTION

if TYPE_CHECKING:
    from aks_entra.wiring import Session


async def planned(session: Session, name: str) -> FleetPlan:
    target = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),))
    selector = Selector(subscription=SUBSCRIPTION, name=name)
    return await plan_fleet(session.ports, Fleet(name="prod", selectors=(selector,), target=target), ())
