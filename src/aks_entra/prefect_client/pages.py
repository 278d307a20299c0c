"""Plans, approvals, verdicts and reports as pages for people in Prefect's UI (markdown)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aks_entra.core.planning.gates import Gate, Side
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.planning.rollout import Stage
from aks_entra.core.preflight import Severity, Skip
from aks_entra.core.steps import KINDS, consequence
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.planning.inventory import Row
from aks_entra.prefect_client.names import short
from aks_entra.report import doors_view, inventory_view, plan_markdown
from aks_entra.report.plan_view import limits, view_of
from aks_entra.text.markdown import code, for_markdown, for_markdown_table_cell, strong
from aks_entra.text.safe import visible

if TYPE_CHECKING:
    from aks_entra.core.entra_keys import PublishedKey
    from aks_entra.core.planning.approval import Approval
    from aks_entra.core.planning.signed_approval import SignedApproval, Statement

_UNSEALED = (
    "**No digest covers the findings of this plan**: an earlier version made it, or somebody changed its file. "
    "Plan again to be sure of them."
)
_READ_ON = "Read this page to its end. The form is below it, and the tab *Artifacts* has the whole plan."
LONGEST = 200  # members shown on one page


def plan_page(plan: FleetPlan) -> str:
    """Render a whole plan, as `aks-entra plan -o markdown` prints it."""
    return plan_markdown.render(view_of(plan))


def stage_page(plan: FleetPlan, stage: Stage) -> str:
    """Render one stage: its clusters with their steps, interruptions, irreversible steps and refusals."""
    members = [plan.plan_for(member) for member in stage.members]
    rules = ", ".join(
        (
            f"{len(members)} cluster{'' if len(members) == 1 else 's'}",
            f"{stage.max_concurrency} at a time",
            *map(for_markdown, limits(stage)),
            f"stops after more than {stage.max_allowed_failures} failures",
        )
    )
    lines = [rules, *(_member(member) for member in members[:LONGEST])]
    if len(members) > LONGEST:
        lines.append(f"… and {len(members) - LONGEST} more")
    return "\n\n".join(lines)


def gate_page(plan: FleetPlan, stage: Stage, side: Side, *, expired: str = "", requested: str = "") -> str:
    """Render what an approver reads before deciding.

    `expired`: when an earlier approval expired. `requested`: what the request for the run said about it.
    """
    binding = (
        f"Plan {code(short(plan.digest))} of fleet {strong(plan.name)}, made {for_markdown(plan.created_at)}. "
        "The approval holds for exactly this plan; a cluster that changed since is refused."
    )
    name = plan.prover.client_id or plan.prover.object_id
    proof = f"Sign-in is proven by the automation {code(name)}: no person's sign-in is proven yet."
    # a small heading: Prefect's V1 dialog shows only a few lines of this page at once
    heading = f"### {side.capitalize()} stage {for_markdown(stage.name)}: approve or reject"
    again = f"**The earlier approval expired at {for_markdown(expired)}: a new one is needed.**" if expired else ""
    asked = f"Somebody requested this run: {for_markdown(requested)}." if requested else ""
    parts = [
        heading,
        _READ_ON,
        again,
        asked,
        binding,
        proof,
        _conditions(stage.gate(side)),
        skipped_rules(plan.skip_rules),
    ]
    parts.append(
        _UNSEALED if plan.unsealed else f"The findings on this page have the digest {code(short(plan.facts_digest))}."
    )
    parts.append(plan_markdown.changes(view_of(plan)))
    parts.append(stage_page(plan, stage))
    return "\n\n".join(part for part in parts if part)


def _conditions(gate: Gate | None) -> str:
    """Say what the gate waits for, and how long an approval is valid."""
    if gate is None:
        return ""
    return f"This gate waits for: {'; '.join(map(for_markdown, gate.conditions))}."


def skipped_rules(skips: tuple[Skip, ...]) -> str:
    """Say which preflight rules somebody skipped, and why. Empty if there are none."""
    said = ", ".join(f"{strong(skip.rule)} ({for_markdown(skip.reason)})" for skip in skips)
    return f"Skipped preflight rules: {said}." if said else ""


def approval_page(approval: Approval) -> str:
    """Say who decided what, and why."""
    verb = "approved" if approval.decision == "approve" else "rejected"
    return (
        f"{approval.moment} stage {strong(approval.stage)} of plan {code(short(approval.plan))}: {verb} by "
        f"{for_markdown(approval.by)} ({for_markdown(approval.reason)}{_ticket(approval)})"
    )


def how_to_sign(run: str, digest: str, warning: str = "") -> str:
    """Say how to sign the approval of a run's gate, and why that may not count. It is above the page of the gate."""
    here = f"aks-entra approve {run[:8]} --plan {short(digest)} --reason …"
    first = f"**{for_markdown(warning)}.**\n\n" if warning else ""
    return (
        f"{first}People sign this approval at Microsoft Entra ID: {code(here)}. To decide in this form, get the "
        f"approval code first: {code(f'aks-entra sign {run[:8]} --reason …')}.\n\n"
    )


def signed_approval_page(signed: SignedApproval) -> str:
    """Say what a person signed, without the token. Who it was is known when the signatures are checked."""
    said = signed.statement
    return (
        f"approval code {code(signed.code)}: {said.decision} {_of(said)} {code(short(said.plan))} in run "
        f"{code(said.run[:8])} ({for_markdown(said.reason)})"
    )


def entra_key_page(key: PublishedKey) -> str:
    """Say which of Entra's keys was seen, where and when."""
    return f"Microsoft Entra ID published the key {code(key.kid)} at {code(key.url)} on {key.seen_at}"


def _of(said: Statement) -> str:
    return said.subject if said.subject != "stage" else f"{said.side} stage {strong(said.stage)} of plan"


def _ticket(approval: Approval) -> str:
    return f", ticket {for_markdown(approval.ticket)}" if approval.ticket else ""


def verdict_page(verdict: Verdict) -> str:
    """Render one cluster's verdict with its reasons."""
    grade = f" · proof: {verdict.grade}" if verdict.grade else ""
    then = f"\n\n→ {for_markdown(verdict.next, code=True)}" if verdict.next else ""
    reasons = "\n".join(f"* {for_markdown(reason, code=True)}" for reason in verdict.because)
    return f"{strong(f'{verdict.cluster}: {verdict.outcome}')}{grade}\n\n{reasons}{then}"


def report_page(report: FleetReport) -> str:
    """Render a fleet's verdicts as one table."""
    lines = [
        f"# {for_markdown(report.name)} · plan {for_markdown(short(report.plan_digest))}",
        "",
        *[f"* {for_markdown(stage.because, code=True)}" for stage in report.stages],
        *([f"* {skipped_rules(report.skip_rules)}"] if report.skip_rules else []),
        "",
        "| cluster | verdict | because |",
        "|---|---|---|",
    ]
    lines += [_row(verdict) for verdict in report.verdicts]
    return "\n".join(lines)


def _row(verdict: Verdict) -> str:
    because = " · ".join(for_markdown_table_cell(reason, code=True) for reason in verdict.because)
    return f"| {for_markdown_table_cell(str(verdict.cluster))} | {verdict.outcome} | {because} |"


def report_rows(report: FleetReport) -> list[dict[str, object]]:
    """Return a fleet's verdicts as rows of a Prefect table."""
    return [
        cells(
            {
                "cluster": str(verdict.cluster),
                "verdict": str(verdict.outcome),
                "proof": str(verdict.grade or ""),
                "because": " · ".join(verdict.because),
                "next": verdict.next,
            }
        )
        for verdict in report.verdicts
    ]


def inventory_rows(rows: tuple[Row, ...]) -> list[dict[str, object]]:
    """Return an inventory as rows of a Prefect table, with the subscription if there are several."""
    several = len({row.posture.cluster.subscription_id.lower() for row in rows}) > 1
    return [
        cells(
            {
                **({"subscription": row.posture.cluster.subscription_id} if several else {}),
                "cluster": str(row.posture.cluster),
                "identity": inventory_view.identity(row.posture),
                "admin groups": inventory_view.groups(row),
                "local accounts": inventory_view.local_accounts(row.posture),
                "old credentials": f"{row.old_credentials.debt}: {row.old_credentials.because}",
                "other ways in": doors_view.summary(row.doors),
                "prospect": str(inventory_view.prospect(row)),
                "problem": row.problem,
            }
        )
        for row in rows
    ]


def _member(plan: ClusterPlan) -> str:
    """Render a list, not a row of a table: the dialog is narrow, and it cuts wide rows off."""
    lines = [strong(str(plan.cluster)) + ("" if plan.disposition == "migrate" else f": {plan.disposition}"), ""]
    for step in plan.steps if plan.disposition == "migrate" else ():
        price = consequence(step, tier=plan.tier)
        noticed = f": {for_markdown(price.interruption, code=True)}" if price.interruption else ""
        lines.append(f"* {KINDS[type(step)].title}{' **(one way)**' if price.one_way else ''}{noticed}")
    shown = [one for one in plan.findings if one.severity is not Severity.INFO]
    lines += [f"* {strong(one.rule)} {for_markdown(one.message, code=True)}" for one in shown]
    return "\n".join(lines)


def cells(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row of a Prefect table, with each text on one line."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in row.items()}
