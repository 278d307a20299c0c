"""Read a stage's clusters again: whether they changed, what is left to do, what was written. Nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.durations import moment
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.plan import ClusterPlan, Moved, remaining
from aks_entra.core.steps import Guarded, Step, writes
from aks_entra.errors import AksEntraError
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.retry import persist

_PATIENCE: Final = 300.0  # seconds: how long throttling is waited out for one read
_SIDE_BY_SIDE: Final = 20
_LISTED_FROM: Final = 5
"""The number of a subscription's clusters from which on its list is read instead of each cluster."""


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
    """How a cluster compares with its approved plan: differences in words, and the steps that are left.

    `posture` has the CA, and `groups` the object ids of admin groups that the plan creates. A cluster that cannot be
    read or has a running operation has no posture. It and one that changed count as due to write.
    """

    differences: tuple[str, ...] = ()
    posture: Posture | None = None
    left: tuple[Step, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def due_to_write(self) -> bool:
        """Whether steps that write are left, as far as anybody knows."""
        return self.posture is None or bool(self.differences) or any(writes(step) for step in self.left)


async def look_again(ports: Ports, plans: tuple[ClusterPlan, ...]) -> dict[ClusterId, Now]:
    """Read each cluster from Azure and compare it with the states that its approved steps lead through.

    Many clusters of a subscription are read with its list. Each cluster is read by itself before its first write.
    """
    listed = await _listed(ports, tuple(plan.cluster for plan in plans))

    async def of(plan: ClusterPlan) -> Now:
        cluster = plan.cluster
        try:
            posture = listed.get(cluster.key)
            if posture is None:
                posture = await persist(ports.clock, _PATIENCE, lambda: ports.arm.cluster(cluster))
            if not posture.at_rest or posture.stopped:
                return Now()
            ca = plan.authority_of(posture)
            if ca is None:
                ca = await persist(ports.clock, _PATIENCE, lambda: ports.arm.certificate_authority(cluster))
            groups = await checks.existing_groups(ports, plan)
        except AksEntraError:
            return Now()
        posture = posture.with_ca(ca)
        left = remaining(plan, Guarded.of(posture), groups)
        if isinstance(left, Moved):
            return Now(differences=left.differences, posture=posture, groups=groups)
        return Now(posture=posture, left=left, groups=groups)

    return dict(
        zip((plan.cluster for plan in plans), await bounded_gather(of, plans, at_once=_SIDE_BY_SIDE), strict=True)
    )


async def _listed(ports: Ports, clusters: tuple[ClusterId, ...]) -> dict[str, Posture]:
    """Return clusters by their key as the lists of their subscriptions show them. A list that fails shows none."""
    counted = Counter(cluster.subscription_id.lower() for cluster in clusters)

    async def of(subscription_id: str) -> list[Posture]:
        async def read() -> list[Posture]:
            return [one async for one in ports.arm.list_clusters(subscription_id)]

        try:
            return await persist(ports.clock, _PATIENCE, read)
        except AksEntraError:
            return []

    many = [subscription_id for subscription_id, count in counted.items() if count >= _LISTED_FROM]
    found = await bounded_gather(of, many, at_once=_SIDE_BY_SIDE)
    return {posture.cluster.key: posture for postures in found for posture in postures}


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
