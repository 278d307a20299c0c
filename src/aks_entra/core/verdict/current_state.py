"""Compare a cluster with its target if no plan was carried out. What is left to do is not a failure."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.steps import KINDS
from aks_entra.core.verdict.old_credentials import old_credential_was_accepted
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge


def judge_current_state(plan: ClusterPlan, evidence: tuple[Evidence, ...], records: tuple[Record, ...] = ()) -> Verdict:
    """Weigh what is seen now against the target. `plan` was made a moment ago and only says what is left to do.

    A cluster with steps left is "not verified", and the steps are the first reason. Without Microsoft Entra ID no token
    gets in, so no evidence is needed. A cluster without steps left is judged like any other. So is one at which a
    credential outlived its CA, because that is never just left to do.
    """
    verdict = judge(replace(plan, steps=()), evidence, records)
    seen = verdict.because
    if plan.before.identity is not Identity.MANAGED and not evidence:  # no token gets in: nothing was read
        seen = (f"Microsoft Entra ID: {plan.before.identity}", plan.debt_because)
    if plan.disposition != "migrate" or old_credential_was_accepted(evidence):
        return verdict
    left = ", ".join(words for step in plan.steps if (words := KINDS[type(step)].words(step)))
    return replace(
        verdict,
        outcome=Outcome.NOT_VERIFIED,
        because=tuple(dict.fromkeys((f"left to do: {left or 'proofs only'}", *seen))),
        grade=None,
        next="plan and migrate: `aks-entra plan` shows the steps",
    )
