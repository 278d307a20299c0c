"""Which plan was carried out last on a cluster, as Prefect's server knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aks_entra.errors import Refused
from aks_entra.prefect_client import archive
from aks_entra.prefect_client.names import short

if TYPE_CHECKING:
    from aks_entra.core.plan import FleetPlan


async def last_plan_of(names: tuple[str, ...]) -> FleetPlan:
    """The newest migration's plan of a fleet that has all of these clusters (names, `group/name`, or ARM ids).

    Raises Refused when no fleet has them, or several have.
    """
    plans = [plan for plan in await archive.last_plans() if not any(one.restores for one in plan.clusters)]
    having = [plan for plan in plans if all(_has(plan, name) for name in names)]
    if len(having) == 1:
        return having[0]
    listed = ", ".join(names)
    if having:
        digests = ", ".join(f"{short(plan.digest)} ({plan.name})" for plan in having)
        raise Refused(f"several plans have {listed}: {digests}", remedy="name the plan's digest before the clusters")
    raise Refused(
        f"no migration of {listed} is known at this Prefect server", remedy="name the plan's file or digest first"
    )


def _has(plan: FleetPlan, name: str) -> bool:
    wanted = name.casefold().rstrip("/")
    return any(
        wanted in {one.cluster.name.casefold(), str(one.cluster).casefold(), one.cluster.key} for one in plan.clusters
    )
