"""Will anybody be locked out: can the prover sign in, and can local accounts be turned on again?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.deny_policy import LOCAL_ACCOUNTS_POLICY
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.facts import Policy
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

_MEMBERSHIPS: Final = "grant GroupMember.Read.All, and Application.Read.All if the prover is an application"

TOKEN_GROUPS: Final = 200
"""A token has room for this many groups. AKS refuses an application in more, and asks Graph about a person."""


@rule(
    "B009",
    "U109",
    seen_in="Microsoft Graph: the prover's memberships; Azure's role assignments on the cluster",
    firm=("B009", "U109"),
)
def prover(case: Case) -> Iterator[Finding]:
    """Local accounts are turned off only after the prover has signed in."""
    if not case.steps or case.creates_group or case.by_role:
        return
    member = [facts.prover_is_member for facts in case.living_groups]
    if True in member:
        return
    if None in member or case.by_role is None:
        yield says(
            "U109",
            "whether the prover is in an admin group could not be read",
            f"{_MEMBERSHIPS}; in any case, sign-in is proven before local accounts are turned off",
        )
    elif case.way_in:
        yield says(
            "B009",
            f"the prover {case.facts.prover} is not in an admin group: it could not prove sign-in",
            "add it to an admin group, give it Azure Kubernetes Service RBAC Cluster Admin on the cluster, "
            "or name another identity under `prover`",
        )


@rule(
    "W103",
    "I103",
    seen_in="Microsoft Graph: the sign-ins to AKS of the last 30 days, by members of the admin groups",
    remedy="ask a member of an admin group to run `kubectl get nodes` before you approve",
)
def unproven_person(case: Case) -> Iterator[Finding]:
    """The prover is an automation, so its sign-in does not show that a person can sign in."""
    if not case.closes:
        return
    ask = "ask a member of an admin group to run `kubectl get nodes` before you approve"
    person = case.facts.person_sign_in
    if person is not None:
        yield says(
            "I103",
            f"{person.name}, a member of an admin group, signed in to AKS on {person.at[:10]}: on some cluster of the "
            "tenant, so it is not proven for this one",
            ask,
        )
        return
    unread = "" if case.facts.sign_ins_read else "; grant AuditLog.Read.All to see who has signed in"
    yield says("W103", "no person has proven sign-in yet: the prover is an automation", f"{ask}{unread}")


@rule(
    "B019",
    "I119",
    "U119",
    seen_in="Microsoft Graph: the prover's security groups, transitively",
    firm=("B019",),
)
def overage(case: Case) -> Iterator[Finding]:
    """More than 200 groups do not fit into a token: AKS refuses an application then, and asks Graph about a person."""
    if not case.at_work:
        return
    found = case.facts.memberships
    if found is None:
        yield says("U119", "the number of groups that the prover is in could not be read", _MEMBERSHIPS)
    elif found.groups > TOKEN_GROUPS and found.person:
        yield says(
            "I119",
            f"the prover is in {found.groups} groups: AKS reads them from Microsoft Graph at each sign-in",
        )
    elif found.groups > TOKEN_GROUPS:
        yield says(
            "B019",
            f"the prover {case.facts.prover} is in {found.groups} groups: AKS refuses an application in more than "
            f"{TOKEN_GROUPS}",
            "remove it from groups, or name another identity under `prover`",
        )


@rule(
    "B025",
    "W136",
    "U136",
    seen_in="Microsoft Graph: Conditional Access policies in force, and what-if for a person",
    remedy="exclude the prover from the policy, or name another identity under `prover`",
    bars=("B025",),
)
def conditional_access(case: Case) -> Iterator[Finding]:
    """If a Conditional Access policy stops the prover's sign-in to AKS, sign-in cannot be proven."""
    if not case.at_work:
        return
    if case.facts.conditional_access is None:
        yield says(
            "U136",
            "the Conditional Access policies could not be read: they may stop the prover",
            "grant Policy.Read.All; in any case, sign-in is proven before local accounts are turned off",
        )
        return
    for met in case.facts.conditional_access:
        if "block" in met.controls and met.certain:
            yield says(
                "B025",
                f"Conditional Access policy {met.name!r} blocks the sign-in of the prover {case.facts.prover} to AKS",
                "exclude the prover from the policy, or name another identity under `prover`",
            )
        else:
            asks = "block" if "block" in met.controls else f"require {', '.join(met.controls) or 'more'} at"
            yield says(
                "W136",
                f"Conditional Access policy {met.name!r} may {asks} the sign-in of the prover {case.facts.prover} "
                "to AKS: an unattended run cannot answer",
                "let an automation prove sign-in (`prover`), or exclude the prover from the policy",
            )


@rule("W102", seen_in="the fleet file, `aadProfile.enableAzureRBAC`")
def azure_rbac(case: Case) -> Iterator[Finding]:
    """The Azure RBAC flag decides whether role assignments count inside the cluster."""
    if (wanted := case.azure_rbac) is not case.posture.azure_rbac:
        yield says(
            "W102",
            f"the plan turns Azure RBAC for Kubernetes {'on' if wanted else 'off'}: "
            + ("role assignments will count" if wanted else "role assignments will not count any more"),
            "" if wanted else "first create Kubernetes role bindings for everybody who has only a role assignment",
        )


@rule(
    "B012",
    "W112",
    "U112",
    seen_in="management locks on the cluster, its resource group, subscription and node resource group",
    remedy="remove the lock during the migration",
    firm=("B012",),
    bars=("B012", "U112"),
)
def locks(case: Case) -> Iterator[Finding]:
    """A read-only lock blocks every write, including the way back. Any lock may stop a rotation half way."""
    if not case.writes:
        return
    if case.facts.locks is None:
        yield says("U112", "management locks could not be read", "grant Microsoft.Authorization/locks/read")
        return
    for lock in case.facts.locks:
        if lock.level.casefold() == "readonly":
            yield says(
                "B012",
                f"lock {lock.name} (ReadOnly) on {lock.scope} blocks every change, including the way back",
                "remove the lock during the migration",
            )
        elif case.rotates:
            yield says(
                "W112",
                f"lock {lock.name} ({lock.level}) on {lock.scope}: the rotation recreates nodes, which it may stop",
                "remove the lock during the rotation",
            )


@rule(
    "B021",
    "U121",
    seen_in=f"policy assignments that reach the cluster: {LOCAL_ACCOUNTS_POLICY}, or an initiative with it",
    remedy="exempt the cluster (`az policy exemption create`) during the migration",
    firm=("B021",),
    bars=("B021", "U121"),
)
def way_back(case: Case) -> Iterator[Finding]:
    """A policy that denies local accounts also denies the only way back during a rotation: turning them on again."""
    if not case.closes:
        return
    if case.facts.policies is None:
        yield says(
            "U121",
            "the policy assignments could not be read: one may deny turning local accounts on again",
            "grant Microsoft.Authorization/policyAssignments/read (Reader has it)",
        )
        return
    for policy in case.facts.policies:
        where = f"policy assignment {policy.name} on {policy.scope}"
        if policy.ours or not _about_local_accounts(policy):
            continue  # a rollback and break-glass take our own assignment out of the way
        if policy.effect is None:
            yield says("U121", f"the effect of {where} could not be read: it may deny turning local accounts on again")
        elif denies_local_accounts(policy):
            yield says(
                "B021",
                f"{where} would deny turning local accounts on again: there would be no way back",
                "exempt the cluster during the migration (`az policy exemption create`), "
                "or set `enforcementMode: DoNotEnforce`; enforce the policy again afterwards",
                evidence="effect Deny",
            )


def _about_local_accounts(policy: Policy) -> bool:
    return policy.definition == LOCAL_ACCOUNTS_POLICY and policy.enforced and not policy.exempt


def denies_local_accounts(policy: Policy) -> bool:
    """Whether an assignment binds the cluster and denies that local accounts are on."""
    return _about_local_accounts(policy) and (policy.effect or "").casefold() == "deny"


RULES: tuple[Rule, ...] = (prover, unproven_person, overage, conditional_access, azure_rbac, locks, way_back)
