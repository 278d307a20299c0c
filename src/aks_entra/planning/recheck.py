"""Read a stage's clusters again: whether they changed, what is left to do, what was written. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import moment
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.plan import ClusterPlan, Moved, remaining
from aks_entra.core.steps import Guarded, writes
from aks_entra.errors import AksEntraError
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.retry import persist

_PATIENCE: Final = 300.0  # seconds: how long throttling is waited out for one read
_SIDE_BY_SIDE: Final = 20


async def maintenance_windows(
    ports: Ports, clusters: tuple[ClusterId, ...]
) -> tuple[tuple[MaintenanceWindow, ...] | None, ...]:
    """Return the maintenance windows of each cluster, or None if they cannot be read."""

    async def of(cluster: ClusterId) -> tuple[MaintenanceWindow, ...] | None:
        try:
            return await persist(ports.clock, _PATIENCE, lambda: ports.arm.maintenance_windows(cluster))
        except AksEntraError:
            return None

    return await bounded_gather(of, clusters, at_once=_SIDE_BY_SIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """How a cluster compares with its approved plan: differences in words, and whether steps that write are left.

    A cluster that cannot be read, has a running operation or changed counts as one with such steps left.
    """

    differences: tuple[str, ...] = ()
    due_to_write: bool = True


async def look_again(ports: Ports, plans: tuple[ClusterPlan, ...]) -> dict[ClusterId, Now]:
    """Read each cluster from Azure and compare it with the states that its approved steps lead through."""

    async def of(plan: ClusterPlan) -> Now:
        cluster = plan.cluster
        try:
            posture = await persist(ports.clock, _PATIENCE, lambda: ports.arm.cluster(cluster))
            if not posture.at_rest or posture.stopped:
                return Now()
            ca = await persist(ports.clock, _PATIENCE, lambda: ports.arm.certificate_authority(cluster))
            groups = await checks.existing_groups(ports, plan)
        except AksEntraError:
            return Now()
        left = remaining(plan, Guarded.of(posture.with_ca(ca)), groups)
        if isinstance(left, Moved):
            return Now(differences=left.differences)
        return Now(due_to_write=any(writes(step) for step in left))

    return dict(
        zip((plan.cluster for plan in plans), await bounded_gather(of, plans, at_once=_SIDE_BY_SIDE), strict=True)
    )


async def moved(ports: Ports, plans: tuple[ClusterPlan, ...]) -> dict[ClusterId, tuple[str, ...]]:
    """Return the clusters whose state matches no point of their approved plan, with the differences.

    A cluster that cannot be read, or has a running operation, counts as unchanged: it is read again before its first
    write.
    """
    found = await look_again(ports, plans)
    return {cluster: now.differences for cluster, now in found.items() if now.differences}


async def shown_writes(ports: Ports, plan: ClusterPlan, since: str) -> tuple[str, ...] | None:
    """Return the writes that Azure shows on a cluster since a moment (ISO 8601). None if they cannot be read.

    The activity log shows writers, and the CA shows a rotation.
    """
    cluster = plan.cluster
    try:
        writers = await persist(ports.clock, _PATIENCE, lambda: ports.arm.writers(cluster))
        ca = await persist(ports.clock, _PATIENCE, lambda: ports.arm.certificate_authority(cluster))
    except AksEntraError:
        return None
    if writers is None:
        return None
    found = [
        f"Azure's activity log shows a write by {writer.name} at {writer.at}"
        for writer in reversed(writers)
        if _after(writer.at, since)
    ]
    if plan.rotates and plan.rotates.ca_before != ca.fingerprint:
        found.append(f"the CA was replaced, and is valid from {ca.not_before} on")
    return tuple(found)


def _after(at: str, since: str) -> bool:
    """Whether something happened after a moment. Unreadable times count as yes."""
    try:
        return moment(at) > moment(since)
    except ValueError:
        return True
