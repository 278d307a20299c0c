"""Which clusters of a stage are proven, and which stop the rollout: one case at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aks_entra.core.evidence.observations import (
    ClusterCreated,
    Credential,
    EntraSet,
    Failure,
    GroupEnsured,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    Moment,
    NodesSeen,
    StateSeen,
)
from aks_entra.core.planning.plan import ClusterPlan, plan_cluster
from aks_entra.core.planning.rollout import MemberGroup, Stage
from aks_entra.core.rollout.state import (
    counts_against,
    lacks_an_end,
    owed_on_purpose,
    verified_before,
    weigh_stage,
    without_an_end,
)
from aks_entra.core.steps import EnableLocalAccounts, VerifyRestored
from aks_entra.core.target import LocalAccounts, RotationPolicy
from aks_entra.core.verdict.verdict import CLOSED, Outcome, Reason, Verdict, is_final, judge, unfinished, written
from tests.support.cases import NOW, SHOP, WHOLE, facts, managed, posture, state, target, tried
from tests.support.rollouts import fleet_of

MIGRATE = plan_cluster(managed(), target(), facts())
LATER = plan_cluster(managed(), target(rotation=RotationPolicy.LATER), facts())
KEPT = plan_cluster(managed(), target(local_accounts=LocalAccounts.KEEP), facts())
STOPPED = plan_cluster(managed(power_state="Stopped"), target(), facts())
REFUSED = plan_cluster(posture(kubernetes_rbac=False), target(), facts())
STAGE = Stage(name="canary", groups=(MemberGroup(name="all", members=(SHOP,)),))
NO_ROTATION = tuple(one for one in WHOLE if one.kind not in {"certificates-rotated", "credential-tried"})
WRITTEN = LocalAccountsDisabled(at=NOW, changed=True)


def said(outcome: Outcome, *because: str, reason: Reason = Reason.NONE) -> Verdict:
    return Verdict(cluster=SHOP, outcome=outcome, because=because or ("so it is",), reason_code=reason)


@pytest.mark.parametrize(
    ("plan", "verdict", "counts"),
    [
        (MIGRATE, None, True),
        (MIGRATE, judge(MIGRATE, WHOLE), False),
        (MIGRATE, said(Outcome.FAILED), True),
        (MIGRATE, said(Outcome.NOT_VERIFIED), True),
        (MIGRATE, said(Outcome.REFUSED), True),  # at execution: AKS Fleet Manager counts it as failed
        (MIGRATE, said(Outcome.SKIPPED), True),
        (MIGRATE, said(Outcome.SKIPPED, reason=Reason.STOPPED), True),
        (MIGRATE, said(Outcome.SKIPPED, reason=Reason.BUDGET_SPENT), True),
        (MIGRATE, said(Outcome.SKIPPED, reason=Reason.LEFT_OUT), False),
        (MIGRATE, said(Outcome.NOT_VERIFIED, reason=Reason.LEFT_OUT), False),
        (MIGRATE, said(Outcome.SKIPPED, CLOSED), False),  # as earlier versions stored it
        (MIGRATE, said(Outcome.NOT_VERIFIED, CLOSED, reason=Reason.WINDOW_CLOSED), False),
        (REFUSED, None, False),
        (STOPPED, None, False),
    ],
)
def test_what_counts_against_the_budget(plan: ClusterPlan, verdict: Verdict | None, *, counts: bool) -> None:
    assert counts_against(plan, verdict) is counts
    assert not counts_against(plan, verdict, left_out=True)


@pytest.mark.parametrize("plan", [LATER, KEPT])
def test_a_rotation_that_the_plan_owes_on_purpose_is_no_failure(plan: ClusterPlan) -> None:
    end = state(local_accounts=plan is KEPT)
    evidence = (*(one for one in NO_ROTATION if not isinstance(one, StateSeen)), end)
    verdict = judge(plan, evidence)
    assert verdict.outcome is Outcome.NOT_VERIFIED, verdict.because
    assert owed_on_purpose(plan, verdict)
    assert not counts_against(plan, verdict)
    without_nodes = judge(plan, tuple(one for one in evidence if not isinstance(one, NodesSeen)))
    assert counts_against(plan, without_nodes)
    looked = Failure(at=NOW, error="TryLater", step="verify", message="the activity log was not read")
    assert counts_against(plan, judge(plan, (*evidence, looked)))
    assert counts_against(plan, replace(verdict, reason_code=Reason.STOPPED))


def test_a_rotation_that_is_missing_against_the_plan_is_a_failure() -> None:
    assert counts_against(MIGRATE, judge(MIGRATE, NO_ROTATION))
    none_planned = replace(MIGRATE, steps=tuple(step for step in MIGRATE.steps if step != MIGRATE.rotates))
    assert none_planned.rotates is None
    assert counts_against(none_planned, said(Outcome.NOT_VERIFIED))


def test_a_rollback_that_restored_everything_counts_as_proven() -> None:
    closed = replace(MIGRATE.before, local_accounts=False)
    steps = (EnableLocalAccounts(), VerifyRestored(local_accounts=True))
    back = replace(MIGRATE, before=closed, steps=steps)
    open_again = state(local_accounts=True)
    works = tried(Credential.CERTIFICATE, Moment.AFTER, 200)
    assert not counts_against(back, judge(back, (works, open_again)))
    assert counts_against(back, judge(back, (open_again,)))


@pytest.mark.parametrize(
    ("ended", "go_on", "because"),
    [
        ((), True, "stage canary: 0 failed, 0 allowed"),
        (("COMPLETED", ""), True, "stage canary: 0 failed, 0 allowed"),
        (("FAILED",), False, "stage canary: its batch ended Failed: the stages after it are not started"),
        (
            ("CRASHED", "FAILED", "COMPLETED"),
            False,
            "stage canary: its batch ended Crashed and Failed: the stages after it are not started",
        ),
        (("CANCELLED",), False, "stage canary: its batch was cancelled: the stages after it are not started"),
    ],
)
def test_a_batch_that_did_not_end_well_stops_the_stage(ended: tuple[str, ...], *, go_on: bool, because: str) -> None:
    plan = fleet_of(MIGRATE)
    result = weigh_stage(plan, STAGE, {SHOP.key: judge(MIGRATE, WHOLE)}, frozenset(), ended=ended)
    assert (result.go_on, result.because) == (go_on, because)


@pytest.mark.parametrize(
    ("verdict", "because"),
    [
        (None, "1 failed, 0 allowed"),
        (said(Outcome.FAILED), "1 failed, 0 allowed"),
        (said(Outcome.NOT_VERIFIED), "1 not proven, 0 allowed"),
        (said(Outcome.REFUSED), "1 not proven, 0 allowed"),
    ],
)
def test_a_stage_with_an_unproven_cluster_does_not_go_on(verdict: Verdict | None, because: str) -> None:
    plan, known = fleet_of(MIGRATE), {SHOP.key: verdict} if verdict else {}
    result = weigh_stage(plan, STAGE, known, frozenset())
    assert (result.go_on, result.failures) == (False, 1)
    assert because in result.because
    assert weigh_stage(plan, STAGE, known, frozenset({SHOP})).go_on
    assert weigh_stage(plan, replace(STAGE, max_allowed_failures=1), known, frozenset()).go_on


def test_both_kinds_are_said() -> None:
    other = replace(SHOP, name="shop-02")
    plan = fleet_of(MIGRATE, replace(MIGRATE, cluster=other))
    stage = Stage(name="all", groups=(MemberGroup(name="all", members=(SHOP, other)),))
    result = weigh_stage(plan, stage, {other.key: said(Outcome.NOT_VERIFIED)}, frozenset())
    assert result.because.startswith("stage all: 1 failed and 1 not proven, 0 allowed")


def test_nothing_is_called_unwritten_that_evidence_or_azure_shows_written() -> None:
    assert lacks_an_end(MIGRATE, None)
    assert lacks_an_end(MIGRATE, said(Outcome.SKIPPED))
    assert not lacks_an_end(MIGRATE, said(Outcome.FAILED))
    assert not lacks_an_end(STOPPED, None)

    plain = without_an_end(MIGRATE, None, (), (), "rejected")
    assert (plain.outcome, plain.because, plain.reason_code) == (Outcome.SKIPPED, ("rejected",), Reason.NOT_REACHED)
    for evidence, logged in (((WRITTEN,), ()), ((), ("Azure's activity log shows a write by ci at 10:00",))):
        shown = without_an_end(MIGRATE, None, evidence, logged, "rejected")
        assert shown.outcome is Outcome.NOT_VERIFIED
        assert shown.because[1].startswith("written so far: ")
        again = without_an_end(MIGRATE, said(Outcome.SKIPPED, "its turn never came"), evidence, logged, "")
        assert (again.outcome, again.because[0]) == (Outcome.NOT_VERIFIED, "its turn never came")
        begun = without_an_end(MIGRATE, None, evidence, logged, "")
        assert (begun.outcome, begun.because[0]) == (Outcome.FAILED, "its batch ended without a verdict")
        assert begun.because[1] == shown.because[1]
    unknown = without_an_end(MIGRATE, None, (), None, "rejected")
    assert unknown.outcome is Outcome.NOT_VERIFIED
    assert unknown.because[1] == (
        "it is not known whether anything was written: Azure's activity log could not be read"
    )
    lost = without_an_end(MIGRATE, None, (), (), "")
    assert (lost.outcome, lost.reason_code) == (Outcome.FAILED, Reason.LOST)
    assert (lost.because[0], lost.next) == ("its batch ended without a verdict", "aks-entra migrate --resume")
    refused = without_an_end(MIGRATE, None, (), (), "", ended="another version")
    assert refused.because[0] == "its batch ended without a verdict: another version"
    kept = said(Outcome.SKIPPED, "its turn never came")
    assert without_an_end(MIGRATE, kept, (), (), "") is kept


def test_every_write_that_evidence_shows_is_told_in_words() -> None:
    group = GroupEnsured(at=NOW, group_id="g", display_name="admins", unique_name="u", created=True)
    entra = EntraSet(at=NOW, changed=True, admin_group_ids=(), tenant_id="t", azure_rbac=False)
    assert written((group, entra, WRITTEN, *WHOLE, replace(WRITTEN, changed=False))) == (
        f"admin group admins created at {NOW}",
        f"Microsoft Entra ID set at {NOW}",
        f"local accounts switched off at {NOW}",
        f"certificates rotated at {NOW}",
    )
    rest = (LocalAccountsEnabled(at=NOW, changed=True), ClusterCreated(at=NOW, changed=True))
    assert written(rest) == (f"local accounts switched on at {NOW}", f"cluster created at {NOW}")
    assert unfinished(MIGRATE, (), "why", Reason.STOPPED, begun=True).outcome is Outcome.NOT_VERIFIED


def test_a_refusal_that_ends_by_itself_is_tried_again() -> None:
    assert is_final(judge(MIGRATE, WHOLE))
    assert not is_final(said(Outcome.NOT_VERIFIED))
    failure = Failure(at=NOW, error="Refused", step="", message="moved")
    assert is_final(judge(MIGRATE, (failure,)))
    for code in ("LookOnly", "BreakGlassOpen"):
        refused = judge(MIGRATE, (replace(failure, code=code),))
        assert refused.outcome is Outcome.REFUSED
        assert not is_final(refused)


def test_a_verdict_is_from_before_a_moment_unless_the_state_was_seen_since() -> None:
    verified = replace(said(Outcome.VERIFIED), evidence=(state(at="2026-11-24T09:00:00Z"),))
    seen = datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert verified_before(verified, seen + timedelta(seconds=1))
    assert not verified_before(verified, seen)
    assert verified_before(said(Outcome.VERIFIED), seen), "it names no moment"
    assert not verified_before(replace(verified, outcome=Outcome.NOT_VERIFIED), seen + timedelta(seconds=1))
