"""Whether a rollout may continue: which clusters of a stage are proven, and which count against its failure budget.

AKS Fleet Manager stops a stage when more clusters failed than `max_allowed_failures`. Here a cluster that is not proven
counts as well, because nothing known about it would justify the next stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import Evidence, Failure, StateSeen
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.planning.rollout import Stage, StageResult, stage_result
from aks_entra.core.target import LocalAccounts, RotationPolicy
from aks_entra.core.verdict.assess import weigh
from aks_entra.core.verdict.old_credentials import answer_of, weigh_old_credentials
from aks_entra.core.verdict.verdict import (
    Outcome,
    Reason,
    Verdict,
    left_for_its_window,
    restored,
    unfinished,
    unstarted,
)

ENDED_BADLY: Final = frozenset({"FAILED", "CRASHED", "CANCELLED"})
"""Types of final states of a batch that stop the rollout, whatever the verdicts say."""
EVER: Final = datetime.min.replace(tzinfo=UTC)
"""Before every moment."""


def counts_against(
    plan: ClusterPlan, verdict: Verdict | None, *, left_out: bool = False, since: datetime = EVER
) -> bool:
    """Whether a cluster of a stage counts against the stage's budget.

    It does not count if it is proven (verified since the rollout began, or restored by a rollback), if a person skipped
    it, if it still waits for its window, if its plan owes the rest on purpose, or if the approved plan said that it is
    refused or skipped. Everything else counts: not verified, failed, skipped, refused at execution, without a verdict,
    verified before `since`, or with a hook after its rotation that is not done.
    """
    if left_out or unstarted(plan) is not None:
        return False
    if verdict is None:
        return True
    if verdict.reason_code is Reason.LEFT_OUT or left_for_its_window(verdict):
        return False
    verified = verdict.outcome is Outcome.VERIFIED and not verified_before(verdict, since)
    return verdict.hooks_left or not (verified or restored(plan, verdict) or owed_on_purpose(plan, verdict))


def verified_before(verdict: Verdict, moment: datetime) -> bool:
    """Whether a verdict says "verified" of a state that was last seen before a moment."""
    seen = (when(one.at) for one in verdict.evidence if isinstance(one, StateSeen))
    return verdict.outcome is Outcome.VERIFIED and all(at is None or at < moment for at in seen)


def owed_on_purpose(plan: ClusterPlan, verdict: Verdict) -> bool:
    """Whether everything that the plan does is proven, and only the rotation is missing, as the target says.

    This is so with `rotation: later` (or after a soak), and where local accounts are kept.
    """
    target = plan.target
    kept = target.local_accounts is LocalAccounts.KEEP
    later = target.rotation is RotationPolicy.LATER
    if plan.rotates or plan.restores or not (kept or later) or verdict.outcome is not Outcome.NOT_VERIFIED:
        return False
    return not verdict.reason_code and _all_else_proven(plan, verdict.evidence)


def weigh_stage(
    plan: FleetPlan,
    stage: Stage,
    known: Mapping[str, Verdict],
    left_out: frozenset[ClusterId],
    *,
    ended: Iterable[str] = (),
    since: datetime = EVER,
) -> StageResult:
    """Weigh a stage's verdicts (by `ClusterId.key`) against its budget, and how its batches ended.

    `ended`: the types of the final states of the batches that ran. One that did not end well stops the rollout.
    `since`: when the rollout began; what an earlier one verified proves nothing to this one.
    """
    counted = [
        (member, known.get(member.key))
        for member in stage.members
        if counts_against(plan.plan_for(member), known.get(member.key), left_out=member in left_out, since=since)
    ]
    failed = sum(verdict is None or verdict.outcome is Outcome.FAILED for _, verdict in counted)
    hooks = sum(
        verdict is not None and verdict.outcome is Outcome.VERIFIED and verdict.hooks_left for _, verdict in counted
    )
    result = stage_result(stage, failed, unproven=len(counted) - failed - hooks, hooks=hooks)
    bad = sorted(set(ended) & ENDED_BADLY)
    if bad and result.go_on:
        how = "was cancelled" if "CANCELLED" in bad else f"ended {' and '.join(one.title() for one in bad)}"
        because = f"stage {stage.name}: its batch {how}: the stages after it are not started"
        return replace(result, go_on=False, because=because)
    return result


def lacks_an_end(plan: ClusterPlan, verdict: Verdict | None) -> bool:
    """Whether a cluster has no verdict, or one that says it was not begun. Then Azure is asked what was written."""
    if plan.disposition != "migrate":
        return False
    return verdict is None or verdict.outcome is Outcome.SKIPPED


def without_an_end(
    plan: ClusterPlan,
    verdict: Verdict | None,
    evidence: tuple[Evidence, ...],
    logged: tuple[str, ...] | None,
    halted: str,
    ended: str = "",
) -> Verdict:
    """The verdict of a cluster that `lacks_an_end`, from evidence and from what Azure shows (None: unreadable).

    `halted`: why its stage was not begun; empty: it was, and its batch ended without a verdict. `ended`: what that
    batch said at its end; empty: nothing.
    """
    if verdict is not None:
        shown = unfinished(plan, evidence, verdict.because[0], verdict.reason_code, logged=logged)
        return verdict if shown.outcome is Outcome.SKIPPED else shown
    if halted:
        return unfinished(plan, evidence, halted, Reason.NOT_REACHED, logged=logged)
    why = f"its batch ended without a verdict{f': {ended}' if ended else ''}"
    lost = unfinished(plan, evidence, why, Reason.LOST, logged=logged, begun=True)
    return replace(lost, outcome=Outcome.FAILED, next="aks-entra migrate --resume")


def _all_else_proven(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> bool:
    if any(isinstance(one, Failure) for one in evidence):
        return False
    seen = weigh(plan, evidence)
    old = weigh_old_credentials(plan, evidence, answer_of(plan, evidence))
    return not (seen.wrong or seen.missing or old.wrong)
