"""Plans, approvals, verdicts and reports as pages for people in Prefect's UI (markdown). Pure text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aks_entra.core.gates import Gate, Side
from aks_entra.core.plan import ClusterPlan, FleetPlan
from aks_entra.core.preflight import Severity, Skip
from aks_entra.core.report import FleetReport
from aks_entra.core.rollout import Stage
from aks_entra.core.steps import consequence
from aks_entra.core.verdict import Verdict
from aks_entra.prefect_client.names import short, title
from aks_entra.report import inventory_view, plan_markdown
from aks_entra.report.plan_view import limits, view_of
from aks_entra.survey import Row

if TYPE_CHECKING:
    from aks_entra.prefect_client.archive import Approval

LONGEST = 200  # members shown on one page


def plan_page(plan: FleetPlan) -> str:
    """A whole plan, as `aks-entra plan -o markdown` prints it."""
    return plan_markdown.render(view_of(plan))


def stage_page(plan: FleetPlan, stage: Stage) -> str:
    """One stage: its clusters with their steps, what interrupts service, what is one way, and what is refused."""
    members = [plan.plan_for(member) for member in stage.members]
    rules = ", ".join(
        (
            f"{len(members)} clusters",
            f"{stage.max_concurrency} at a time",
            *limits(stage),
            f"stops after more than {stage.max_allowed_failures} failures",
        )
    )
    lines = [rules, *(_member(member) for member in members[:LONGEST])]
    if len(members) > LONGEST:
        lines.append(f"… and {len(members) - LONGEST} more")
    return "\n\n".join(lines)


def gate_page(plan: FleetPlan, stage: Stage, side: Side, *, expired: str = "") -> str:
    """What an approver reads before deciding. `expired`: when an earlier approval of the same ran out."""
    binding = (
        f"Plan `{short(plan.digest)}` of fleet **{plan.name}**, made {plan.created_at}. "
        "The approval holds for exactly this plan; a cluster that moved since is refused."
    )
    name = plan.prover.client_id or plan.prover.object_id
    proof = f"Sign-in is proven by the automation `{name}`: no person's sign-in is proven yet."
    heading = f"# {side.capitalize()} stage {stage.name}: approve or reject"
    again = f"**The approval that was given expired at {expired}: it is asked for again.**" if expired else ""
    parts = [heading, again, binding, proof, _conditions(stage.gate(side)), passed_over(plan.skip_rules)]
    parts.append(plan_markdown.changes(view_of(plan)))
    parts.append(stage_page(plan, stage))
    return "\n\n".join(part for part in parts if part)


def _conditions(gate: Gate | None) -> str:
    """What the gate waits for beside the approval, and how long the approval counts."""
    if gate is None:
        return ""
    return f"This gate waits for: {_cell('; '.join(gate.conditions))}."


def passed_over(skips: tuple[Skip, ...]) -> str:
    """The preflight rules that somebody skipped, and why; empty when there are none."""
    said = ", ".join(f"**{skip.rule}** ({_cell(skip.reason)})" for skip in skips)
    return f"Preflight rules passed over: {said}." if said else ""


def approval_page(approval: Approval) -> str:
    """Who decided what, and why."""
    verb = "approved" if approval.decision == "approve" else "rejected"
    return (
        f"{approval.moment} stage **{approval.stage}** of plan `{short(approval.plan)}`: {verb} by "
        f"{_cell(approval.approver)} ({_cell(approval.reason)}{_ticket(approval)})"
    )


def _ticket(approval: Approval) -> str:
    return f", ticket {_cell(approval.ticket)}" if approval.ticket else ""


def verdict_page(verdict: Verdict) -> str:
    """One cluster's verdict with its reasons."""
    grade = f" · proof: {verdict.grade}" if verdict.grade else ""
    then = f"\n\n→ {verdict.next}" if verdict.next else ""
    reasons = "\n".join(f"* {reason}" for reason in verdict.because)
    return f"**{verdict.cluster}: {verdict.outcome}**{grade}\n\n{reasons}{then}"


def report_page(report: FleetReport) -> str:
    """A fleet's verdicts as one table."""
    lines = [
        f"# {report.name} · plan {short(report.plan_digest)}",
        "",
        *[f"* {stage.because}" for stage in report.stages],
        *([f"* {passed_over(report.skip_rules)}"] if report.skip_rules else []),
        "",
        "| cluster | verdict | because |",
        "|---|---|---|",
    ]
    lines += [
        f"| {verdict.cluster} | {verdict.outcome} | {_cell(' · '.join(verdict.because))} |"
        for verdict in report.verdicts
    ]
    return "\n".join(lines)


def report_rows(report: FleetReport) -> list[dict[str, str]]:
    """The same as rows of a Prefect table."""
    return [
        {
            "cluster": str(verdict.cluster),
            "verdict": str(verdict.outcome),
            "proof": str(verdict.grade or ""),
            "because": " · ".join(verdict.because),
            "next": verdict.next,
        }
        for verdict in report.verdicts
    ]


def inventory_rows(rows: tuple[Row, ...]) -> list[dict[str, str]]:
    """An inventory as rows of a Prefect table."""
    return [
        {
            "cluster": str(row.posture.cluster),
            "identity": inventory_view.identity(row.posture),
            "admin groups": inventory_view.groups(row),
            "local accounts": inventory_view.local_accounts(row.posture),
            "old credentials": f"{row.old_credentials.debt}: {row.old_credentials.because}",
            "prospect": str(inventory_view.prospect(row)),
            "problem": row.problem,
        }
        for row in rows
    ]


def _member(plan: ClusterPlan) -> str:
    """A list, not a row of a table: the dialog is narrow, and what is cut off nobody reads."""
    lines = [f"**{plan.cluster}**" + ("" if plan.disposition == "migrate" else f": {plan.disposition}"), ""]
    for step in plan.steps if plan.disposition == "migrate" else ():
        price = consequence(step, tier=plan.tier)
        noticed = f": {_cell(price.interruption)}" if price.interruption else ""
        lines.append(f"* {title(step)}{' **(one way)**' if price.one_way else ''}{noticed}")
    shown = [one for one in plan.findings if one.severity is not Severity.INFO]
    lines += [f"* **{one.rule}** {_cell(one.message)}" for one in shown]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
