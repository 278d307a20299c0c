"""Makes clusters whose plans were carried out, and says whether they have a way back."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import Posture
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.preflight import Facts
from aks_entra.core.steps import ROTATED
from tests.support.cases import CREATE, NEW_CA

UNKNOWN = OldCredentials(debt=Debt.UNKNOWN, because="nobody knows")
GROUPS = {CREATE.reference: "77777777-7777-7777-7777-777777777777"}


def reopens(facts: Facts) -> bool:
    """Whether local accounts can be switched on again through ARM, as far as is known: the second way in."""
    locked = any(lock.level == "ReadOnly" for lock in facts.locks or ())
    denied = any(policy.effect == "Deny" for policy in facts.policies or ())
    return not locked and not denied and not facts.missing_permissions


def migrated(posture: Posture, plan: ClusterPlan) -> Posture:
    """Return the cluster after its plan was carried out."""
    state = plan.before
    for step in plan.steps:
        state = state.after(step)
    state = state.resolved(GROUPS)
    return replace(
        posture,
        identity=state.identity,
        tenant_id=state.tenant_id,
        admin_group_ids=state.admin_groups,
        azure_rbac=state.azure_rbac,
        local_accounts=state.local_accounts,
        ca=NEW_CA if state.ca == ROTATED else posture.ca,
    )
