"""What a coordinator does next, in any state of a rollout: properties that Hypothesis tries to break."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from aks_entra.core.durations import stamp
from aks_entra.core.evidence.observations import LocalAccountsDisabled, StateSeen
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.planning.rollout import Soak
from aks_entra.core.rollout.actions import (
    ArriveAtGate,
    AskForApproval,
    End,
    FinishStage,
    NextAction,
    RecheckStage,
    RunStage,
    StartRotation,
    WaitUntil,
)
from aks_entra.core.rollout.next_action import RolloutState, next_action
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.verdict import Outcome, Reason, Verdict
from tests.support.cases import NOW as SEEN
from tests.support.cases import state
from tests.support.rollouts import (
    CANARY,
    FIRST,
    HOUR,
    NOW,
    REACHED,
    REST,
    SECOND,
    THIRD,
    approved,
    at,
    known,
    owed,
    plan_of,
    proven,
    rollout,
    said,
)


def verdicts_of(plan: ClusterPlan) -> st.SearchStrategy[Verdict | None]:
    cluster = plan.cluster
    written = LocalAccountsDisabled(at=SEEN, changed=True)
    half = replace(said(cluster, Outcome.NOT_VERIFIED), evidence=(written, state()))
    assert isinstance(half.evidence[-1], StateSeen)
    stated = [said(cluster, outcome, reason) for outcome in Outcome for reason in (Reason.NONE, *Reason)]
    return st.sampled_from([None, proven(cluster), owed(cluster), half, *stated])


@st.composite
def states(draw: st.DrawFn) -> RolloutState:
    gates = [True, False, Gate(wait=HOUR), Gate(approval=False, wait=6 * HOUR), Gate(expires_after=60)]
    gate: st.SearchStrategy[bool | Gate] = st.sampled_from(gates)
    stages = tuple(
        replace(
            one,
            gate_before=draw(gate),
            gate_after=draw(gate),
            max_allowed_failures=draw(st.integers(0, 1)),
        )
        for one in (CANARY, REST)
    )
    policy = draw(st.sampled_from(RotationPolicy))
    plans = tuple(plan_of(member, rotation=policy) for member in (FIRST, SECOND, THIRD))
    plan = rollout(*stages, plans=plans, rotation=draw(st.sampled_from([None, Soak(after=HOUR)])))
    finished = draw(st.integers(0, 2))
    found = {one.cluster.key: draw(verdicts_of(one)) for one in plans}
    ends = st.lists(st.sampled_from(["COMPLETED", "FAILED", "CANCELLED", ""]), max_size=2).map(tuple)
    approvals = st.dictionaries(
        st.sampled_from(["before", "after"]),
        st.integers(0, 2 * 24 * HOUR).map(lambda ago: approved(ago=timedelta(seconds=ago))),
    )
    clusters = st.frozensets(st.sampled_from([FIRST, SECOND, THIRD]))
    return at(
        plan,
        verdicts={key: verdict for key, verdict in found.items() if verdict is not None},
        skipped=draw(st.frozensets(st.sampled_from([FIRST, SECOND, THIRD]), max_size=1)),
        finished=frozenset(range(finished)),
        reached=draw(st.dictionaries(st.sampled_from(list(REACHED)), st.just(NOW - timedelta(hours=2)))),
        approvals=draw(approvals),
        ungated=draw(st.booleans()),
        ended=draw(st.dictionaries(st.integers(0, 1), ends)),
        to_write=draw(st.none() | clusters),
        replanned=draw(st.booleans()),
        answer=draw(st.sampled_from([None, approved(), approved(decision="reject")])),
    )


@given(state=states())
def test_no_stage_writes_before_its_gate_is_open(state: RolloutState) -> None:
    action = next_action(state, NOW)
    if isinstance(action, RunStage) and action.writes:
        gate = state.gate(action.place, "before")
        if not state.ungated:
            assert gate is not None
            assert gate.approval
        if gate is not None and gate.approval:
            given_at = datetime.fromisoformat(state.approvals["before"].at)
            assert gate.counts(given_at, NOW)
        if gate is not None:
            reached = state.reached[state.plan.stages[action.place].name, "before"]
            assert reached + timedelta(seconds=gate.wait) <= NOW
        assert not state.replanned or "before" in state.approvals or state.ungated


@given(state=states())
def test_nothing_begins_after_a_stage_that_is_not_proven_or_was_rejected(state: RolloutState) -> None:
    action = next_action(state, NOW)
    place = {
        RunStage: getattr(action, "place", None),
        RecheckStage: getattr(action, "place", None),
        StartRotation: len(state.plan.stages),
    }.get(type(action))
    if place is not None:
        assert all(state.result(earlier).go_on for earlier in range(place))
        assert all(earlier in state.finished for earlier in range(place))
        assert state.answer is None or state.answer.decision == "approve"


@given(state=states())
def test_a_state_that_is_read_again_gives_the_same_action(state: RolloutState) -> None:
    again = replace(state, verdicts=dict(reversed(tuple(state.verdicts.items()))), reached=dict(state.reached))
    assert next_action(again, NOW) == next_action(state, NOW)


@given(state=states())
def test_a_stage_starts_exactly_the_clusters_that_are_due(state: RolloutState) -> None:
    action = next_action(state, NOW)
    if isinstance(action, RunStage):
        started = [member for _, members in action.batches for member in members]
        assert tuple(started) == state.due(state.plan.stages[action.place])
        assert state.skipped.isdisjoint(started)


def carried_out(state: RolloutState, action: NextAction, now: datetime) -> RolloutState:
    """The state once an action was carried out and everything went well."""
    match action:
        case RecheckStage(clusters=clusters):
            return replace(state, to_write=frozenset(clusters))
        case ArriveAtGate(place=place, side=side):
            return replace(state, reached={**state.reached, (state.plan.stages[place].name, side): now})
        case AskForApproval(side=side):
            return replace(state, approvals={**state.approvals, side: replace(approved(side), at=stamp(now))})
        case RunStage(place=place, batches=batches):
            done = known(*(proven(member) for _, members in batches for member in members))
            ended = {**state.ended, place: ("COMPLETED",)}
            return replace(state, verdicts={**state.verdicts, **done}, ended=ended, replanned=False)
        case FinishStage(place=place):
            return replace(state, finished=state.finished | {place}, approvals={}, to_write=None, replanned=False)
        case other:
            raise AssertionError(other)


@given(state=states())
def test_a_rollout_comes_to_its_end_when_each_action_is_carried_out(state: RolloutState) -> None:
    now = NOW
    for _ in range(40):
        action = next_action(state, now)
        if isinstance(action, End | StartRotation):
            return
        if isinstance(action, WaitUntil):
            now, state = action.at, replace(state, to_write=None)
        else:
            state = carried_out(state, action, now)
    raise AssertionError(action)
