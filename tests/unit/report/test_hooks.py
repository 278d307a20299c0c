"""A hook after the rotation that is not done shows in every format of a report, and nowhere looks like success."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.console import Console

from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.hooks.model import EmitEvent
from aks_entra.core.verdict.verdict import Outcome, Verdict, with_hooks
from aks_entra.report import attestation, csv_rows, html, junit, plan_markdown, plan_text, plan_view, run_lines, sarif
from tests.support.report_samples import AT, NEW_CA, cluster, report
from tests.support.rollouts import PLAN


def verdict(status: HookStatus) -> Verdict:
    ran = HookRan(
        at=AT, place=0, hook="emit contoso.rotated", status=status, ca=NEW_CA, detail="no answer", remedy="look"
    )
    proven = Verdict(cluster=cluster("shop-01"), outcome=Outcome.VERIFIED, because=("3 nodes Ready",), evidence=(ran,))
    return with_hooks(proven)


@pytest.mark.parametrize("status", [HookStatus.FAILED, HookStatus.NOT_RUN])
def test_a_hook_that_is_not_done_is_never_green(status: HookStatus) -> None:
    found = report(verdict(status))
    said = f"after the rotation, emit contoso.rotated: {status}: no answer"
    [result] = json.loads(sarif.render(found))["runs"][0]["results"]
    assert (result["kind"], result["level"]) == ("fail", "warning")
    assert '<failure message="after the rotation' in junit.render(found)
    predicate = attestation.statement(found, "report.json", b"{}")["predicate"]
    assert (predicate["result"], len(predicate["warnedTests"])) == ("WARNED", 1)
    for text in (csv_rows.render(found), html.render(found), run_lines.unsettled(found.verdicts)):
        assert said in text
    assert run_lines.unsettled(found.verdicts) == f"shop-weu/shop-01 is verified: {said} → look"


def test_a_hook_that_is_done_is_named_and_asks_for_nothing() -> None:
    found = report(verdict(HookStatus.DONE))
    [result] = json.loads(sarif.render(found))["runs"][0]["results"]
    assert (result["kind"], result["level"]) == ("pass", "none")
    assert "<failure" not in junit.render(found)
    assert attestation.statement(found, "report.json", b"{}")["predicate"]["result"] == "PASSED"
    assert "after the rotation, emit contoso.rotated: done" in csv_rows.render(found)
    assert run_lines.unsettled(found.verdicts) == ""


def test_a_plan_shows_its_hooks_to_the_approver() -> None:
    canary = replace(PLAN.stages[0], after=(EmitEvent(event="contoso.canary"),))
    staged = replace(PLAN, after=(EmitEvent(event="contoso.rotated"),), stages=(canary, *PLAN.stages[1:]))
    view = plan_view.view_of(staged)
    assert "**After each rotation:** emit contoso" in plan_markdown.render(view)
    assert "**After each rotation:**" in plan_markdown.changes(view)
    assert f"**After each rotation in stage {canary.name}:** emit contoso" in plan_markdown.changes(view)
    console = Console(width=300, no_color=True)
    with console.capture() as captured:
        console.print(*plan_text.render(view))
    assert f"After each rotation in stage {canary.name}: emit contoso.canary" in captured.get()
