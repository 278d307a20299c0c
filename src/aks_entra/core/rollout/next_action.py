"""What a coordinator does next: a pure function of the rollout's state and the time.

The order is AKS Fleet Manager's: for each stage the gate before it, its batches, its failure budget, the gate after it.
After the last stage come the rotations that are still owed, once their soak has ended. A fact that the state lacks is
asked for with an action of its own, so that a decision never rests on a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import in_words
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning import gates
from aks_entra.core.planning.approval import Approval, decided_at
from aks_entra.core.planning.gates import Gate, Side
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import Stage, StageResult
from aks_entra.core.rollout.actions import (
    ArriveAtGate,
    AskForApproval,
    End,
    FinishStage,
    NextAction,
    ReadAuditLogs,
    ReadMaintenanceWindows,
    RecheckStage,
    RunStage,
    StartRotation,
    WaitUntil,
)
from aks_entra.core.rollout.quiet import Heard, look_again, not_quiet, words_of
from aks_entra.core.rollout.state import EVER, verified_before, weigh_stage
from aks_entra.core.verdict.verdict import Verdict, is_final, left_behind_its_gate, settled

UNREAD: Final = timedelta(minutes=15)
"""How long to wait before maintenance windows that could not be read are read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """What is known of a rollout at one moment.

    Stored at Prefect's server: `began` (when the rollout's first run began), `verdicts` (by `ClusterId.key`), `skipped`
    (by a person), `finished` (the places of the stages that this run has passed), `reached` (when each gate was
    reached, by stage name and side), `approvals` (of the current stage, as they count for this run) and `ungated`
    (whether that stage may begin without one).

    Known to this process alone: `ended` (the types of the final states of a stage's batches, by its place), `answer`
    (the last one at a gate), and what Azure showed for the current stage: `to_write` (the clusters with a step left
    that writes; None before it was read), `replanned` (the plan was made again for clusters that changed, and nobody
    has approved it yet), `maintenance` (windows by `ClusterId.key`, None where they are unreadable; None before they
    were read) and `heard` (what the audit logs show, by `ClusterId.key`; None before they were read).
    """

    plan: FleetPlan
    began: datetime = EVER
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    skipped: frozenset[ClusterId] = frozenset()
    finished: frozenset[int] = frozenset()
    reached: Mapping[tuple[str, Side], datetime] = field(default_factory=dict)
    approvals: Mapping[Side, Approval] = field(default_factory=dict)
    ungated: bool = False
    ended: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    answer: Approval | None = None
    to_write: frozenset[ClusterId] | None = None
    replanned: bool = False
    maintenance: Mapping[str, tuple[MaintenanceWindow, ...] | None] | None = None
    heard: Mapping[str, Heard] | None = None

    @property
    def current(self) -> int:
        """The place of the first stage that this run has not passed; the number of stages when it passed them all."""
        stages = range(len(self.plan.stages))
        return next((place for place in stages if place not in self.finished), len(stages))

    def gate(self, place: int, side: Side) -> Gate | None:
        """What a stage waits for. An approval before it is left out only where the plan and a person allow that."""
        return self.plan.stages[place].gate(side, ungated=self.ungated)

    def due(self, stage: Stage) -> tuple[ClusterId, ...]:
        """The clusters of a stage that preflight passed, nobody skipped, and that have no final verdict yet.

        A cluster that an earlier rollout of the plan verified is due as well: somebody may have opened it since.
        """
        return tuple(
            member
            for member in stage.members
            if self.plan.plan_for(member).disposition in {"migrate", "nothing to do"}
            and member not in self.skipped
            and not self._has_ended(member)
        )

    def _has_ended(self, member: ClusterId) -> bool:
        verdict = self.verdicts.get(member.key)
        return verdict is not None and is_final(verdict) and not verified_before(verdict, self.began)

    def left_for_later(self, stage: Stage) -> bool:
        """Whether some due clusters of a stage wait until their gate opens again."""
        known = (self.verdicts.get(member.key) for member in self.due(stage))
        return any(verdict is not None and left_behind_its_gate(verdict) for verdict in known)

    def owing(self) -> tuple[ClusterId, ...]:
        """The clusters of a plan that was carried out whose rotation is owed."""
        return tuple(
            one.cluster
            for one in self.plan.clusters
            if one.cluster.key in self.verdicts
            and one.cluster not in self.skipped
            and settled(one, self.verdicts[one.cluster.key])
        )

    def answered(self, read: RolloutState, answer: Approval) -> RolloutState:
        """The state after an answer at a gate. `read` is what Prefect's server shows now.

        What Azure showed is kept. The answer was there when this process began: nobody waited for it since then.
        """
        return replace(
            read,
            ended=self.ended,
            answer=answer,
            to_write=self.to_write,
            maintenance=self.maintenance,
            heard=self.heard,
        )

    def result(self, place: int) -> StageResult:
        """A stage's verdicts against its failure budget, and how its batches ended."""
        stage, ended = self.plan.stages[place], self.ended.get(place, ())
        left_out = self.skipped & set(stage.members)
        return weigh_stage(self.plan, stage, self.verdicts, left_out, ended=ended, since=self.began)


def next_action(state: RolloutState, now: datetime) -> NextAction:
    """Return what the coordinator does next. The same state at the same time gives the same action.

    A gate that a note says to be reached in the future is not reached: such a note is forged, or from a wrong clock,
    and its waits would never end.
    """
    state = replace(state, reached={gate: at for gate, at in state.reached.items() if at <= now})
    if state.answer is not None and state.answer.decision == "reject":
        return _reject(state, state.answer)
    for place in range(state.current):
        if not state.result(place).go_on:
            return replace(_stop(state, place, state.result(place)), reached=state.current)
    if state.current == len(state.plan.stages):
        return _after_the_stages(state, now)
    return _in_stage(state, state.current, now)


def _in_stage(state: RolloutState, place: int, now: datetime) -> NextAction:
    stage = state.plan.stages[place]
    worked_on = place in state.ended
    if not worked_on and (state.due(stage) or state.replanned):
        return _begin(state, place, now)
    result = state.result(place)
    if not result.go_on:
        return _stop(state, place, result)
    if (stage.name, "after") not in state.reached:
        return ArriveAtGate(place=place, side="after")
    if worked_on and state.left_for_later(stage):
        return _begin(state, place, now)
    gate = state.gate(place, "after")
    return (_wait_at(state, place, "after", gate, now) if gate else None) or FinishStage(place=place)


def _begin(state: RolloutState, place: int, now: datetime) -> NextAction:
    """Pass the gate before a stage, then run its batches. A stage in which no step writes needs no gate."""
    stage, gate = state.plan.stages[place], state.gate(place, "before")
    due = state.due(stage)
    if state.to_write is None:
        return RecheckStage(place=place, clusters=due, for_changes=gate is not None and gate.approval)
    writes = state.replanned or not state.to_write.isdisjoint(due)
    wait = _wait_at(state, place, "before", gate, now) if writes and gate else None
    cut = (tuple(one for one in batch if one in due) for batch in stage.batches)
    batches = tuple((number, members) for number, members in enumerate(cut, 1) if members)
    return wait or RunStage(place=place, batches=batches, writes=writes)


def _wait_at(state: RolloutState, place: int, side: Side, gate: Gate, now: datetime) -> NextAction | None:
    """Return what is missing at a gate, or None when it is open."""
    stage = state.plan.stages[place]
    what = f"{side} stage {stage.name}"
    due = state.due(stage)
    if gate.maintenance_window and state.maintenance is None:
        return ReadMaintenanceWindows(clusters=due)
    windows = [(state.maintenance or {}).get(member.key) for member in due] if gate.maintenance_window else []
    if None in windows:
        return WaitUntil(at=now + UNREAD, because=f"gate {what}: maintenance windows that could not be read")
    reached = state.reached.get((stage.name, side))
    if reached is None:
        return ArriveAtGate(place=place, side=side)
    if gate.quiet and (todo := _until_quiet(state, due, gate, now)):
        return replace(todo, because=f"gate {what}: {todo.because}") if isinstance(todo, WaitUntil) else todo
    opens = gates.opening(gate, reached=reached, now=now, maintenance=tuple(one for one in windows if one))
    if opens is None:
        because = (
            f"{what}: there is no time at which its window and the maintenance windows of all its clusters are open "
            "together: put them into different stages"
        )
        return replace(_stop(state, place, _halt(because)), reached=place + (side == "after"))
    return _until_open(state, place, side, gate, opens, now)


def _until_quiet(
    state: RolloutState, due: tuple[ClusterId, ...], gate: Gate, now: datetime
) -> ReadAuditLogs | WaitUntil | None:
    """Return how long callers with old credentials keep a gate shut. An approval does not open it."""
    if state.heard is None:
        return ReadAuditLogs(clusters=due, quiet=gate.quiet)
    shut = not_quiet(due, state.heard, gate.quiet, now)
    return WaitUntil(at=look_again(shut, gate.quiet, now), because=words_of(shut, gate.quiet)) if shut else None


def _until_open(
    state: RolloutState, place: int, side: Side, gate: Gate, opens: gates.Opening, now: datetime
) -> NextAction | None:
    known = state.approvals.get(side)
    match gates.next_move(gate, side, now=now, opens=opens, approved_at=decided_at(known)):
        case gates.Go():
            return None
        case gates.WaitUntil() as wait:
            because = f"gate {side} stage {state.plan.stages[place].name}: {wait.because}"
            return WaitUntil(at=wait.at, because=because)
        case gates.Ask() as ask:
            return AskForApproval(place=place, side=side, instead_of=known, expired=ask.expired)
        case other:
            assert_never(other)


def _after_the_stages(state: RolloutState, now: datetime) -> NextAction:
    """Start the rotations that are owed once their soak has ended; end when none is owed."""
    results = tuple(state.result(place) for place in range(len(state.plan.stages)))
    owing = state.owing()
    if state.plan.rotation is None or not owing:
        return End(results=results, reached=len(results))
    for place, stage in enumerate(state.plan.stages):
        if (stage.name, "after") not in state.reached:
            return ArriveAtGate(place=place, side="after")
    soak = state.plan.rotation.after
    begins = min(state.reached[stage.name, "after"] for stage in state.plan.stages) + timedelta(seconds=soak)
    if now < begins:
        because = f"soak of {in_words(soak)}; then the rotation of {len(owing)} clusters is planned"
        return WaitUntil(at=begins, because=because, results=results)
    return StartRotation(clusters=owing)


def _stop(state: RolloutState, place: int, result: StageResult) -> End:
    """End the rollout at a stage: no later stage begins."""
    earlier = tuple(state.result(one) for one in range(place))
    return End(results=(*earlier, result), reached=place + 1, stopped=result.because)


def _reject(state: RolloutState, answer: Approval) -> End:
    because = f"{answer.moment} stage {answer.stage}: rejected by {answer.by} ({answer.reason})"
    return replace(_stop(state, state.current, _halt(because)), reached=state.current, rejected=True)


def _halt(because: str) -> StageResult:
    return StageResult(go_on=False, failures=0, because=because)
