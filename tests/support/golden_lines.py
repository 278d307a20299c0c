"""Verdicts, plans and findings as lines of an approved text."""

from __future__ import annotations

from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.preflight import Finding
from aks_entra.core.verdict.verdict import Verdict
from tests.support.golden_files import brief


def verdict_lines(verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return ["no verdict yet"]
    grade = verdict.grade.value if verdict.grade else "none"
    seen = f"{len(verdict.evidence)} pieces of evidence"
    return [
        f"{verdict.cluster}: {verdict.outcome.value}, grade {grade}, {seen}",
        *verdict.because,
        f"next: {verdict.next!r}",
    ]


def advice(one: Finding) -> list[str]:
    return [f"do: {one.remedy or 'nothing'}", f"seen in: {one.evidence or 'not said'}"]


def plan_lines(plan: ClusterPlan) -> list[str]:
    findings = [f"{one.rule} {one.severity.value}: {one.message} · do {one.remedy!r}" for one in plan.findings]
    head = f"{plan.cluster} {plan.disposition}, tier {plan.tier}, {plan.debt.value}: {plan.debt_because}"
    return [head, f"to {brief(plan.target)}", *(f"{step.kind} {brief(step)}" for step in plan.steps), *findings]
