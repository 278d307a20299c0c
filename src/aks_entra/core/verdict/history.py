"""How a rollout went: which runs carried it out, when its gates were reached, asked and passed, and who decided.

Times are ISO 8601 in UTC. An empty time says that it did not happen before the report, or that no record of it is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import RESUMED, Approval, RunState
from aks_entra.core.planning.gates import Side

INTERRUPTED: Final = frozenset({"FAILED", "CRASHED", "CANCELLED"})
"""Types of final states of a run (Prefect's) after which its work is not complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One time that people were asked at a gate, and what they answered.

    `decision`: None if nobody answered, if the form refused the answer, or if no record of the decision can be read.
    """

    asked_at: str
    answered_at: str = ""
    decision: Approval | None = None


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
class RolloutHistory:
    """The course of a rollout. `runs`: its coordinators, oldest first; each one after the first resumed a dead one."""

    runs: tuple[CoordinatorHistory, ...]
    stages: tuple[StageHistory, ...]

    @property
    def decisions(self) -> tuple[Approval, ...]:
        """What people decided at the gates, in the order of the stages."""
        return tuple(
            asking.decision
            for stage in self.stages
            for gate in stage.gates
            for asking in gate.askings
            if asking.decision is not None
        )


def askings_in(states: Iterable[RunState], decisions: Iterable[Approval]) -> Mapping[str, Asking]:
    """Return when a run was suspended for each question (its pause key), and the answers.

    A recorded decision counts only if the history of the run shows its question answered at its moment.

    Args:
        states: the history of one run, as Prefect's server keeps it.
        decisions: recorded approvals and rejections.
    """
    recorded = {(one.question, one.at): one for one in decisions}
    ordered = sorted(states, key=lambda state: state.at)
    found = {}
    for asked, after in zip_longest(ordered, ordered[1:]):
        if asked.question:
            answered = stamp(after.at) if after is not None and after.name == RESUMED else ""
            found[asked.question] = Asking(
                asked_at=stamp(asked.at),
                answered_at=answered,
                decision=recorded.get((asked.question, answered)) if answered else None,
            )
    return found
