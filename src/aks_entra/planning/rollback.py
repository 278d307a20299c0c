"""Read what a rollback needs, and plan it. `core.planning.rollback` decides. Nothing is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.evidence.rotation_debt import Record, needs_log, old_credentials
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.planning.rollback import WayBack, gone, plan_rollback, rollback_fleet
from aks_entra.core.steps import Step
from aks_entra.errors import AksEntraError, Refused
from aks_entra.planning.reader import needed_actions
from aks_entra.planning.unreadable_cluster import words
from aks_entra.ports.migration import ControlPlane, Ports
from aks_entra.probes import checks
from aks_entra.probes.old_credentials import activity_log
from aks_entra.retry import persist

_T = TypeVar("_T")
_PATIENCE: Final = 300.0  # seconds of throttling
_AT_A_TIME: Final = 10


def chosen(plan: FleetPlan, names: tuple[str, ...]) -> tuple[ClusterId, ...]:
    """Return clusters of a plan by name, `resource-group/name` or ARM id. Without names, return all.

    Raises Refused for a name that the plan does not have, or has twice.
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
    """Plan the rollback of some clusters of a migration's plan. Raises Refused for the plan of a rollback.

    A cluster that cannot be read is refused in the plan, with the reason. The others are planned.
    """
    if any(one.restores for one in done.clusters):
        raise Refused(
            "this is the plan of a rollback", remedy="name the plan of the migration; to go on, migrate again"
        )

    async def one(cluster: ClusterId) -> ClusterPlan:
        try:
            return await _plan(ports, done.plan_for(cluster), records)
        except Exception as error:  # noqa: BLE001 - one failure must not stop the others
            return gone(done.plan_for(cluster), words(error))

    plans = await bounded_gather(one, clusters, at_once=_AT_A_TIME)
    return rollback_fleet(done, plans, created_at=checks.stamp(ports.clock))


async def _missing(arm: ControlPlane, now: Posture, steps: tuple[Step, ...]) -> tuple[str, ...] | None:
    """Return the rights that the steps need and the runner lacks.

    Returns None if none is known to be missing, but one could not be read.
    """
    missing = await arm.missing_permissions(now.cluster, needed_actions(steps))
    answers = [(right, await arm.may(right.scope, right.action)) for right in now.linked]
    lacking = (*(missing or ()), *(str(right) for right, answer in answers if answer is False))
    unknown = missing is None or None in (answer for _, answer in answers)
    return None if unknown and not lacking else lacking


async def _plan(ports: Ports, done: ClusterPlan, records: tuple[Record, ...]) -> ClusterPlan:
    """Plan one cluster's rollback. It is decided twice: the first time shows which rights the steps need."""
    arm, cluster = ports.arm, done.cluster

    async def patiently(call: Callable[[], Awaitable[_T]]) -> _T:
        return await persist(ports.clock, _PATIENCE, call)

    async def known(call: Callable[[], Awaitable[_T | None]]) -> _T | None:
        try:
            return await patiently(call)
        except AksEntraError:
            return None

    at = checks.stamp(ports.clock)
    try:
        now = await patiently(lambda: checks.read(ports, cluster))
        groups = await patiently(lambda: checks.existing_groups(ports, done))
    except Refused as error:
        return gone(done, error.message)
    log = await activity_log(ports, _PATIENCE, cluster) if needs_log(now, records, now=at) else None
    policies = await known(lambda: arm.policies(cluster))
    kept = None if policies is None else any(one.ours for one in policies)
    facts = WayBack(groups=groups, old_credentials=old_credentials(now, records, log, now=at), kept=kept)
    steps = plan_rollback(done, now, facts).steps
    if steps:
        facts = replace(
            facts,
            missing_permissions=await known(lambda: _missing(arm, now, steps)),
            locks=await known(lambda: arm.locks(cluster, now.node_resource_group)),
        )
    return plan_rollback(done, now, facts)
