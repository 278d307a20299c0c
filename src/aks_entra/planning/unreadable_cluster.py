"""The plan of a cluster that could not be read: refused, with the reason. The other clusters are planned."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aks_entra.core.cluster import Posture
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.preflight import Case, Facts
from aks_entra.core.preflight.feasibility import readable
from aks_entra.core.steps import Guarded
from aks_entra.core.target import Target
from aks_entra.errors import AksEntraError, unexpected

UNREAD = OldCredentials(debt=Debt.UNKNOWN, because="the cluster could not be read")


@dataclass(frozen=True, slots=True)
class PlanOfUnreadable:
    """Makes the plans of clusters that cannot be read towards one target."""

    target: Target

    def __call__(self, posture: Posture, error: Exception) -> ClusterPlan:
        """Return a plan without steps for a cluster that could not be read."""
        facts = Facts(tenant_id=self.target.tenant_id, old_credentials=UNREAD, unread=words(error))
        case = Case(posture=posture, target=self.target, facts=facts, steps=())
        return ClusterPlan(
            cluster=posture.cluster,
            target=self.target,
            before=Guarded.of(posture),
            steps=(),
            findings=tuple(readable.check(case)),
            tier=posture.tier,
            debt=UNREAD.debt,
            debt_because=UNREAD.because,
        )


def plan_of_unreadable_again(before: ClusterPlan, error: Exception) -> ClusterPlan:
    """Return a plan without steps for a cluster that was planned before and cannot be read now."""
    now = Posture(cluster=before.cluster, local_accounts=before.before.local_accounts)
    return replace(before, steps=(), stopped=False, findings=PlanOfUnreadable(before.target)(now, error).findings)


def words(error: Exception) -> str:
    """Return an error in one sentence. An unexpected error is named with its class, in 250 characters at most."""
    if isinstance(error, AksEntraError):
        return error.message
    return unexpected(error)[:250]
