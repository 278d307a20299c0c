"""Read a stage's clusters again at its gate, to find changes and a barred way in or way back. Never writes."""

from __future__ import annotations

from typing import Final

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.plan import ClusterPlan, Moved, remaining
from aks_entra.core.preflight import Skip
from aks_entra.core.steps import EnsureAdminGroup, Guarded
from aks_entra.errors import AksEntraError
from aks_entra.execution import preconditions
from aks_entra.planning.reader import Reading
from aks_entra.planning.recheck import moved
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks

_SIDE_BY_SIDE: Final = 20


async def changes(
    ports: Ports, plans: tuple[ClusterPlan, ...], skips: tuple[Skip, ...]
) -> dict[ClusterId, tuple[str, ...]]:
    """Return the clusters that changed, or that a finding bars which their plan does not show, with the reasons.

    `skips` are the rules that a person accepted.
    """
    found = await moved(ports, plans)
    return found | await barred(ports, tuple(one for one in plans if one.cluster not in found), skips)


async def barred(
    ports: Ports, plans: tuple[ClusterPlan, ...], skips: tuple[Skip, ...]
) -> dict[ClusterId, tuple[str, ...]]:
    """Return the clusters that may not do the steps that are left, with the reasons.

    A cluster that cannot be read, or on which an operation runs, is left out. The same questions are asked again
    before its first write.
    """
    reading = Reading(ports)

    async def of(plan: ClusterPlan) -> tuple[str, ...]:
        try:
            return await _found(ports, reading, plan, skips)
        except AksEntraError:
            return ()

    found = await bounded_gather(of, plans, at_once=_SIDE_BY_SIDE)
    return {plan.cluster: words for plan, words in zip(plans, found, strict=True) if words}


async def _found(ports: Ports, reading: Reading, plan: ClusterPlan, skips: tuple[Skip, ...]) -> tuple[str, ...]:
    posture = await reading.patiently(lambda: ports.arm.cluster(plan.cluster))
    if not posture.at_rest or posture.stopped:
        return ()
    posture = posture.with_ca(await reading.patiently(lambda: ports.arm.certificate_authority(plan.cluster)))
    groups = await reading.patiently(lambda: checks.existing_groups(ports, plan))
    left = remaining(plan, Guarded.of(posture), groups)
    if isinstance(left, Moved) or not any(isinstance(step, preconditions.ASKED_BEFORE) for step in left):
        return ()
    found = await preconditions.found_now(ports, reading, (plan, left), posture, skips)
    strange: tuple[str, ...] = ()
    if any(isinstance(step, EnsureAdminGroup) for step in left):
        strange = await preconditions.strange_groups(ports, plan, groups)
    return (*(f"{one.rule} {one.message}" for one in found), *strange)
