"""Find the plan that was carried out last on a cluster, on Prefect's server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aks_entra.errors import Refused
from aks_entra.prefect_client import migration_records
from aks_entra.prefect_client.names import short

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import FleetPlan


async def last_plan_of(names: tuple[str, ...]) -> FleetPlan:
    """Return the plan of the newest migration of a fleet with all of these clusters.

    `names` are names, `resource-group/name` or ARM ids. Raises Refused unless exactly one fleet has them.
    """
    found = await migration_records.last_found()
    plans = [plan for _, plan in found.read if not any(one.restores for one in plan.clusters)]
    having = [plan for plan in plans if all(_has(plan, name) for name in names)]
    if len(having) == 1:
        return having[0]
    listed = ", ".join(names)
    if having:
        digests = ", ".join(f"{short(plan.digest)} ({plan.name})" for plan in having)
        raise Refused(f"several plans contain {listed}: {digests}", remedy="name the plan's digest before the clusters")
    unread = "".join(f"; {lost}" for lost in found.unread)
    raise Refused(
        f"no migration of {listed} is stored at this Prefect server{unread}",
        remedy="name the plan's file or digest first",
    )


def _has(plan: FleetPlan, name: str) -> bool:
    wanted = name.casefold().rstrip("/")
    return any(
        wanted in {one.cluster.name.casefold(), str(one.cluster).casefold(), one.cluster.key} for one in plan.clusters
    )
