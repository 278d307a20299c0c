"""Will anybody be locked out, by what stands between people and the cluster: the prover, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.preflight.case import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

LOCAL_ACCOUNTS_POLICY: Final = "993c2fcd-2b29-49d2-9eb0-df2c3a730c32"
"""Azure Policy: Azure Kubernetes Service Clusters should have local authentication methods disabled."""

_MEMBERSHIPS: Final = "grant GroupMember.Read.All, and Application.Read.All where the prover is an application"

TOKEN_GROUPS: Final = 200
"""How many groups a token carries; AKS refuses an application in more, and asks Graph about a person."""


@rule(
    "B009",
    "U109",
    seen_in="Microsoft Graph: the prover's memberships; Azure's role assignments on the cluster",
    firm=("B009", "U109"),
)
def prover(case: Case) -> Iterator[Finding]:
    """Without somebody who proves sign-in nothing is closed."""
    if not case.steps or case.creates_group or case.by_role:
        return
    member = [facts.prover_is_member for facts in case.living_groups]
    if True in member:
        return
    if None in member or case.by_role is None:
        yield says(
            "U109",
            "whether the prover is in an admin group could not be read",
            f"{_MEMBERSHIPS}; sign-in is proven before anything is closed in any case",
        )
    elif case.way_in:
        yield says(
            "B009",
            f"the prover {case.facts.prover} is in no admin group: sign-in could not be proven",
            "add it to an admin group, give it Azure Kubernetes Service RBAC Cluster Admin on the cluster, "
            "or name another under `prover`",
        )


@rule("W103", seen_in="nothing yet: sign-ins are not read")
def unproven_person(case: Case) -> Iterator[Finding]:
    """The prover is an automation; it says nothing about people."""
    if case.closes:
        yield says(
            "W103",
            "no person's sign-in has been proven yet: the prover is an automation",
            "let one member of an admin group run `kubectl get nodes` before you approve",
        )


@rule(
    "B019",
    "I119",
    "U119",
    seen_in="Microsoft Graph: the prover's security groups, transitively",
    firm=("B019",),
)
def overage(case: Case) -> Iterator[Finding]:
    """Beyond 200 groups a token carries none: AKS refuses an application then, and asks Graph about a person."""
    if not case.at_work:
        return
    found = case.facts.memberships
    if found is None:
        yield says("U119", "in how many groups the prover is could not be read", _MEMBERSHIPS)
    elif found.groups > TOKEN_GROUPS and found.person:
        yield says(
            "I119",
            f"the prover is in {found.groups} groups: AKS asks Microsoft Graph for them at each sign-in",
        )
    elif found.groups > TOKEN_GROUPS:
        yield says(
            "B019",
            f"the prover {case.facts.prover} is in {found.groups} groups: AKS refuses an application in more than "
            f"{TOKEN_GROUPS}",
            "take it out of groups, or name another under `prover`",
        )


@rule(
    "B025",
    "W136",
    "U136",
    seen_in="Microsoft Graph: Conditional Access policies in force, and what-if for a person",
    remedy="exclude the prover from the policy, or name another under `prover`",
)
def conditional_access(case: Case) -> Iterator[Finding]:
    """Where a Conditional Access policy stops the prover's sign-in to AKS, nothing is proven and nothing closed."""
    if not case.at_work:
        return
    if case.facts.sign_in_rules is None:
        yield says(
            "U136",
            "whether Conditional Access would stop the prover could not be read",
            "grant Policy.Read.All; sign-in is proven before anything is closed in any case",
        )
        return
    for met in case.facts.sign_in_rules:
        if "block" in met.controls and met.certain:
            yield says(
                "B025",
                f"Conditional Access policy {met.name!r} blocks the sign-in of the prover {case.facts.prover} to AKS",
                "exclude the prover from the policy, or name another under `prover`",
            )
        else:
            asks = "block" if "block" in met.controls else f"ask for {', '.join(met.controls) or 'more'} at"
            yield says(
                "W136",
                f"Conditional Access policy {met.name!r} may {asks} the sign-in of the prover {case.facts.prover} "
                "to AKS: a run that nobody attends cannot answer",
                "let an automation prove sign-in (`prover`), or exclude the prover from the policy",
            )


@rule("W102", seen_in="the fleet file, `aadProfile.enableAzureRBAC`")
def azure_rbac(case: Case) -> Iterator[Finding]:
    """The Azure RBAC flag decides whose rights count inside the cluster."""
    if (wanted := case.azure_rbac) is not case.posture.azure_rbac:
        yield says(
            "W102",
            f"Azure RBAC for Kubernetes is switched {'on' if wanted else 'off'}: "
            + ("role assignments start to count" if wanted else "role assignments stop to count"),
            "" if wanted else "bind those who hold only a role to a Kubernetes role first",
        )


@rule(
    "B012",
    "W112",
    "U112",
    seen_in="management locks on the cluster, its resource group, subscription and node resource group",
    remedy="remove the lock for the time of the migration",
    firm=("B012", "U112"),
)
def locks(case: Case) -> Iterator[Finding]:
    """A read-only lock refuses every write, the way back among them; any lock may stop a rotation half way."""
    if not case.writes:
        return
    if case.facts.locks is None:
        yield says("U112", "management locks could not be read", "grant Microsoft.Authorization/locks/read")
        return
    for lock in case.facts.locks:
        if lock.level.casefold() == "readonly":
            yield says(
                "B012",
                f"lock {lock.name} (ReadOnly) on {lock.scope} refuses every change, also the way back",
                "remove the lock for the time of the migration",
            )
        elif case.rotates:
            yield says(
                "W112",
                f"lock {lock.name} ({lock.level}) on {lock.scope}: rotation recreates nodes and may be refused",
                "remove the lock for the time of the rotation",
            )


@rule(
    "B021",
    "U121",
    seen_in=f"policy assignments that reach the cluster: {LOCAL_ACCOUNTS_POLICY}, or an initiative with it",
    remedy="exempt the cluster (`az policy exemption create`) for the time of the migration",
    firm=("B021", "U121"),
)
def way_back(case: Case) -> Iterator[Finding]:
    """A policy that denies local accounts also denies reopening them: during a rotation that is the only way back."""
    if not case.closes:
        return
    if case.facts.policies is None:
        yield says(
            "U121",
            "whether a policy would deny reopening local accounts could not be read",
            "grant Microsoft.Authorization/policyAssignments/read (Reader has it)",
        )
        return
    for policy in case.facts.policies:
        if policy.definition != LOCAL_ACCOUNTS_POLICY or policy.exempt or not policy.enforced:
            continue
        where = f"policy assignment {policy.name} on {policy.scope}"
        if policy.effect is None:
            yield says("U121", f"{where}: its effect could not be read, it may deny reopening local accounts")
        elif policy.effect.casefold() == "deny":
            yield says(
                "B021",
                f"{where} would deny reopening local accounts: there would be no way back",
                "exempt the cluster for the time of the migration (`az policy exemption create`), "
                "or set `enforcementMode: DoNotEnforce`; afterwards it holds the door shut, as it should",
                evidence="effect Deny",
            )


RULES: tuple[Rule, ...] = (prover, unproven_person, overage, conditional_access, azure_rbac, locks, way_back)
