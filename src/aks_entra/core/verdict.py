"""What the evidence proves about one cluster. "Completed" is never enough."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from aks_entra.core.cluster import ClusterId
from aks_entra.core.debt import Debt
from aks_entra.core.evidence import (
    AdminCredentialRefused,
    CertificatesRotated,
    Credential,
    CredentialTried,
    Evidence,
    Failure,
    Moment,
    NodesSeen,
    SignInProven,
    StateSeen,
    WorkloadsSeen,
)
from aks_entra.core.plan import ClusterPlan
from aks_entra.core.target import LocalAccounts

_E = TypeVar("_E")


class Outcome(StrEnum):
    """How a cluster stands."""

    VERIFIED = "verified"
    NOT_VERIFIED = "not verified"
    FAILED = "failed"
    REFUSED = "refused"
    SKIPPED = "skipped"


class Grade(StrEnum):
    """How strong the proof is that old credentials are dead."""

    CREDENTIAL_REFUSED = "credential refused"  # held from before, tried alone: 200 before, 401 after
    CA_REPLACED = "CA replaced, static token untested"
    BY_RECORD = "by our own record"  # closed earlier: created closed, or rotated under our eyes


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
        return self.outcome not in {Outcome.FAILED}


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


def judge(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> Verdict:
    """Weigh the evidence of one cluster. What is missing makes "not verified"; what contradicts makes "failed"."""
    failures = _all(evidence, Failure)
    if failures:
        last = failures[-1]
        outcome = Outcome.REFUSED if last.error == "Refused" else Outcome.FAILED
        where = f"at {last.step}: " if last.step else ""
        return Verdict(
            cluster=plan.cluster,
            outcome=outcome,
            because=(f"{where}{last.message}",),
            evidence=evidence,
            next=last.remedy,
        )
    wrong, missing, proven = _weigh(plan, evidence)
    grade, token = _dead(plan, evidence)
    wrong += token.wrong
    missing += token.missing
    proven += token.proven
    outcome = Outcome.FAILED if wrong else Outcome.NOT_VERIFIED if missing else Outcome.VERIFIED
    return Verdict(
        cluster=plan.cluster,
        outcome=outcome,
        because=tuple(wrong + missing + proven),
        grade=grade if outcome is Outcome.VERIFIED else None,
        evidence=evidence,
        next=token.next if outcome is not Outcome.VERIFIED else "",
    )


@dataclass(slots=True, kw_only=True)
class _Weights:
    wrong: list[str]
    missing: list[str]
    proven: list[str]
    next: str = ""


def _weigh(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> tuple[list[str], list[str], list[str]]:
    wrong: list[str] = []
    missing: list[str] = []
    proven: list[str] = []
    closed = plan.target.local_accounts is LocalAccounts.OFF or not plan.before.local_accounts
    state = _last(evidence, StateSeen)
    if state is None:
        missing.append("the final state was not read")
    else:
        if state.identity != "managed":
            wrong.append(f"Microsoft Entra ID is {state.identity}")
        if closed and state.local_accounts:
            wrong.append("local accounts are on")
    if closed:
        refused = _last(evidence, AdminCredentialRefused)
        if refused is None:
            missing.append("Azure's refusal of admin credentials was not seen")
        else:
            proven.append("admin credentials refused by Azure")
    sign_in = _last(evidence, SignInProven)
    if sign_in is None:
        missing.append("no member signed in")
    elif not sign_in.everything:
        wrong.append(f"{sign_in.username} signed in, but is not allowed everything")
    else:
        proven.append(f"member signed in by {sign_in.by}")
    nodes = _last(evidence, NodesSeen)
    if nodes is None:
        missing.append("nodes were not seen")
    elif nodes.missing:
        wrong.append(f"{nodes.ready} nodes Ready, {nodes.fewest} to {nodes.most} expected: {', '.join(nodes.missing)}")
    else:
        proven.append(f"{nodes.ready} nodes Ready")
    workloads = _last(evidence, WorkloadsSeen)
    if workloads is not None and workloads.worse:
        wrong.append(f"less available than before: {', '.join(workloads.worse)}")
    elif workloads is not None:
        proven.append("workloads as before")
    return wrong, missing, proven


def _dead(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> tuple[Grade | None, _Weights]:
    """Whether the old credentials are dead, and by which grade of proof."""
    found = _Weights(wrong=[], missing=[], proven=[])
    rotated = _last(evidence, CertificatesRotated)
    if rotated is None:
        return _dead_by_record(plan, found)
    found.proven.append(f"CA {rotated.ca_before[:4]}… → {rotated.ca_after[:4]}…")
    tried = _all(evidence, CredentialTried)
    grade: Grade | None = Grade.CA_REPLACED
    refused = 0
    for credential in Credential:
        before = [one for one in tried if one.credential is credential and one.moment is Moment.BEFORE]
        after = [one for one in tried if one.credential is credential and one.moment is Moment.AFTER]
        if not before or before[-1].status != 200:  # noqa: PLR2004 - HTTP
            continue
        if not after or after[-1].status is None:
            found.missing.append(f"the {credential} from before got no answer after rotation")
        elif after[-1].status == 401:  # noqa: PLR2004 - HTTP
            refused += 1
        else:
            found.wrong.append(f"the {credential} from before still gets {after[-1].status} after rotation")
    if refused == len(Credential):
        grade = Grade.CREDENTIAL_REFUSED
        found.proven.append("certificate and token from before: 401 each")
    elif not found.wrong and not found.missing:
        found.proven.append("grade 2: no old credential was at hand to try")
    if found.wrong:
        found.next = "treat the old credential as live: rotate again, and open a ticket with Azure"
    return grade, found


def _dead_by_record(plan: ClusterPlan, found: _Weights) -> tuple[Grade | None, _Weights]:
    if plan.debt is Debt.NONE:
        found.proven.append(f"old credentials dead: {plan.debt_because}")
        return Grade.BY_RECORD, found
    if plan.target.local_accounts is LocalAccounts.KEEP and plan.before.local_accounts:
        found.missing.append("local accounts are kept on: old credentials live")
        found.next = "set `local_accounts: off` in the fleet file"
    else:
        found.missing.append("rotation owed: credentials from before still work")
        found.next = "set `rotation: at-once` and plan again"
    return None, found


def _all(evidence: tuple[Evidence, ...], kind: type[_E]) -> list[_E]:
    return [one for one in evidence if isinstance(one, kind)]


def _last(evidence: tuple[Evidence, ...], kind: type[_E]) -> _E | None:
    return next((one for one in reversed(evidence) if isinstance(one, kind)), None)
