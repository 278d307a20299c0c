"""Compare the admin groups that a fleet file declares with the directory. Nothing is written."""

from __future__ import annotations

from functools import partial

from aks_entra.core.evidence.observations import GroupSeen
from aks_entra.core.group_drift import Drift, GroupContents, drift
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.target import GroupTarget
from aks_entra.errors import AksEntraError
from aks_entra.planning.reader import Reading
from aks_entra.ports.directory import Directory
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.retry import persist

_PATIENCE = 300.0  # seconds: how long throttling is waited out


async def drift_of(ports: Ports, target: GroupTarget) -> Drift:
    """Compare one declared group with the directory. What cannot be read is unknown, never "as declared"."""
    try:
        return drift(target, await persist(ports.clock, _PATIENCE, lambda: _contents(ports.directory, target)))
    except AksEntraError:
        return drift(target, None)


async def drifts(ports: Ports, reader: Reading, groups: tuple[GroupTarget, ...]) -> tuple[Drift, ...]:
    """Compare the declared groups that exist. Each group is read once."""
    declared = [one for one in groups if one.id and one.unique_name]
    return tuple([await reader.once("drift", one.reference, partial(drift_of, ports, one)) for one in declared])


async def groups_seen(ports: Ports, plan: FleetPlan) -> dict[str, GroupSeen]:
    """Compare every group that a plan's fleet file declared. The keys are the plan's names of the groups."""
    declared = {
        group.reference: group for one in plan.clusters for group in one.target.admin_groups if group.unique_name
    }
    found = {}
    for reference, group in declared.items():
        seen = await drift_of(ports, group)
        found[reference] = GroupSeen(
            at=checks.stamp(ports.clock),
            group=reference,
            display_name=seen.display_name,
            differs=seen.differs,
            unknown=seen.unknown,
        )
    return found


def of_cluster(plan: ClusterPlan, seen: dict[str, GroupSeen]) -> tuple[GroupSeen, ...]:
    """Return what was seen of one cluster's target groups."""
    return tuple(seen[group.reference] for group in plan.target.admin_groups if group.reference in seen)


async def _contents(directory: Directory, target: GroupTarget) -> GroupContents:
    group_id = target.id or await directory.group_with_unique_name(target.unique_name or "")
    if group_id is None:
        return GroupContents(id="", exists=False)
    return await directory.contents(group_id)
