"""One task for each way to read a fleet: inventory, plans, rechecks. Nothing here writes to Azure."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aks_entra.core.cluster import ClusterId
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.fleet import Fleet, WantedGroup
from aks_entra.core.planning.parts import FleetPart
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.owners import Owner
from aks_entra.core.rollout.quiet import Heard, Listened
from aks_entra.execution import gate_recheck
from aks_entra.planning import audit_logs, inventory, planner, recheck
from aks_entra.planning.inventory import Row
from aks_entra.planning.selection import Selection
from aks_entra.prefect_client import plan_elsewhere, recorded_calls, records
from aks_entra.settings import Settings
from aks_entra.wiring import current_session
from tasks.azure_task import observable
from tasks.session import open_session


@observable("plan fleet", of="fleet.name")
async def plan_fleet(fleet: Fleet) -> FleetPlan:
    """Read everything that a plan needs, and plan. Our own reports show which old credentials are dead."""
    ports = current_session().ports
    return await planner.plan_fleet(ports, fleet, await records(), elsewhere=_elsewhere, own_calls=recorded_calls)


async def _elsewhere(part: FleetPart) -> FleetPlan:
    """Plan a part of a fleet: by a worker of its work queue, or in a session with its prover."""
    if part.work_queue:
        return await plan_elsewhere(part)
    async with open_session(Settings(), prover=part.fleet.prover) as session:
        return await planner.plan_fleet(session.ports, part.fleet, await records(), own_calls=recorded_calls)


@observable("take inventory", of=None)
async def take_inventory(
    wanted: Selection, *, probe: bool, read: bool, declared: tuple[WantedGroup, ...] = ()
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return the clusters at the requested depth, with differences in declared groups, and the problems.

    A problem is a selector whose clusters could not be listed, although others could.
    """
    session = current_session()
    problems: list[str] = []
    rows = await inventory.inventory(
        session.ports,
        replace(wanted, fresh=False, on_problem=lambda problem: problems.append(str(problem))),
        probe=probe,
        read=read,
        records=await records(),
        declared=declared,
    )
    return rows, tuple(problems)


@observable("read maintenance windows", of=None)
async def read_windows(clusters: tuple[ClusterId, ...]) -> tuple[tuple[MaintenanceWindow, ...] | None, ...]:
    """Return the maintenance configurations of each cluster. None where they could not be read."""
    return await recheck.maintenance_windows(current_session().ports, clusters)


@observable("read audit logs", of=None)
async def read_logs(clusters: tuple[ClusterId, ...], quiet: int) -> dict[str, Heard]:
    """Return what the audit logs show of the last `quiet` seconds, by `ClusterId.key`, and our own calls in them."""
    heard = await audit_logs.listen_to(current_session().ports, clusters, quiet)
    claimed = [cluster for cluster in clusters if (log := heard[cluster.key].log) and log.claimed]
    recorded = await recorded_calls(claimed) if claimed else {}
    return {key: replace(one, recorded=recorded.get(key, ())) for key, one in heard.items()}


@observable("read owners", of=None)
async def read_owners(shut: tuple[Listened, ...]) -> dict[str, tuple[Owner, ...]]:
    """Return who looks after each cluster and the namespaces of its callers, by `ClusterId.key`."""
    return await audit_logs.owners_of(current_session().ports, shut)


@observable("look for changes", of=None)
async def plan_changes(plan: FleetPlan, members: tuple[ClusterId, ...]) -> FleetPlan | None:
    """Plan again for clusters that changed, or whose way in or way back is barred now. None if there are none."""
    ports = current_session().ports
    plans = tuple(plan.plan_for(member) for member in members)
    changes = await gate_recheck.changes(ports, tuple(one for one in plans if not one.restores), plan.skip_rules)
    if not changes:
        return None
    return await planner.plan_again(ports, plan, changes, await records(), own_calls=recorded_calls)


@observable("look what is left to do", of=None)
async def due_to_write(plan: FleetPlan, members: tuple[ClusterId, ...]) -> tuple[ClusterId, ...]:
    """Return the clusters with writing steps left, as Azure shows them now, and those that cannot be read."""
    found = await recheck.look_again(current_session().ports, tuple(plan.plan_for(one) for one in members))
    return tuple(cluster for cluster, now in found.items() if now.due_to_write)


@observable("look what was written", of=None)
async def shown_writes(plan: FleetPlan, members: tuple[ClusterId, ...]) -> tuple[tuple[str, ...] | None, ...]:
    """Return what Azure shows as written on each cluster since the plan was made. None where it is unreadable."""
    ports = current_session().ports
    plans = [plan.plan_for(one) for one in members]
    return tuple(await asyncio.gather(*(recheck.shown_writes(ports, one, plan.created_at) for one in plans)))


@observable("plan rotations", of=None)
async def plan_rotations(plan: FleetPlan, owing: tuple[ClusterId, ...]) -> FleetPlan:
    """Plan the rotations that a plan left owed, as the clusters are now."""
    ports = current_session().ports
    return await planner.plan_rotations(ports, plan, owing, await records(), own_calls=recorded_calls)
