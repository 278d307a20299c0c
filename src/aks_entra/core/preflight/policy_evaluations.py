"""Would a policy of the user's own refuse what the plan writes, or the way back?"""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.deny_policy import LOCAL_ACCOUNTS_POLICY
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.facts import PolicyEvaluation
from aks_entra.core.preflight.finding import Finding, Rule, rule, says
from aks_entra.core.preflight.lockout import denies_local_accounts


@rule(
    "B041",
    "W141",
    "U141",
    seen_in="ARM's `checkPolicyRestrictions` about each body that the plan will send, and about the way back",
    remedy="exempt the cluster (`az policy exemption create`) during the migration, or change the policy",
    firm=("B041",),
    bars=("B041",),
)
def policy_evaluations(case: Case) -> Iterator[Finding]:
    """A policy, also a custom one, that denies a write of the plan or the way back refuses it in the window."""
    if not case.writes or not case.at_work:
        return
    if case.facts.policy_evaluations is None:
        yield says(
            "U141",
            "it could not be read whether a policy denies what the plan writes, or the way back",
            "grant Microsoft.PolicyInsights/checkPolicyRestrictions/read (Reader has it)",
        )
        return
    of_others = tuple(one for one in case.facts.policy_evaluations if not one.ours)
    for found, writes in _together(of_others).items():
        where = f"policy assignment {found.name} on {found.scope}"
        if found.effect == "audit":
            yield says(
                "W141",
                f"{where} will report the cluster as non-compliant once this is written: {writes}",
                "tell the policy's owner, or exempt the cluster",
            )
        elif found.effect is None:
            yield says(
                "U141",
                f"it could not be read whether {where} allows what the plan writes: {writes}",
                "read the policy's rule: `az policy assignment show`",
            )
        elif not _said_already(case, found):
            yield says(
                "B041",
                f"{where} denies what the plan writes: {writes}",
                f"exempt the cluster: `az policy exemption create --name aks-entra --exemption-category Waiver "
                f"--policy-assignment {found.assignment} --scope {case.posture.cluster.resource_id}`",
                evidence=f"definition {found.definition}",
            )


def _together(found: tuple[PolicyEvaluation, ...]) -> dict[PolicyEvaluation, str]:
    """Return one evaluation for each assignment, definition and effect, with all writes that it is about."""
    writes: dict[tuple[str, str, str | None], list[PolicyEvaluation]] = {}
    for one in found:
        writes.setdefault((one.assignment.lower(), one.definition, one.effect), []).append(one)
    return {many[0]: "; ".join(one.write for one in many) for many in writes.values()}


def _said_already(case: Case, found: PolicyEvaluation) -> bool:
    """Whether B021 names this policy as one that denies local accounts."""
    builtin = found.definition == LOCAL_ACCOUNTS_POLICY
    return builtin and case.closes and any(denies_local_accounts(one) for one in case.facts.policies or ())


RULES: tuple[Rule, ...] = (policy_evaluations,)
