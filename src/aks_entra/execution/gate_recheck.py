"""Read a stage's clusters again at its gate, to find changes and a barred way in or way back. Never writes."""

from __future__ import annotations

from typing import Final

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.preflight import Skip
from aks_entra.core.steps import EnsureAdminGroup
from aks_entra.errors import AksEntraError
from aks_entra.execution import preconditions
from aks_entra.planning.reader import Reading
from aks_entra.planning.recheck import Now, look_again
from aks_entra.ports.migration import Ports

_SIDE_BY_SIDE: Final = 20


async def changes(
    ports: Ports, plans: tuple[ClusterPlan, ...], skips: tuple[Skip, ...]
) -> dict[ClusterId, tuple[str, ...]]:
    """Return the clusters that changed, or that a finding bars which their plan does not show, with the reasons.

    `skips` are the rules that a person accepted. A cluster that cannot be read, or on which an operation runs, is left
    out. The same questions are asked again before its first write.
    """
    seen = await look_again(ports, plans)
    reading = Reading(ports)

    async def of(plan: ClusterPlan) -> tuple[str, ...]:
        now = seen[plan.cluster]
        if now.differences or now.posture is None:
            return now.differences
        try:
            return await _barred(ports, reading, plan, now, now.posture, skips)
        except AksEntraError:
            return ()

    found = await bounded_gather(of, plans, at_once=_SIDE_BY_SIDE)
    return {plan.cluster: words for plan, words in zip(plans, found, strict=True) if words}


async def _barred(
    ports: Ports, reading: Reading, plan: ClusterPlan, now: Now, posture: Posture, skips: tuple[Skip, ...]
) -> tuple[str, ...]:
    """Return why the steps that are left may not be done."""
    if not any(isinstance(step, preconditions.ASKED_BEFORE) for step in now.left):
        return ()
    found = await preconditions.found_now(ports, reading, (plan, now.left), posture, skips)
    strange: tuple[str, ...] = ()
    if any(isinstance(step, EnsureAdminGroup) for step in now.left):
        strange = await preconditions.strange_groups(ports, plan, dict(now.groups))
    return (*(f"{one.rule} {one.message}" for one in found), *strange)
