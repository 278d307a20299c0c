"""Somebody who tries the door at every moment: rule 1 of the architecture, tried and not argued.

A way in is an Entra sign-in that works, or an admin credential from Azure while local accounts are on. During an
outage (a rotation, an API server that is down) the second rule holds: local accounts can be switched on through ARM.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aks_entra.core.cluster import Identity
from tests.unit.ports_world import Cluster, World


@dataclass(slots=True)
class Doorkeeper:
    """Counts the moments, and names those at which nobody would have got in."""

    world: World
    moments: int = 0
    shut: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.observers.append(self.try_every_door)

    def try_every_door(self) -> None:
        for cluster in self.world.clusters.values():
            self.moments += 1
            if not way_in(self.world, cluster):
                where = self.world.calls[-1] if self.world.calls else "the start"
                self.shut.append(f"{cluster.id} at call {len(self.world.calls)} ({where})")


def way_in(world: World, cluster: Cluster) -> bool:
    """Whether somebody gets in now."""
    down = not cluster.reachable or world.now() < cluster.down_until
    if down or cluster.state == "RotatingClusterCertificates":
        return not world.locked
    return cluster.local_accounts or signs_in(world, cluster)


def signs_in(world: World, cluster: Cluster) -> bool:
    """Whether a member of an admin group, or a holder of the role, gets in with Microsoft Entra ID."""
    if cluster.identity is not Identity.MANAGED or world.now() < cluster.knows_tokens_at:
        return False
    wanted = {one.lower() for one in cluster.groups}
    by_group = any(
        group.id.lower() in wanted and group.members and group.deleted_on is None and group.security
        for group in world.groups.values()
    )
    return by_group or (cluster.azure_rbac and bool(cluster.roles))
