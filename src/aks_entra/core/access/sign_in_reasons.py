"""Whether a person can sign in at a cluster at all: the cluster, the account, the token, Conditional Access."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.access.access_facts import AccessFacts
from aks_entra.core.access.explanation import CONTRIBUTOR, DIRECTORY_ADMIN, OVERAGE, Effect, Reason, reason
from aks_entra.core.cluster import Identity, same_id

_DEVICES: Final = frozenset({"compliantDevice", "domainJoinedDevice"})


def sign_in_reasons(facts: AccessFacts) -> Iterator[Reason]:
    """Yield what lets the person sign in, and what blocks it."""
    yield from _cluster(facts)
    yield from _account(facts)
    yield from _token(facts)
    yield from _conditional_access(facts)


def _cluster(facts: AccessFacts) -> Iterator[Reason]:
    posture = facts.posture
    if posture.identity is Identity.NONE:
        message = "the cluster does not use Microsoft Entra ID: it accepts only static credentials"
        yield reason("A100", Effect.BLOCKS, message, "aks-entra plan, then migrate", CONTRIBUTOR)
    elif posture.identity is Identity.LEGACY:
        message = "the cluster uses the legacy integration, which does not support kubelogin's non-interactive modes"
        yield reason("A101", Effect.WARNS, message, "upgrade it: aks-entra plan, then migrate", CONTRIBUTOR)
    elif posture.identity is Identity.UNKNOWN:
        message = "the cluster shows a sign-in integration that this version does not know"
        yield reason("A101", Effect.WARNS, message, "check its `aadProfile`: az aks show", CONTRIBUTOR)
    if posture.tenant_id and not same_id(posture.tenant_id, facts.tenant_id):
        message = f"the cluster trusts tenant {posture.tenant_id}, but this account belongs to tenant {facts.tenant_id}"
        yield reason("A102", Effect.BLOCKS, message, f"az login --tenant {posture.tenant_id}", "the person")
    if posture.stopped:
        yield reason("A104", Effect.BLOCKS, "the cluster is stopped", "az aks start", CONTRIBUTOR)
    if posture.private:
        message = "the API server is private: it can be reached only from its network"
        yield reason("A105", Effect.TELLS, message, "use a VPN, a jump host, or az aks command invoke", "the person")
    elif posture.authorized_ip_ranges:
        message = f"the API server accepts connections only from {', '.join(posture.authorized_ip_ranges)}"
        yield reason("A106", Effect.TELLS, message, "connect from there, or have the address added", CONTRIBUTOR)


def _account(facts: AccessFacts) -> Iterator[Reason]:
    if facts.person.kind == "Group":
        message = "this is a group: the answer applies to each of its members"
        yield reason("A107", Effect.TELLS, message)
    if not facts.person.enabled:
        message = f"the account {facts.person.called} is disabled: Microsoft Entra ID issues no token to it"
        yield reason("A108", Effect.BLOCKS, message, "have the account enabled", "a User Administrator")


def _token(facts: AccessFacts) -> Iterator[Reason]:
    if facts.groups is None:
        message = f"the group memberships are not known: {facts.why_unread('groups')}"
        yield reason(
            "A103", Effect.UNKNOWN, message, "grant GroupMember.Read.All and User.Read.All", "an administrator"
        )
    elif len(facts.groups) > OVERAGE:
        count = len(facts.groups)
        if facts.person.kind == "ServicePrincipal":
            message = f"{count} groups do not fit into a token, and AKS refuses a service principal with more than 200"
            remedy = "remove it from groups, or assign roles to it directly instead of through groups"
            yield reason("A109", Effect.BLOCKS, message, remedy, DIRECTORY_ADMIN)
        else:
            message = f"{count} groups do not fit into a token: AKS reads them from Microsoft Graph at each sign-in"
            yield reason("A109", Effect.TELLS, message)


def _conditional_access(facts: AccessFacts) -> Iterator[Reason]:
    administrator = "a Conditional Access Administrator"
    if facts.policies is None:
        if facts.person.kind == "User":
            message = f"the Conditional Access policies are not known: {facts.why_unread('policies')}"
            yield reason("A120", Effect.UNKNOWN, message, "grant Policy.Read.All", "an administrator")
        return
    for policy in facts.policies:
        if not policy.applies:
            continue
        asks = " and ".join(policy.controls) or "nothing"
        if policy.state == "enabledForReportingButNotEnforced":
            message = f"Conditional Access policy {policy.name!r} would require {asks}; it is in report-only mode"
            yield reason("A121", Effect.TELLS, message)
        elif policy.state == "enabled" and "block" in policy.controls:
            message = f"Conditional Access policy {policy.name!r} blocks this sign-in (AADSTS53003)"
            yield reason(
                "A122", Effect.BLOCKS, message, "have an exception added, or meet its conditions", administrator
            )
        elif policy.state == "enabled" and _DEVICES & set(policy.controls):
            message = f"Conditional Access policy {policy.name!r} requires {asks}: a device code proves no device"
            remedy = "on such a device, use aks-entra kubeconfig --login interactive (or azurecli), not devicecode"
            yield reason("A123", Effect.WARNS, message, remedy, "the person")
        elif policy.state == "enabled":
            message = f"Conditional Access policy {policy.name!r} requires {asks} at sign-in"
            yield reason(
                "A124",
                Effect.TELLS,
                message,
                "meet the requirement when az login or kubelogin asks for it",
                "the person",
            )
