"""What the evidence proves about one cluster. "Completed" is never enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.debt import Debt
from aks_entra.core.evidence import (
    LOOKING,
    CertificatesRotated,
    ClusterCreated,
    EntraSet,
    Evidence,
    Failure,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    StateSeen,
)
from aks_entra.core.plan import ClusterPlan
from aks_entra.core.restored import is_restored, weigh_owed, weigh_restored
from aks_entra.core.steps import Guarded, Step, writes
from aks_entra.core.target import AzureRbac, Target
from aks_entra.core.weigh import Grade, weigh, weigh_old_credentials

__all__ = [
    "CLOSED",
    "Grade",
    "Outcome",
    "Verdict",
    "judge",
    "judge_created",
    "left_for_its_window",
    "restored",
    "stopped",
    "unstarted",
]


_AGAIN: Final = "see what the message says, then run the plan again: what is left of it is done, nothing twice"


_LOOK: Final = "look at what is named here, then `aks-entra verify`; where somebody changed the cluster, plan again"


CLOSED: Final = "its window closed before its turn: it is begun when that opens again"


class Outcome(StrEnum):
    """How a cluster stands."""

    VERIFIED = "verified"
    NOT_VERIFIED = "not verified"
    FAILED = "failed"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer for one cluster, each reason with its evidence beside it."""

    cluster: ClusterId
    outcome: Outcome
    because: tuple[str, ...]
    grade: Grade | None = None
    evidence: tuple[Evidence, ...] = ()
    next: str = ""

    @property
    def sound(self) -> bool:
        """Whether the cluster counts against no failure budget."""
        return self.outcome is not Outcome.FAILED


def unstarted(plan: ClusterPlan) -> Verdict | None:
    """The verdict of a cluster that preflight holds back; None when there is something to do or to verify."""
    if plan.disposition == "skipped":
        outcome = Outcome.SKIPPED
    elif plan.disposition == "refused":
        outcome = Outcome.REFUSED
    else:
        return None
    return Verdict(
        cluster=plan.cluster,
        outcome=outcome,
        because=tuple(f"{finding.rule} {finding.message}" for finding in plan.blockers),
        next=next((finding.remedy for finding in plan.blockers if finding.remedy), ""),
    )


def restored(plan: ClusterPlan, verdict: Verdict) -> bool:
    """Whether a rollback did all that it could. Its cluster is open, and so never "verified"."""
    return plan.restores and verdict.outcome is Outcome.NOT_VERIFIED and is_restored(plan, verdict.evidence)


def left_for_its_window(verdict: Verdict) -> bool:
    """Whether a member was not begun because its window had closed."""
    return verdict.outcome is Outcome.SKIPPED and verdict.because == (CLOSED,)


def settled(plan: ClusterPlan, verdict: Verdict) -> bool:
    """Whether all steps of a plan without a rotation were done and looked at: what is missing is not its to write."""
    seen = any(isinstance(one, StateSeen) for one in verdict.evidence)
    return verdict.outcome is Outcome.NOT_VERIFIED and plan.rotates is None and seen


def stopped(plan: ClusterPlan, evidence: tuple[Evidence, ...], at: Step | None) -> Verdict:
    """The verdict of a cluster whose way was stopped by a person: where it stands, and how to go on.

    `at` is the step that was under way; None before the first. What was begun goes on in Azure, whoever has left.
    """
    changed = any(writes(step) for step in plan.steps[: plan.steps.index(at)]) if at in plan.steps else False
    if at is None or not (changed or writes(at) or _changed(evidence)):
        where = f"stopped at {at.kind}: nothing was written" if at else "stopped before its turn: nothing was written"
    elif writes(at):
        where = f"stopped at {at.kind}: what Azure has begun goes on there, and was not seen to its end"
    else:
        where = f"stopped at {at.kind}: the steps before it are done, those after it are not"
    return Verdict(
        cluster=plan.cluster,
        outcome=Outcome.NOT_VERIFIED if at else Outcome.SKIPPED,
        because=(where,),
        evidence=evidence,
        next="aks-entra migrate --resume RUN: the cluster is read again, and only what is left of the plan is done",
    )


def judge(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> Verdict:
    """Weigh the evidence of one cluster. What is missing makes "not verified"; what contradicts makes "failed"."""
    held = unstarted(plan)
    if held is not None:
        return replace(held, evidence=evidence)
    failures = [one for one in evidence if isinstance(one, Failure) and one.step != LOOKING]
    old = weigh_owed(plan) if plan.restores else weigh_old_credentials(plan, evidence)
    if failures:
        last = failures[-1]
        untouched = last.error == "Refused" and not _changed(evidence)
        where = f"at {last.step}: " if last.step else ""
        return Verdict(
            cluster=plan.cluster,
            outcome=Outcome.REFUSED if untouched else Outcome.FAILED,
            because=(f"{where}{last.message}", *old.wrong),
            evidence=evidence,
            next=old.next if old.wrong else last.remedy or _AGAIN,
        )
    seen = weigh_restored(plan, evidence) if plan.restores else weigh(plan, evidence)
    wrong = seen.wrong + old.wrong
    missing = seen.missing + old.missing
    outcome = Outcome.FAILED if wrong else Outcome.NOT_VERIFIED if missing else Outcome.VERIFIED
    return Verdict(
        cluster=plan.cluster,
        outcome=outcome,
        because=tuple(wrong + missing + seen.proven + old.proven),
        grade=old.grade if outcome is Outcome.VERIFIED else None,
        evidence=evidence,
        next="" if outcome is Outcome.VERIFIED else old.next or seen.next or _LOOK,
    )


def judge_created(cluster: ClusterId, target: Target, evidence: tuple[Evidence, ...]) -> Verdict:
    """Weigh the evidence of a cluster that `provision` made: closed from its first day, it never had credentials.

    One that was found there already was perhaps open once: only that it is closed now can be seen.
    """
    made = next((one for one in evidence if isinstance(one, ClusterCreated)), None)
    new = made is not None and made.changed
    because = "it was there already" if made else "its creation was not seen"
    groups = tuple(group.reference for group in target.admin_groups)
    plan = ClusterPlan(
        cluster=cluster,
        target=target,
        before=Guarded(
            identity=Identity.MANAGED,
            tenant_id=target.tenant_id.lower(),
            admin_groups=tuple(sorted(name if ":" in name else name.lower() for name in groups)),
            azure_rbac=target.azure_rbac is AzureRbac.ON,
            local_accounts=False,
            kubernetes_rbac=True,
            ca=None,
        ),
        steps=(),
        debt=Debt.NONE if new else Debt.UNKNOWN,
        debt_because=f"created with local accounts off on {made.at[:10]}" if made and new else because,
    )
    return judge(plan, evidence)


def _changed(evidence: tuple[Evidence, ...]) -> bool:
    """Whether something was written on the cluster."""
    kinds = EntraSet | LocalAccountsDisabled | LocalAccountsEnabled | CertificatesRotated | ClusterCreated
    return any(isinstance(one, kinds) and one.changed for one in evidence)
