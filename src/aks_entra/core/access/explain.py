"""Decide whether a person can get into a cluster, and why. Each reason has a remedy.

Sources: AKS' page on managed Microsoft Entra ID integration (sections Access, Troubleshooting, Conditional Access,
just-in-time), its authentication webhook (groups from the token, at most 200), its authorization webhook (data
actions at cluster and namespace scope). None means that something could not be read, and is never taken for "none".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.access.access_facts import AccessFacts
from aks_entra.core.access.explanation import (
    ACCESS_ADMIN,
    ADMIN_ACTION,
    CONTRIBUTOR,
    CREDENTIAL_ACTION,
    OVERAGE,
    Effect,
    Explanation,
    Reason,
    Token,
    reason,
)
from aks_entra.core.access.permission_reasons import permission_reasons, scope_in_words, through_group
from aks_entra.core.access.resource_access import EVERYTHING, ResourceAttributes, data_action, role_for
from aks_entra.core.access.sign_in_reasons import sign_in_reasons


def explain(facts: AccessFacts, wanted: ResourceAttributes = EVERYTHING) -> Explanation:
    """Decide, and say why. If the person cannot sign in, no permission helps."""
    entering = tuple(sign_in_reasons(facts))
    inside = tuple(permission_reasons(facts, wanted))
    fetching = tuple(_kubeconfig(facts))
    kept_out = any(one.effect is Effect.BLOCKS for one in entering)
    granted = any(one.effect is Effect.GRANTS for one in inside)
    unsure = any(one.effect is Effect.UNKNOWN and one.rule in _DECISIVE for one in (*entering, *inside))
    allowed = False if kept_out else True if granted else None if unsure else False
    reasons = (*entering, *inside, *fetching, *_freshness(facts, inside), *_local_accounts(facts))
    if allowed is False and not kept_out and not any(one.effect is Effect.BLOCKS for one in inside):
        reasons = (*reasons, _nothing(facts, wanted))
    return Explanation(
        wanted=wanted,
        allowed=allowed,
        kubeconfig={"A110": True, "A111": False}.get(fetching[0].rule),
        token=_token_of(facts),
        reasons=tuple(sorted(reasons, key=lambda one: _ORDER.index(one.effect))),
    )


_ORDER: Final = (Effect.BLOCKS, Effect.GRANTS, Effect.UNKNOWN, Effect.WARNS, Effect.TELLS)
_DECISIVE: Final = frozenset({"A103", "A131", "A150", "A154", "A160"})


def _kubeconfig(facts: AccessFacts) -> Iterator[Reason]:
    scope = facts.posture.cluster.resource_id
    role = "Azure Kubernetes Service Cluster User Role"
    if facts.roles is None:
        message = f"whether the person may fetch the kubeconfig is not known: {facts.why_unread('roles')}"
        yield reason(
            "A112", Effect.UNKNOWN, message, "grant Microsoft.Authorization/roleAssignments/read", ACCESS_ADMIN
        )
        return
    may = [one for one in facts.roles if one.reaches(scope) and one.role.allows(CREDENTIAL_ACTION)]
    for one in sorted(may, key=lambda one: bool(one.condition)):
        where = f"{scope_in_words(one, facts)}{through_group(facts, one)}"
        if one.condition:
            message = f"role {one.role.name!r} at {where} lets the person fetch the kubeconfig only under a condition"
            yield reason("A112", Effect.UNKNOWN, message, "read the condition of the role assignment", ACCESS_ADMIN)
        else:
            yield reason("A110", Effect.TELLS, f"may fetch the kubeconfig: role {one.role.name!r} at {where}")
        return
    message = f"may not fetch the kubeconfig (az aks get-credentials): {role} is missing"
    remedy = f"aks-entra access grant {facts.posture.cluster} --to {facts.person.called} --role cluster-user"
    yield reason(
        "A111",
        Effect.WARNS,
        message,
        f"{remedy}; or ask for a copy of the kubeconfig: it holds no secret",
        ACCESS_ADMIN,
    )


def _freshness(facts: AccessFacts, inside: tuple[Reason, ...]) -> Iterator[Reason]:
    if facts.person.kind != "Group" and any(one.effect is Effect.GRANTS for one in inside):
        message = "groups are part of the token: after a new membership or activation, a new token is needed"
        remedy = (
            "run kubelogin remove-tokens (for a service principal, remove ~/.cache/.IdentityService too), "
            "then sign in again"
        )
        yield reason("A140", Effect.TELLS, message, remedy, "the person")


def _local_accounts(facts: AccessFacts) -> Iterator[Reason]:
    admin_role = "Azure Kubernetes Service Cluster Admin Role"
    if facts.posture.local_accounts:
        holds = any(
            one.role.allows(ADMIN_ACTION) and one.reaches(facts.posture.cluster.resource_id) and not one.condition
            for one in facts.roles or ()
        )
        yields = "; this person may fetch it" if holds else f"; anybody with {admin_role} may fetch it"
        message = f"local accounts are on: a static admin kubeconfig bypasses all of this{yields}"
        remedy = (
            "use az aks get-credentials --admin only in an emergency; to turn local accounts off: aks-entra plan, "
            "then migrate"
        )
        yield reason("A170", Effect.WARNS, message, remedy, f"anybody with {admin_role}")
    else:
        message = "local accounts are off: Azure refuses az aks get-credentials --admin"
        remedy = (
            "if everybody is locked out: az aks update --enable-local-accounts, then az aks get-credentials --admin; "
            "afterwards turn local accounts off again and rotate the certificates"
        )
        yield reason("A171", Effect.TELLS, message, remedy, CONTRIBUTOR)


def _nothing(facts: AccessFacts, wanted: ResourceAttributes) -> Reason:
    via, role = "azure-rbac" if facts.posture.azure_rbac else "kubernetes-rbac", role_for(wanted)
    where = f" -n {wanted.namespace}" if wanted.namespace else ""
    message = f"nothing allows {wanted}: no admin group, no role assignment, no binding"
    remedy = (
        f"aks-entra access request {facts.posture.cluster} --to {facts.person.called} --role {role}{where} "
        f"--via {via} --duration 2h --reason …"
    )
    if role == "cluster-admin" and wanted != EVERYTHING:
        own = f"a custom role with {data_action(wanted)}" if via == "azure-rbac" else "a ClusterRole of your own"
        remedy += f"; narrower: {own}"
    return reason(
        "A180", Effect.BLOCKS, message, remedy, ACCESS_ADMIN if via == "azure-rbac" else "a cluster administrator"
    )


def _token_of(facts: AccessFacts) -> Token:
    overage = facts.groups is not None and len(facts.groups) > OVERAGE
    return Token(
        username=facts.person.kubernetes_name,
        object_id=facts.person.id,
        tenant_id=facts.tenant_id,
        groups=None if facts.groups is None or overage else tuple(sorted(facts.groups)),
        overage=overage,
    )
