"""What a run says about itself in Prefect's logs and state messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.rollout.actions import (
    Action,
    ArriveAtGate,
    AskForApproval,
    FinishStage,
    ReadAuditLogs,
    ReadMaintenanceWindows,
    RecheckStage,
    RunStage,
    StartRotation,
)
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.report.run_lines import line_of_action, line_of_plan, line_of_verdict, unsettled
from tests.support.rollouts import FIRST, PLAN, SECOND, THIRD, proven, said


def test_a_run_says_which_plan_it_carries_out() -> None:
    assert line_of_plan(PLAN) == f"this run carries out plan {PLAN.digest} of fleet prod: 3 clusters"


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (
            RecheckStage(place=0, clusters=(FIRST,), for_changes=True),
            "stage canary: the run reads from Azure what is left to write on 1 cluster",
        ),
        (ReadMaintenanceWindows(clusters=(SECOND, THIRD)), "the run reads the maintenance windows of 2 clusters"),
        (
            ReadAuditLogs(clusters=(FIRST,), quiet=3600),
            "the run reads from the audit logs of 1 cluster who calls with old credentials",
        ),
        (ArriveAtGate(place=1, side="after"), "the gate after stage rest is reached"),
        (AskForApproval(place=0, side="before"), "the gate before stage canary needs an approval"),
        (
            AskForApproval(place=0, side="before", expired="11:00"),
            "the gate before stage canary needs an approval, because the earlier approval expired at 11:00",
        ),
        (
            RunStage(place=1, batches=((1, (SECOND,)), (2, (THIRD,))), writes=True),
            "stage rest begins: 2 clusters in 2 batches",
        ),
        (
            RunStage(place=0, batches=((1, (FIRST,)),), writes=False),
            "stage canary begins: 1 cluster in 1 batch; it only reads, because no step that writes is left",
        ),
        (FinishStage(place=0), "stage canary and its gates are passed"),
        (StartRotation(clusters=(FIRST, SECOND)), "the run plans the rotation of 2 clusters"),
    ],
)
def test_a_coordinator_says_what_it_does_next(action: Action, line: str) -> None:
    assert line_of_action(PLAN, action) == line


def test_a_verdict_is_one_line_with_its_reasons_and_the_remedy() -> None:
    failed = replace(said(FIRST, Outcome.FAILED), because=("one", "two"), next="plan again")
    assert line_of_verdict(failed) == "shop-weu/shop-01: failed: one · two → plan again"
    assert line_of_verdict(proven(FIRST)).startswith("shop-weu/shop-01: verified (proof: credential refused): ")


def test_a_message_names_the_clusters_that_somebody_has_to_look_at() -> None:
    failed = replace(said(SECOND, Outcome.FAILED), because=("one", "two"), next="plan again")
    bare = replace(said(THIRD, Outcome.REFUSED), because=())
    assert unsettled((proven(FIRST), said(FIRST, Outcome.SKIPPED))) == ""
    assert unsettled((proven(FIRST), failed, bare)) == (
        "shop-weu/shop-02 is failed: one → plan again · shop-weu/shop-03 is refused"
    )
    assert unsettled([failed] * 5).endswith("shop-weu/shop-02 is failed: one → plan again · 2 more: see the report")
