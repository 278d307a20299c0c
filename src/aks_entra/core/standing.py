"""How a cluster stands beside its target when no plan was carried out: what is left to do is no failure of anything."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence import Evidence
from aks_entra.core.plan import ClusterPlan
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    ProveSignIn,
    RecordBaseline,
    RotateCertificates,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
)
from aks_entra.core.verdict import Outcome, Verdict, judge
from aks_entra.core.weigh import outlived


def judge_standing(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> Verdict:
    """Weigh what is seen now against the target. `plan` was made a moment ago and only says what is left to do.

    A cluster with something left to do is "not verified", with that as the first reason; without Microsoft Entra ID
    nobody's token gets in, so that no evidence is needed for it. One with nothing left is judged like any other, and
    so is one at which a credential outlived its CA: that is never merely left to do.
    """
    verdict = judge(replace(plan, steps=()), evidence)
    seen = verdict.because
    if plan.before.identity is not Identity.MANAGED and not evidence:  # nobody's token gets in: nothing was looked at
        seen = (f"Microsoft Entra ID: {plan.before.identity}", plan.debt_because)
    if plan.disposition != "migrate" or outlived(evidence):
        return verdict
    left = ", ".join(words for step in plan.steps if (words := _left(step)))
    return replace(
        verdict,
        outcome=Outcome.NOT_VERIFIED,
        because=tuple(dict.fromkeys((f"left to do: {left or 'proofs only'}", *seen))),
        grade=None,
        next="plan and migrate: `aks-entra plan` shows the steps",
    )


def _left(step: Step) -> str:  # noqa: PLR0911 - one per kind of step
    match step:
        case EnsureAdminGroup():
            return f"create group {step.group.display_name}"
        case EnableEntra():
            return "enable Microsoft Entra ID"
        case UpdateEntra():
            return "update admin groups or Azure RBAC"
        case DisableLocalAccounts():
            return "disable local accounts"
        case RotateCertificates():
            return "rotate certificates"
        case EnableLocalAccounts():
            return "enable local accounts"
        case ProveSignIn() | RecordBaseline() | VerifyOutcome() | VerifyRestored():
            return ""
        case _:
            assert_never(step)
