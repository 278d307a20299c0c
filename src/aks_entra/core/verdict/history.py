"""How a rollout went: which runs carried it out, when its gates were reached, asked and passed, and who decided.

Times are ISO 8601 in UTC. An empty time says that it did not happen before the report, or that no record of it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final, Literal

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import RESUMED, Approval, RunState, proof_in_words
from aks_entra.core.planning.gates import Side

INTERRUPTED: Final = frozenset({"FAILED", "CRASHED", "CANCELLED"})
"""Types of final states of a run (Prefect's) after which its work is not complete."""
UNCONFIRMED: Final = "; Prefect no longer knows the run, so only the record says it"
"""What follows a decision whose run was lost, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureProof:
    """What one signed approval says, without its ID token: reports go to people who must not get that.

    `code` is the approval code: it names the whole document, which is kept with the approval. `committed`: whether the
    `nonce` of the ID token is what the document commits to. `first`: whether that commitment names this approval; if
    not, the person signed in for another one, and the same key signed this one. `signs_until`: the time to which the
    sign-in commits, after which its key signs nothing; empty: an earlier version made it, and the key signed for a day.
    `key_id`: of Entra's key that signed the ID token. `key_seen_at`: when a process first saw Entra publish that key,
    as a record says it; empty: none does.
    `problem`: why it cannot be read, or does not hold; nothing else is said of it then. `checked_at`: when it was
    checked for this report, and held. `unchecked`: why it could not be checked then. All three are empty in a report of
    an earlier version, which did not check it.
    """

    code: str = ""
    person: str = ""
    tenant_id: str = ""
    client_id: str = ""
    signed_in_at: str = ""
    signed_at: str = ""
    key_id: str = ""
    key_seen_at: str = ""
    nonce: str = ""
    committed: bool = False
    first: bool = False
    signs_until: str = ""
    problem: str = ""
    checked_at: str = ""
    unchecked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedAgain:
    """What a check of a signed approval found at a time. It holds if neither `problem` nor `unchecked` says why not."""

    at: str
    problem: str = ""
    unchecked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A person's decision at a gate, as a report keeps it. `approver` is a claim, unless there are signatures.

    `unconfirmed`: Prefect's server no longer knows the run that asked, so that only the record says what was decided.
    """

    decision: Literal["approve", "reject"]
    approver: str
    reason: str
    ticket: str
    at: str
    run: str
    plan: str
    facts: str
    signatures: tuple[SignatureProof, ...] = ()
    voluntary: bool = False  # nobody was required to sign
    unproven: str = ""  # why a signature that nobody required proves nothing
    unconfirmed: bool = False

    @classmethod
    def of(cls, approval: Approval, signatures: tuple[SignatureProof, ...]) -> Decision:
        """Return what a report keeps of a recorded decision."""
        return cls(
            decision=approval.decision,
            approver=approval.approver,
            reason=approval.reason,
            ticket=approval.ticket,
            at=approval.at,
            run=approval.run,
            plan=approval.plan,
            facts=approval.facts,
            signatures=signatures,
            voluntary=approval.voluntary,
            unproven=approval.unproven,
        )

    @property
    def verb(self) -> str:
        """What the person did: approved or rejected."""
        return "approved" if self.decision == "approve" else "rejected"

    @property
    def proof(self) -> str:
        """What stands behind `approver`, in words."""
        return proof_in_words(
            signed=bool(self.signatures),
            voluntary=self.voluntary,
            unproven=self.unproven or next((one.problem for one in self.signatures if one.problem), ""),
            unchecked=next((one.unchecked for one in self.signatures if one.unchecked), ""),
        )

    @property
    def by(self) -> str:
        """Who decided, for people, and whether that is proven."""
        return f"{self.approver}, {self.proof}{UNCONFIRMED if self.unconfirmed else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One time that people were asked at a gate, and what they answered.

    `asked_at`: empty if Prefect's server no longer knows the run that asked.
    `decision`: None if nobody answered, if the form refused the answer, or if no record of the decision can be read.
    """

    asked_at: str
    answered_at: str = ""
    decision: Decision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateHistory:
    """A gate on one side of a stage. `conditions`: what it waits for, in words."""

    side: Side
    conditions: tuple[str, ...]
    reached_at: str = ""
    passed_at: str = ""
    askings: tuple[Asking, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHistory:
    """One run of one batch of a stage. `state`: the type of its last known state, as Prefect names it (COMPLETED)."""

    number: int
    began_at: str
    ended_at: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHistory:
    """One stage: its clusters, its gates (None: the plan has none there) and the runs of its batches, oldest first."""

    name: str
    clusters: tuple[ClusterId, ...]
    before: GateHistory | None = None
    after: GateHistory | None = None
    batches: tuple[BatchHistory, ...] = ()

    @property
    def gates(self) -> tuple[GateHistory, ...]:
        """The gates of the stage, in the order in which they are passed."""
        return tuple(gate for gate in (self.before, self.after) if gate is not None)

    @property
    def began_at(self) -> str:
        """When its first batch began. Empty: none did."""
        return min((one.began_at for one in self.batches if one.began_at), default="")

    @property
    def ended_at(self) -> str:
        """When its last batch ended. Empty: one still runs, or none began."""
        ends = [one.ended_at for one in self.batches]
        return max(ends) if ends and all(ends) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorHistory:
    """A run that coordinated the rollout. `state`: the type of its last known state, as Prefect names it."""

    run: str
    began_at: str
    ended_at: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UngatedDecision:
    """A person's decision that stages may begin without an approval. `by` is a claim.

    `unconfirmed`: Prefect's server knows no run that was started with it.
    """

    by: str
    reason: str
    at: str
    unconfirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutHistory:
    """The course of a rollout. `runs`: its coordinators, oldest first; each one after the first resumed a dead one."""

    runs: tuple[CoordinatorHistory, ...]
    stages: tuple[StageHistory, ...]
    ungated: tuple[UngatedDecision, ...] = ()

    @property
    def decisions(self) -> tuple[tuple[str, Decision], ...]:
        """What people decided at the gates, in the order of the stages, each with its gate: `before stage canary`."""
        return tuple(
            (f"{gate.side} stage {stage.name}", asking.decision)
            for stage in self.stages
            for gate in stage.gates
            for asking in gate.askings
            if asking.decision is not None
        )


def askings_in(
    states: Iterable[RunState],
    decisions: Iterable[Approval],
    signatures: Callable[[Approval], tuple[SignatureProof, ...]],
) -> tuple[tuple[str, Asking], ...]:
    """Return when a run was suspended for which question (its pause key), oldest first, and the answers.

    A recorded decision counts only if the history of the run shows its question answered at its moment.

    Args:
        states: the history of one run, as Prefect's server keeps it.
        decisions: recorded approvals and rejections.
        signatures: returns what the signatures of an approval say.
    """
    recorded = {(one.question, one.at): one for one in decisions}
    ordered = sorted(states, key=lambda state: state.at)
    found = []
    for asked, after in zip_longest(ordered, ordered[1:]):
        if asked.question:
            answered = stamp(after.at) if after is not None and after.name == RESUMED else ""
            said = recorded.get((asked.question, answered)) if answered else None
            decision = Decision.of(said, signatures(said)) if said is not None else None
            found.append(
                (asked.question, Asking(asked_at=stamp(asked.at), answered_at=answered, decision=decision)),
            )
    return tuple(found)


def askings_of_lost_runs(
    decisions: Iterable[Approval],
    known: Collection[str],
    signatures: Callable[[Approval], tuple[SignatureProof, ...]],
) -> tuple[tuple[str, Asking], ...]:
    """Return the answers that runs which Prefect's server lost were given, each with its pause key, oldest first.

    Nothing but their records is left, so each decision is unconfirmed.

    Args:
        decisions: recorded approvals and rejections. A record may be there twice.
        known: ids of the runs that the server knows. Their history says what was decided there.
        signatures: returns what the signatures of an approval say.
    """
    lost = {one for one in decisions if one.at and one.question and one.run and one.run not in known}
    return tuple(
        (
            one.question,
            Asking(
                asked_at="",
                answered_at=one.at,
                decision=replace(Decision.of(one, signatures(one)), unconfirmed=True),
            ),
        )
        for one in sorted(lost, key=lambda one: (one.at, one.question, one.run))
    )
