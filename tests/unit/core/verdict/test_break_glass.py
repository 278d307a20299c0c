"""What is said of a break-glass opening."""

from __future__ import annotations

from aks_entra.core.evidence.break_glass import Opening, opening_on
from aks_entra.core.evidence.observations import Evidence, Failure, LocalAccountsDisabled
from aks_entra.core.verdict.break_glass import judge_gone, judge_opening, report_of
from tests.support.cases import NOW, SHOP, state
from tests.support.golden_files import approved, brief
from tests.support.golden_lines import verdict_lines


def test_golden_break_glass() -> None:
    whole = Opening(
        until="2026-11-24T10:00:00Z", since="2026-11-24T09:00:00Z", reason="INC-1", ticket="T", opener="dana"
    )
    least = Opening(until="soon", since="2026-11-24T09:00:00Z", reason="INC-1")
    opened = whole.evidence(at=NOW, changed=True, correlation_id="c-1")
    closed = LocalAccountsDisabled(at=NOW, changed=True)
    fails = [
        Failure(at=NOW, error=error, step="", message="no token", remedy=remedy)
        for error, remedy in (("Refused", "ask"), ("TryLater", ""), ("TryLater", "wait"))
    ]
    seen: list[tuple[Evidence, ...]] = [
        (),
        (opened,),
        (opened, closed),
        (opened, state()),
        (opened, state(local_accounts=True)),
        *((one,) for one in fails),
        *((opened, one) for one in fails),
        *((opened, closed, one) for one in fails),
    ]
    judged = [
        (
            f"{' '.join(one.kind for one in evidence) or 'nothing'}",
            verdict_lines(judge_opening(SHOP, opening, evidence)),
        )
        for opening in (whole, least)
        for evidence in seen
    ]
    lost = [(f"gone, open {it}", verdict_lines(judge_gone(SHOP, whole, local_accounts=it))) for it in (True, False)]
    tags = [("AKS-Entra-Break-Glass-until", "u"), ("aks-entra-break-glass-Since", "s"), ("env", "prod")]
    read = [("tags, most of them missing", brief(opening_on(tags))), ("no tags", str(opening_on([("env", "prod")])))]
    report = report_of(SHOP, whole, judge_opening(SHOP, whole, (opened,)), ended_at="2026-11-24T11:00:00Z")
    kept = [report.name, report.plan_digest, report.started_at, report.ended_at, f"{len(report.verdicts)} verdict"]
    plain = [brief(opened), brief(least.evidence(at=NOW, changed=False)), str(whole.tags), str(least.tags)]
    approved("break-glass", [*judged, *lost, *read, ("the report", kept), ("on the cluster", plain)])
