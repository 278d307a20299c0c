"""Look at the policy assignments that deny local accounts. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.deny_policy import assignment_id, how_to_assign, how_to_find_exemptions
from aks_entra.core.evidence.observations import DenyPolicySeen
from aks_entra.core.preflight import Policy, PolicyEvaluation, denies_local_accounts
from aks_entra.core.steps import EnableLocalAccounts
from aks_entra.ports.migration import ControlPlane, Ports
from aks_entra.probes import checks

UNREAD: Final = "the policy assignments could not be read"
MAY_READ: Final = "grant Microsoft.Authorization/policyAssignments/read (Reader has it)"


async def look(ports: Ports, cluster: ClusterId) -> DenyPolicySeen:
    """Return the assignment that denies local accounts, ours before others', or why none does."""
    found = await ports.arm.policies(cluster)
    at = checks.stamp(ports.clock)
    if found is None:
        return DenyPolicySeen(at=at, assignment="", problem=UNREAD, remedy=MAY_READ)
    denying = sorted(filter(denies_local_accounts, found), key=lambda one: not one.ours)
    if not denying:
        problem, remedy = _why(cluster, found)
        return DenyPolicySeen(at=at, assignment="", problem=problem, remedy=remedy)
    first = denying[0]
    evaluations = await _denials(ports.arm, cluster)
    enforced = any(one.assignment.lower() == first.assignment.lower() for one in evaluations)
    return DenyPolicySeen(at=at, assignment=first.assignment, ours=first.ours, enforced=enforced)


async def of_others(arm: ControlPlane, cluster: ClusterId) -> tuple[PolicyEvaluation, ...]:
    """Return the assignments of others by which Azure Policy would refuse now to turn local accounts on."""
    return tuple(one for one in await _denials(arm, cluster) if not one.ours)


async def _denials(arm: ControlPlane, cluster: ClusterId) -> Iterable[PolicyEvaluation]:
    found = await arm.policy_evaluations(cluster, (EnableLocalAccounts(),))
    return [one for one in found or () if one.effect == "deny"]


def _why(cluster: ClusterId, found: tuple[Policy, ...]) -> tuple[str, str]:
    """Say why no assignment denies local accounts, and what to do."""
    assign, mine = how_to_assign(cluster), assignment_id(cluster).casefold()
    own = next((one for one in found if one.ours), None)
    if own is None:
        taken = next((one.assignment for one in found if one.assignment.casefold() == mine), "")
        if taken:
            return f"somebody else made {taken}", "ask its owner to give it another name"
        return "no assignment denies local accounts", assign
    if own.exempt:
        return f"the cluster is exempt from {own.assignment}", how_to_find_exemptions(cluster)
    how = f"effect {own.effect or 'unknown'}{'' if own.enforced else ', not enforced'}"
    return f"{own.assignment} was changed: {how}", assign
