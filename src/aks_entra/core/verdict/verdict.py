"""What the evidence proves about one cluster. "Completed" is never enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.evidence.observations import (
    LOOKING,
    CertificatesRotated,
    ClusterCreated,
    DenyPolicySeen,
    EntraSet,
    Evidence,
    Failure,
    GroupEnsured,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    StateSeen,
)
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials, Record
from aks_entra.core.hooks.model import Hook
from aks_entra.core.hooks.results import (
    AGAIN,
    HookEnd,
    last_runs,
    left,
    result_of,
    rotation_in,
    sentence,
    unsaid,
)
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.steps import AssignDenyPolicy, Guarded, Step, writes
from aks_entra.core.target import AzureRbac, Target
from aks_entra.core.verdict.assess import Grade, weigh
from aks_entra.core.verdict.old_credentials import answer_of, weigh_old_credentials
from aks_entra.core.verdict.rollback import is_restored, weigh_owed, weigh_restored

__all__ = [
    "CLOSED",
    "Grade",
    "Outcome",
    "Reason",
    "Verdict",
    "is_final",
    "judge",
    "judge_created",
    "left_behind_its_gate",
    "may_be_kept",
    "restored",
    "settled",
    "stopped",
    "unfinished",
    "unstarted",
    "with_hooks",
    "with_hooks_not_run",
    "written",
]


_AGAIN: Final = "see the message, then run the plan again: it does what is left, and nothing twice"


_LOOK: Final = "check what is named here, then run `aks-entra verify`; if somebody changed the cluster, plan again"


_RESUME: Final = "aks-entra migrate --resume RUN: it reads the cluster again, and does only what is left of the plan"


CLOSED: Final = "its window closed before its turn: it is begun when that opens again"


PASSING: Final = frozenset({"LookOnly", "BreakGlassOpen"})
"""Codes of refusals at execution that pass: the next resume tries the cluster again."""


class Outcome(StrEnum):
    """The outcome for a cluster."""

    VERIFIED = "verified"
    NOT_VERIFIED = "not verified"
    FAILED = "failed"
    REFUSED = "refused"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why a cluster was not begun or not finished, for programs. Sentences are for people."""

    NONE = ""
    WINDOW_CLOSED = "window closed"  # it is begun when its window opens again
    NOT_QUIET = "not quiet"  # it is begun when its audit log shows no caller with an old credential again
    LEFT_OUT = "left out"  # by a person
    BUDGET_SPENT = "budget spent"
    STOPPED = "stopped"  # the run was cancelled
    LOST = "lost"  # its process ended without a verdict
    NOT_REACHED = "not reached"  # the rollout ended before its stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer for one cluster, with its reasons and evidence."""

    cluster: ClusterId
    outcome: Outcome
    because: tuple[str, ...]
    grade: Grade | None = None
    evidence: tuple[Evidence, ...] = ()
    next: str = ""
    old_credentials: OldCredentials | None = None  # None: not weighed, or stored by an earlier version
    reason_code: Reason = Reason.NONE

    @property
    def sound(self) -> bool:
        """Whether the cluster counts against no failure budget."""
        return self.outcome is not Outcome.FAILED

    @property
    def hooks_left(self) -> bool:
        """Whether a hook after the rotation is not done. That needs somebody, whatever the proofs say."""
        return bool(left(self.evidence))


def unstarted(plan: ClusterPlan) -> Verdict | None:
    """Return the verdict of a cluster that preflight holds back. None if there is something to do or to verify."""
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
    """Whether a rollback restored everything that it can. Its cluster is open, so it is never "verified"."""
    return plan.restores and verdict.outcome is Outcome.NOT_VERIFIED and is_restored(plan, verdict.evidence)


def left_behind_its_gate(verdict: Verdict) -> bool:
    """Whether a cluster was not begun because its gate had shut again. Verdicts of earlier versions have no code."""
    old = not verdict.reason_code and verdict.outcome is Outcome.SKIPPED and verdict.because == (CLOSED,)
    return old or verdict.reason_code in {Reason.WINDOW_CLOSED, Reason.NOT_QUIET}


def is_final(verdict: Verdict) -> bool:
    """Whether a resumed migration skips the cluster: it is verified, or refused for a lasting reason.

    A cluster with a hook that is not done is not skipped.
    """
    codes = {one.code for one in verdict.evidence if isinstance(one, Failure)}
    refused = verdict.outcome is Outcome.REFUSED and not codes & PASSING
    return refused or (verdict.outcome is Outcome.VERIFIED and not verdict.hooks_left)


def settled(plan: ClusterPlan, verdict: Verdict) -> bool:
    """Whether all steps of a plan without a rotation were done and read back. What is missing is not in the plan."""
    seen = any(isinstance(one, StateSeen) for one in verdict.evidence)
    return verdict.outcome is Outcome.NOT_VERIFIED and plan.rotates is None and seen


def stopped(
    plan: ClusterPlan, evidence: tuple[Evidence, ...], at: Step | None, logged: tuple[str, ...] | None = ()
) -> Verdict:
    """Return the verdict of a cluster that a person stopped: what was written, and how to continue.

    `at` is the step that was running, or None before the first. `logged`: the writes that Azure shows since the plan
    was made; None if they could not be read. An operation that Azure has begun continues.
    """
    where = f"stopped at {at.kind}" if at else "stopped before its turn"
    if at and writes(at):
        where += ": the operation continues in Azure, and its end was not seen"
    elif logged == () and not written(evidence):
        where += ": nothing was written"
    return unfinished(plan, evidence, where, Reason.STOPPED, logged=logged, begun=at is not None)


def unfinished(
    plan: ClusterPlan,
    evidence: tuple[Evidence, ...],
    why: str,
    reason: Reason,
    *,
    logged: tuple[str, ...] | None = (),
    begun: bool = False,
) -> Verdict:
    """Return the verdict of a cluster that was not finished. It is "skipped" only if nothing shows a write.

    Evidence and Azure (`logged`; None: unreadable) show what was written, never the position of the program. `begun`: a
    step was running.
    """
    shown = (*written(evidence), *(logged or ()))
    said: tuple[str, ...] = (why,)
    if shown:
        said = (why, f"written so far: {', '.join(shown)}")
    elif logged is None:
        said = (why, "it is not known whether anything was written: Azure's activity log could not be read")
    untouched = not (shown or begun or logged is None)
    return Verdict(
        cluster=plan.cluster,
        outcome=Outcome.SKIPPED if untouched else Outcome.NOT_VERIFIED,
        because=said,
        evidence=evidence,
        next=_RESUME,
        reason_code=reason,
    )


def written(evidence: tuple[Evidence, ...]) -> tuple[str, ...]:
    """Return what was written for a cluster by the evidence, in words, oldest first."""
    found: list[str] = []
    for one in evidence:
        match one:
            case GroupEnsured(created=True):
                found.append(f"admin group {one.display_name} created at {one.at}")
            case EntraSet(changed=True):
                found.append(f"Microsoft Entra ID set at {one.at}")
            case LocalAccountsDisabled(changed=True):
                found.append(f"local accounts switched off at {one.at}")
            case LocalAccountsEnabled(changed=True):
                found.append(f"local accounts switched on at {one.at}")
            case CertificatesRotated(changed=True):
                found.append(f"certificates rotated at {one.at}")
            case ClusterCreated(changed=True):
                found.append(f"cluster created at {one.at}")
            case DenyPolicySeen(changed=True):
                found.append(f"deny policy {'assigned' if one.assignment else 'removed'} at {one.at}")
            case _:
                pass
    return tuple(found)


def with_hooks(verdict: Verdict) -> Verdict:
    """Return the verdict with what the hooks in its evidence came to. The outcome stays what the proofs say.

    What it said before about hooks is replaced.
    """
    runs = [one for one in verdict.evidence if isinstance(one, HookRan)]
    before = {sentence(one) for one in runs}
    proofs = tuple(one for one in verdict.because if one not in before)
    missed = left(verdict.evidence)
    done = tuple(sentence(one) for one in last_runs(verdict.evidence) if one not in missed)
    missing = tuple(sentence(one) for one in missed)
    said = (*missing, *proofs) if verdict.outcome is Outcome.VERIFIED else (*proofs, *missing)
    own = "" if verdict.next in {one.remedy for one in runs} else verdict.next
    remedy = next((one.remedy for one in missed if one.remedy), "")
    return replace(verdict, because=(*said, *done), next=own or remedy)


def with_hooks_not_run(
    verdict: Verdict, after: tuple[Hook, ...], kept: tuple[HookRan, ...], why: str, *, at: str
) -> Verdict:
    """Return the verdict of a cluster that ended before all its hooks ran: each of them has a result in it.

    `kept` holds the results that were stored one by one. A hook without one was not run, and `why` says why. If the
    evidence shows no rotation, no hook was due. `at` is ISO 8601.
    """
    rotated = rotation_in(verdict.evidence)
    if rotated is None or not unsaid(after, verdict.evidence):
        return verdict
    runs = sorted({one for one in (*verdict.evidence, *kept) if isinstance(one, HookRan)}, key=lambda one: one.at)
    proofs = tuple(one for one in verdict.evidence if not isinstance(one, HookRan))
    evidence = (*proofs, *runs)
    end = HookEnd(status=HookStatus.NOT_RUN, detail=why, remedy=AGAIN)
    left_out = tuple(result_of(one, rotated, end, at=at) for one in unsaid(after, evidence))
    return with_hooks(replace(verdict, evidence=(*evidence, *left_out)))


def judge(plan: ClusterPlan, evidence: tuple[Evidence, ...], records: tuple[Record, ...] = ()) -> Verdict:
    """Weigh the evidence of one cluster. What is missing makes "not verified"; what contradicts makes "failed".

    `records` holds what all other reports say about the cluster: break-glass openings, rollbacks, other plans.
    """
    held = unstarted(plan)
    if held is not None:
        return replace(held, evidence=evidence)
    failures = [one for one in evidence if isinstance(one, Failure) and one.step != LOOKING]
    answer = answer_of(plan, evidence, records)
    old = weigh_owed(plan, answer) if plan.restores else weigh_old_credentials(plan, evidence, answer)
    if failures:
        last = failures[-1]
        untouched = last.error == "Refused" and not _changed(evidence)
        where = f"at {last.step}: " if last.step else ""
        failed = Verdict(
            cluster=plan.cluster,
            outcome=Outcome.REFUSED if untouched else Outcome.FAILED,
            because=(f"{where}{last.message}", *old.wrong),
            evidence=evidence,
            next=old.next if old.wrong else last.remedy or _AGAIN,
            old_credentials=answer,
        )
        return with_hooks(failed)
    seen = weigh_restored(plan, evidence) if plan.restores else weigh(plan, evidence)
    wrong = seen.wrong + old.wrong
    missing = seen.missing + old.missing
    outcome = Outcome.FAILED if wrong else Outcome.NOT_VERIFIED if missing else Outcome.VERIFIED
    judged = Verdict(
        cluster=plan.cluster,
        outcome=outcome,
        because=tuple(wrong + missing + seen.proven + old.proven),
        grade=old.grade if outcome is Outcome.VERIFIED else None,
        evidence=evidence,
        next="" if outcome is Outcome.VERIFIED else old.next or seen.next or _LOOK,
        old_credentials=answer,
    )
    return with_hooks(judged)


def may_be_kept(plan: ClusterPlan, evidence: tuple[Evidence, ...], records: tuple[Record, ...] = ()) -> bool:
    """Whether a cluster is verified but for the deny policy, so that the policy may be assigned."""
    others = tuple(step for step in plan.steps if not isinstance(step, AssignDenyPolicy))
    return judge(replace(plan, steps=others), evidence, records).outcome is Outcome.VERIFIED


def judge_created(cluster: ClusterId, target: Target, evidence: tuple[Evidence, ...]) -> Verdict:
    """Weigh the evidence of a cluster that `provision` created. It was always closed and never had credentials.

    A cluster that existed before may have been open once: the evidence only shows that it is closed now.
    """
    made = next((one for one in evidence if isinstance(one, ClusterCreated)), None)
    new = made is not None and made.changed
    because = "it existed already" if made else "its creation was not seen"
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
    """Whether the cluster was written."""
    kinds = (
        EntraSet | LocalAccountsDisabled | LocalAccountsEnabled | CertificatesRotated | ClusterCreated | DenyPolicySeen
    )
    return any(isinstance(one, kinds) and one.changed for one in evidence)
