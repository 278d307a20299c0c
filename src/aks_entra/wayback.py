"""Reads what a rollback rests on, and plans it: `core.rollback` decides. Nothing here writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aks_entra import proofs
from aks_entra.core.cluster import ClusterId
from aks_entra.core.debt import Record, old_credentials
from aks_entra.core.plan import ClusterPlan, FleetPlan
from aks_entra.core.rollback import WayBack, gone, plan_rollback, rollback_fleet
from aks_entra.errors import AksEntraError, Refused
from aks_entra.patience import persist
from aks_entra.ports import Ports
from aks_entra.survey import needed_actions

_T = TypeVar("_T")
_PATIENCE: Final = 300.0  # seconds of throttling
_AT_A_TIME: Final = 10


def chosen(plan: FleetPlan, names: tuple[str, ...]) -> tuple[ClusterId, ...]:
    """The clusters of a plan by name, `resource-group/name` or ARM id; all of them when none is named.

    Raises Refused for a name that the plan has not, or has twice.
    """
    if not names:
        return tuple(one.cluster for one in plan.clusters)
    found = []
    for name in names:
        wanted = name.casefold().rstrip("/")
        hits = [
            one.cluster
            for one in plan.clusters
            if wanted in {one.cluster.name.casefold(), str(one.cluster).casefold(), one.cluster.key}
        ]
        if len(hits) != 1:
            known = ", ".join(str(one.cluster) for one in plan.clusters[:20])
            what = "is in the plan more than once" if hits else "is not in the plan"
            raise Refused(f"{name} {what}", remedy=f"name one of {known}")
        found += hits
    return tuple(dict.fromkeys(found))


async def plan_way_back(
    ports: Ports, done: FleetPlan, clusters: tuple[ClusterId, ...], records: tuple[Record, ...]
) -> FleetPlan:
    """The plan back of some clusters of a migration's plan, as they are now. Raises Refused for a rollback's plan."""
    if any(one.restores for one in done.clusters):
        raise Refused(
            "this is the plan of a rollback", remedy="name the plan of the migration; to go on, migrate again"
        )
    places = asyncio.Semaphore(_AT_A_TIME)

    async def one(cluster: ClusterId) -> ClusterPlan:
        async with places:
            return await _plan(ports, done.plan_for(cluster), records)

    plans = await asyncio.gather(*(one(cluster) for cluster in clusters))
    return rollback_fleet(done, tuple(plans), created_at=proofs.stamp(ports.clock))


async def _plan(ports: Ports, done: ClusterPlan, records: tuple[Record, ...]) -> ClusterPlan:
    """One cluster's way back. Decided twice: the first time shows which rights its steps need."""
    arm, cluster = ports.arm, done.cluster

    async def patiently(call: Callable[[], Awaitable[_T]]) -> _T:
        return await persist(ports.clock, _PATIENCE, call)

    async def known(call: Callable[[], Awaitable[_T | None]]) -> _T | None:
        try:
            return await patiently(call)
        except AksEntraError:
            return None

    try:
        now = await patiently(lambda: proofs.read(ports, cluster))
        groups = await patiently(lambda: proofs.existing_groups(ports, done))
    except Refused as error:
        return gone(done, error.message)
    facts = WayBack(groups=groups, old_credentials=old_credentials(now, records))
    steps = plan_rollback(done, now, facts).steps
    if steps:
        facts = WayBack(
            groups=groups,
            old_credentials=facts.old_credentials,
            missing_permissions=await known(lambda: arm.missing_permissions(cluster, needed_actions(steps))),
            locks=await known(lambda: arm.locks(cluster, now.node_resource_group)),
        )
    return plan_rollback(done, now, facts)
