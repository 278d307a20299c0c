"""Admin groups that a fleet file declares, looked at again: what is otherwise than declared. Reads only."""

from __future__ import annotations

from aks_entra import proofs
from aks_entra.core.evidence import GroupSeen
from aks_entra.core.groups import Drift, GroupContents, drift
from aks_entra.core.plan import ClusterPlan, FleetPlan
from aks_entra.core.target import GroupTarget
from aks_entra.errors import AksEntraError
from aks_entra.patience import persist
from aks_entra.ports import Directory, Ports

_PATIENCE = 300.0  # seconds: how long throttling is waited out


async def drift_of(ports: Ports, target: GroupTarget) -> Drift:
    """One declared group beside the directory; what cannot be read is unknown, never "as declared"."""
    try:
        return drift(target, await persist(ports.clock, _PATIENCE, lambda: _contents(ports.directory, target)))
    except AksEntraError:
        return drift(target, None)


async def groups_seen(ports: Ports, plan: FleetPlan) -> dict[str, GroupSeen]:
    """Every group that a plan's fleet file declared, once each, by how the plan names it."""
    declared = {
        group.reference: group for one in plan.clusters for group in one.target.admin_groups if group.unique_name
    }
    found = {}
    for reference, group in declared.items():
        seen = await drift_of(ports, group)
        found[reference] = GroupSeen(
            at=proofs.stamp(ports.clock),
            group=reference,
            display_name=seen.display_name,
            differs=seen.differs,
            unknown=seen.unknown,
        )
    return found


def of_cluster(plan: ClusterPlan, seen: dict[str, GroupSeen]) -> tuple[GroupSeen, ...]:
    """What was seen of the groups that one cluster is to have."""
    return tuple(seen[group.reference] for group in plan.target.admin_groups if group.reference in seen)


async def _contents(directory: Directory, target: GroupTarget) -> GroupContents:
    group_id = target.id or await directory.group_with_unique_name(target.unique_name or "")
    if group_id is None:
        return GroupContents(id="", exists=False)
    return await directory.contents(group_id)
