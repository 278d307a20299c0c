"""Check again, just before a write, what could bar a way in or a way back. A new finding refuses the cluster.

The process that writes checks its own rights, its own network, and where it, its Prefect server and its proxy run.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.evidence.rotation_debt import OldCredentials
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.preflight import Case, Facts, Finding, Skip, barring
from aks_entra.core.steps import DisableLocalAccounts, EnableEntra, RotateCertificates, Step, UpdateEntra
from aks_entra.errors import AksEntraError, Refused
from aks_entra.execution.admin_group import not_as_planned
from aks_entra.planning.group_drift import drifts
from aks_entra.planning.preflight_facts import (
    addresses_of,
    conditional_access_of,
    denials_of,
    home_of,
    with_linked_rights,
)
from aks_entra.planning.reader import Reading, needed_actions
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.retry import REACH, persist

ASKED_BEFORE: Final = EnableEntra | UpdateEntra | DisableLocalAccounts | RotateCertificates
"""The steps before which everything is checked again."""


async def require(
    ports: Ports,
    plan: ClusterPlan,
    step: Step,
    posture: Posture,
    skips: tuple[Skip, ...],
    *,
    unknown: bool = True,
    reading: Reading | None = None,
) -> None:
    """Check everything again before a step. With `unknown=False`, only what is known to bar the way counts.

    `reading` shares with other clusters what is the same for them. None: nothing is shared.

    Raises:
        Refused: a way in or a way back is barred (the code is the rule's id), or an admin group changed.
        TryLater: a service asked to be called later.
    """
    steps = plan.steps[plan.steps.index(step) :]
    reading = reading or Reading(ports, at_once=True)
    found = await found_now(ports, reading, (plan, steps), posture, skips)
    if not unknown:
        found = tuple(one for one in found if not one.rule.startswith("U"))
    if found:
        raise Refused(
            "; ".join(f"{one.rule} {one.message}" for one in found),
            remedy=f"{found[0].remedy or 'see docs/reference/preflight.md'}; then plan again",
            code=found[0].rule,
        )
    if isinstance(step, EnableEntra | UpdateEntra):
        await _require_own_groups(ports, plan)


async def found_now(
    ports: Ports,
    reading: Reading,
    what: tuple[ClusterPlan, tuple[Step, ...]],
    posture: Posture,
    skips: tuple[Skip, ...],
) -> tuple[Finding, ...]:
    """Return the findings that bar a way in or a way back now. `what` is a plan and the steps that are left of it."""
    plan, steps = what
    posture, facts = await _facts(ports, reading, what, posture)
    case = Case(posture=posture, target=plan.target, facts=facts, steps=steps)
    return barring(case, skips, plan.findings)


async def strange_groups(ports: Ports, plan: ClusterPlan, groups: dict[str, str]) -> tuple[str, ...]:
    """Describe groups that the plan creates, but that exist by now and differ. `groups` holds their object ids."""
    prover = (await ports.callers.prover()).object_id
    found = []
    for group in plan.target.admin_groups:
        if group.id is None and group.reference in groups:
            others = await not_as_planned(ports, group, groups[group.reference], prover)
            if others:
                found.append(f"admin group {group.display_name} exists by now: {'; '.join(others)}")
    return tuple(found)


async def _require_own_groups(ports: Ports, plan: ClusterPlan) -> None:
    if found := await strange_groups(ports, plan, await checks.existing_groups(ports, plan)):
        raise Refused(
            "; ".join(found),
            remedy="find out who made or changed it; to use it all the same, plan again: the plan then names it by id",
            code="GroupMoved",
        )


async def _facts(
    ports: Ports, reading: Reading, what: tuple[ClusterPlan, tuple[Step, ...]], posture: Posture
) -> tuple[Posture, Facts]:
    """Read the facts for the rules that are checked again, and add the serving certificate to the posture."""
    (plan, steps), arm, cluster = what, ports.arm, posture.cluster
    prover = await ports.callers.prover()
    own = posture.admin_group_ids if posture.identity is Identity.MANAGED else ()
    wanted = tuple(group.id for group in plan.target.admin_groups if group.id)
    actions = needed_actions(steps)
    groups, declared, by_role, memberships = await asyncio.gather(
        reading.groups((*own, *wanted), prover.object_id),
        drifts(ports, reading, plan.target.admin_groups),
        reading.by_role(posture, plan.target, prover.object_id),
        reading.known(lambda: reading.memberships(prover.object_id)),
    )
    missing, denials, locks, policies, evaluations = await asyncio.gather(
        reading.known(lambda: arm.missing_permissions(cluster, actions)),
        reading.known(lambda: denials_of(ports, reading, cluster, actions)),
        reading.known(lambda: arm.locks(cluster, posture.node_resource_group)),
        reading.known(lambda: arm.policies(cluster)),
        reading.known(lambda: arm.policy_evaluations(cluster, steps)),
    )
    posture, unreachable = await _shown(ports, posture)
    facts = Facts(
        tenant_id=plan.target.tenant_id,
        old_credentials=OldCredentials(debt=plan.debt, because=plan.debt_because),
        groups=groups,
        drifts=declared,
        prover=prover.name or prover.object_id,
        prover_is_cluster_admin=by_role,
        missing_permissions=missing,
        denials=denials,
        locks=locks,
        policies=policies,
        policy_evaluations=evaluations,
        memberships=memberships,
        unreachable=unreachable,
        now=checks.stamp(ports.clock),
    )
    facts = await with_linked_rights(ports, reading, posture, facts)
    facts = replace(facts, conditional_access=await reading.known(lambda: conditional_access_of(ports, reading, facts)))
    if not any(isinstance(step, RotateCertificates) for step in steps):
        return posture, facts
    home = await reading.known(lambda: home_of(ports, reading))
    return posture, replace(facts, home=home, addresses=await addresses_of(ports, reading, posture, home))


async def _shown(ports: Ports, posture: Posture) -> tuple[Posture, str]:
    """Do a TLS handshake if nobody can sign in with Entra ID yet. If somebody can, the proof of sign-in replaces it."""
    if posture.identity is Identity.MANAGED or posture.fqdn is None:
        return posture, ""
    fqdn = posture.fqdn
    try:
        serving = await persist(ports.clock, REACH, lambda: ports.kubernetes.handshake(fqdn))
    except AksEntraError as error:
        return posture, error.message
    return replace(posture, serving=serving), ""
