"""Decide whether an approval counts, by the history of the run on Prefect's server.

An approval answers one question: a gate of one run, about one plan. Our own record of it counts only if the server's
history of that run shows the same answer at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from aks_entra.core.durations import moment as moment_of
from aks_entra.core.durations import stamp
from aks_entra.core.planning.gates import DAY, Side

CLOCKS: Final = timedelta(minutes=5)
"""How far two machines' clocks may differ. An approval from further in the future is refused."""
RESUMED: Final = "Resuming"
"""The state of a suspended run whose form was answered."""
SIGNED: Final = "signed at Microsoft Entra ID"
CLAIM: Final = "a claim"
"""What stands behind the name of somebody who decided: a signature, or nothing."""


def proof_in_words(*, signed: bool, voluntary: bool, unproven: str, unchecked: str = "") -> str:
    """Return what stands behind the name of somebody who decided, and whether a signature was required.

    `unproven`: why a signature does not hold. `unchecked`: why nobody can say whether one does.
    """
    if signed and not unproven:
        if unchecked:
            return f"a signature that could not be checked ({unchecked})"
        return f"{SIGNED}, which nobody was required to" if voluntary else SIGNED
    return f"{CLAIM}: a signature does not count ({unproven})" if unproven else CLAIM


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A decision at a gate. `approver` is a claim, unless people signed at Microsoft Entra ID (`signed`)."""

    plan: str
    stage: str
    moment: Side
    decision: Literal["approve", "reject"]
    approver: str
    reason: str
    ticket: str = ""
    at: str = ""  # when the server resumed the run, ISO 8601 in UTC; empty: an earlier version did not store it
    run: str = ""  # the flow run that asked; empty: an earlier version did not store it, so it counts for no run
    question: str = ""  # Prefect's pause key of the suspension that was answered
    facts: str = ""  # `FleetPlan.facts_digest` of what was shown
    signed: tuple[str, ...] = ()  # documents of the signed approvals that counted; empty: nobody signed
    voluntary: bool = False  # nobody was required to sign: the gate takes typed names
    unproven: str = ""  # why a signature that nobody required proves nothing

    @property
    def proof(self) -> str:
        """What stands behind `approver`, in words."""
        return proof_in_words(signed=bool(self.signed), voluntary=self.voluntary, unproven=self.unproven)

    @property
    def by(self) -> str:
        """Who decided, for people, and whether that is proven."""
        return f"{self.approver}, {self.proof}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """One state of a flow run as Prefect's server keeps it. `question`: the pause key of a suspension."""

    name: str
    at: datetime
    question: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The moment at which a suspended run was resumed, and the question that was answered."""

    question: str
    at: datetime


def decided_at(approval: Approval | None) -> datetime | None:
    """Return when an approval was given. An approval without a time is too old to count."""
    if approval is None:
        return None
    return moment_of(approval.at) if approval.at else datetime.min.replace(tzinfo=UTC)


def answers(states: Iterable[RunState]) -> tuple[Answer, ...]:
    """Return the suspensions that were answered, oldest first. The state after such a suspension is `Resuming`."""
    ordered = sorted(states, key=lambda state: state.at)
    return tuple(
        Answer(question=asked.question, at=after.at)
        for asked, after in pairwise(ordered)
        if asked.question and after.name == RESUMED
    )


def is_proven(approval: Approval, run: str, given: Iterable[Answer], *, now: datetime) -> bool:
    """Whether the server's history of this run shows the approval, and it is not from the future."""
    if not approval.at or approval.run != run:
        return False
    try:
        at = moment_of(approval.at)
    except ValueError:
        return False
    known = any(one.question == approval.question and stamp(one.at) == approval.at for one in given)
    return known and at <= now + CLOCKS


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutGates:
    """A person's decision that stages of exactly this plan may begin without an approval. `by` is not proven.

    The run that was started for it has the same `token`. The decision counts for no other run.
    """

    plan: str
    facts: str
    by: str
    reason: str
    at: str
    token: str

    def counts(self, plan: str, facts: str, tokens: Iterable[str], *, now: datetime) -> bool:
        """Whether it counts now for this plan and a run with these tokens. It counts for one day."""
        try:
            at = moment_of(self.at)
        except ValueError:
            return False
        same = (self.plan, self.facts) == (plan, facts) and bool(self.token) and self.token in tuple(tokens)
        return same and at <= now + CLOCKS and now - at < timedelta(seconds=DAY)
