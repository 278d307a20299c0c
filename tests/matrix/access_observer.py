"""Checks rule 1 of the architecture at every port call: somebody can get in.

A way in is an Entra sign-in that works, or an admin credential from Azure while local accounts are on. During an
outage (a rotation, an API server that is down) rule 2 applies: local accounts can be switched on through ARM.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aks_entra.core.cluster import Identity
from tests.support.memory_model import Cluster
from tests.support.memory_ports import World


@dataclass(slots=True)
class AccessObserver:
    """Counts the checks, and records those at which nobody could get in."""

    world: World
    checks: int = 0
    lockouts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.observers.append(self.check_access)

    def check_access(self) -> None:
        for cluster in self.world.clusters.values():
            self.checks += 1
            if not way_in(self.world, cluster):
                where = self.world.calls[-1] if self.world.calls else "the start"
                self.lockouts.append(f"{cluster.id} at call {len(self.world.calls)} ({where})")


def way_in(world: World, cluster: Cluster) -> bool:
    """Whether somebody can get in now."""
    down = not cluster.reachable or world.now() < cluster.down_until
    if down or cluster.state == "RotatingClusterCertificates":
        return not world.locked
    return cluster.local_accounts or signs_in(world, cluster)


def signs_in(world: World, cluster: Cluster) -> bool:
    """Whether a member of an admin group or a principal with the role can sign in with Microsoft Entra ID."""
    if cluster.identity is not Identity.MANAGED or world.now() < cluster.knows_tokens_at:
        return False
    wanted = {one.lower() for one in cluster.groups}
    by_group = any(
        group.id.lower() in wanted and group.members and group.deleted_on is None and group.security
        for group in world.groups.values()
    )
    return by_group or (cluster.azure_rbac and bool(cluster.roles))
