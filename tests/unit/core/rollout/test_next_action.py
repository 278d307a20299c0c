"""What a coordinator does next, without a server: one case after another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.gates import Gate, Hours
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.planning.rollout import Soak
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
from aks_entra.core.rollout.next_action import UNREAD, RolloutState, next_action
from aks_entra.core.rollout.quiet import Heard
from aks_entra.core.rollout.state import EVER
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.verdict import Outcome, Reason, Verdict
from tests.support.audit_logs import caller, covered
from tests.support.cases import facts, posture, target
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
    stage,
)

SATURDAY = MaintenanceWindow(
    name="nodes", schedule="weekly", day_of_week="Saturday", duration_hours=4, start_time="02:00"
)


SUNDAY = replace(SATURDAY, day_of_week="Sunday")


LATER = rollout(CANARY, plans=(plan_of(FIRST, rotation=RotationPolicy.LATER),), rotation=Soak(after=HOUR))


def gated(**gate: Any) -> RolloutState:
    """A stage with this gate before it, reached two hours ago, of which something is left to write."""
    plan = rollout(stage("canary", FIRST, gate_before=Gate(**gate)))
    return at(plan, reached=REACHED, to_write=frozenset({FIRST}), ungated=True)


RUN = RunStage(place=0, batches=((1, (FIRST,)),), writes=True)


def test_what_azure_showed_before_an_answer_was_read_is_not_asked_for_again() -> None:
    heard = {FIRST.key: Heard(log=covered(HOUR))}
    asking = at(to_write=frozenset({FIRST}), reached=REACHED, maintenance={FIRST.key: (SATURDAY,)}, heard=heard)
    now = at(reached=REACHED, approvals={"before": approved()})
    answered = asking.answered(now, approved())
    assert isinstance(next_action(now, NOW), RecheckStage)
    assert next_action(answered, NOW) == RUN
    assert (answered.maintenance, answered.heard) == (asking.maintenance, heard)


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (at(), RecheckStage(place=0, clusters=(FIRST,), for_changes=True)),
        (at(to_write=frozenset({FIRST})), ArriveAtGate(place=0, side="before")),
        (at(to_write=frozenset({FIRST}), reached=REACHED), AskForApproval(place=0, side="before")),
        (at(to_write=frozenset({FIRST}), reached=REACHED, approvals={"before": approved()}), RUN),
        (
            at(
                to_write=frozenset({FIRST}),
                reached=REACHED,
                approvals={"before": (old := approved(ago=timedelta(days=2)))},
            ),
            AskForApproval(place=0, side="before", instead_of=old, expired="2026-11-23T12:00:00Z"),
        ),
        # where no step writes, no gate is asked for, and the batch only reads
        (at(to_write=frozenset()), replace(RUN, writes=False)),
        # a plan that was made again is asked for, also when nothing of it is left to write
        (at(to_write=frozenset(), replanned=True, reached=REACHED), AskForApproval(place=0, side="before")),
        # the stage's batch has ended
        (at(ended={0: ("COMPLETED",)}, verdicts=known(proven(FIRST))), ArriveAtGate(place=0, side="after")),
        (at(ended={0: ("COMPLETED",)}, verdicts=known(proven(FIRST)), reached=REACHED), FinishStage(place=0)),
        # a resumed run: what is proven is not started again
        (at(verdicts=known(proven(FIRST)), reached=REACHED), FinishStage(place=0)),
        (
            at(finished=frozenset({0}), verdicts=known(proven(FIRST))),
            RecheckStage(place=1, clusters=(SECOND, THIRD), for_changes=True),
        ),
        # each batch keeps its number when a cluster of an earlier one is proven
        (
            at(
                finished=frozenset({0}),
                verdicts=known(proven(FIRST), proven(SECOND)),
                to_write=frozenset({THIRD}),
                reached=REACHED,
                approvals={"before": approved()},
            ),
            RunStage(place=1, batches=((2, (THIRD,)),), writes=True),
        ),
        # a person skips a cluster
        (
            at(finished=frozenset({0}), verdicts=known(proven(FIRST)), skipped=frozenset({SECOND})),
            RecheckStage(place=1, clusters=(THIRD,), for_changes=True),
        ),
    ],
)
def test_a_stage_passes_its_gates_around_its_batches(state: RolloutState, action: NextAction) -> None:
    assert next_action(state, NOW) == action


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (gated(approval=False, wait=HOUR), RUN),
        (
            gated(approval=False, wait=3 * HOUR),
            WaitUntil(at=NOW + timedelta(hours=1), because="gate before stage canary: wait 3h"),
        ),
        (
            gated(approval=False, window=Hours(start="13:00", end="14:00")),
            WaitUntil(
                at=NOW + timedelta(hours=1), because="gate before stage canary: window every day 13:00 to 14:00 UTC"
            ),
        ),
        (gated(approval=False, maintenance_window=True), ReadMaintenanceWindows(clusters=(FIRST,))),
        (
            replace(gated(approval=False, maintenance_window=True), maintenance={FIRST.key: (SATURDAY,)}),
            WaitUntil(
                at=datetime(2026, 11, 28, 2, tzinfo=UTC),
                because="gate before stage canary: the clusters' maintenance windows",
            ),
        ),
        (
            replace(gated(approval=False, maintenance_window=True), maintenance={FIRST.key: None}),
            WaitUntil(at=NOW + UNREAD, because="gate before stage canary: maintenance windows that could not be read"),
        ),
        (replace(gated(approval=False, maintenance_window=True), maintenance={FIRST.key: ()}), RUN),
        (gated(approval=False, quiet=HOUR), ReadAuditLogs(clusters=(FIRST,), quiet=HOUR)),
        (replace(gated(approval=False, quiet=HOUR), heard={FIRST.key: Heard(log=covered(HOUR))}), RUN),
        (
            replace(gated(approval=False, quiet=HOUR), heard={}),
            WaitUntil(
                at=NOW + timedelta(minutes=15),
                because="gate before stage canary: quiet 1h: 1 cluster is unknown "
                "(shop-weu/shop-01: nobody read its log)",
            ),
        ),
        # an approval does not open it, and is not asked for before the logs are quiet
        (
            replace(
                gated(quiet=HOUR),
                heard={FIRST.key: Heard(log=covered(HOUR, caller()))},
                approvals={"before": approved()},
            ),
            WaitUntil(
                at=NOW + timedelta(minutes=15),
                because="gate before stage canary: quiet 1h: 1 caller with old credentials at 1 cluster, "
                "the last at 2026-11-24T12:00:00Z",
            ),
        ),
        (
            replace(gated(quiet=HOUR), heard={FIRST.key: Heard(log=covered(HOUR))}),
            AskForApproval(place=0, side="before"),
        ),
        # nobody allowed that the stage begins without an approval
        (replace(gated(approval=False, wait=1), ungated=False), AskForApproval(place=0, side="before")),
    ],
)
def test_a_gate_is_waited_at(state: RolloutState, action: NextAction) -> None:
    assert next_action(state, NOW) == action


@pytest.mark.parametrize(
    "state",
    [
        gated(approval=True),
        gated(approval=False, wait=60),
        at(LATER, ended={0: ("COMPLETED",)}, finished=frozenset({0}), verdicts=known(owed(FIRST))),
    ],
    ids=["approval", "wait", "soak"],
)
def test_a_gate_that_a_note_says_to_be_reached_in_the_future_is_not_reached(state: RolloutState) -> None:
    future = NOW.replace(year=2099)
    forged = replace(state, reached={("canary", "before"): future, ("canary", "after"): future})
    assert isinstance(next_action(forged, NOW), ArriveAtGate)


def test_what_an_earlier_run_verified_is_looked_at_again_before_the_next_stage_begins() -> None:
    state = at(began=NOW, verdicts=known(proven(FIRST)), reached=REACHED)
    assert next_action(state, NOW) == RecheckStage(place=0, clusters=(FIRST,), for_changes=True)
    looks = replace(state, to_write=frozenset())
    assert next_action(looks, NOW) == replace(RUN, writes=False)
    unstored = next_action(replace(looks, ended={0: ("COMPLETED",)}), NOW)
    assert isinstance(unstored, End)
    assert "stage canary" in unstored.stopped
    fresh = replace(looks, began=EVER, ended={0: ("COMPLETED",)})
    assert next_action(fresh, NOW) == FinishStage(place=0)


def test_a_stage_whose_windows_never_open_together_ends_the_rollout() -> None:
    for side, reached in (("before", 0), ("after", 1)):
        gate = Gate(approval=False, maintenance_window=True)
        one = stage("canary", FIRST, SECOND, **{"gate_before": False, f"gate_{side}": gate})
        begun = {} if side == "before" else {"ended": {0: ("COMPLETED",)}, "verdicts": known(owed(FIRST), owed(SECOND))}
        plans = tuple(plan_of(each, rotation=RotationPolicy.LATER) for each in one.members)
        never = at(
            rollout(one, plans=plans),
            reached=REACHED,
            ungated=True,
            to_write=frozenset({FIRST}),
            maintenance={FIRST.key: (SATURDAY,), SECOND.key: (SUNDAY,)},
            **begun,
        )
        end = next_action(never, NOW)
        assert isinstance(end, End)
        assert (end.reached, end.rejected, end.results[-1].go_on) == (reached, False, False)
        assert end.stopped.startswith(f"{side} stage canary: there is no time")


def test_clusters_whose_window_closed_wait_for_its_next_opening() -> None:
    left = said(FIRST, Outcome.SKIPPED, Reason.WINDOW_CLOSED)
    plan = rollout(stage("canary", FIRST, gate_before=Gate(approval=False, window=Hours(start="02:00", end="03:00"))))
    ended = at(plan, ended={0: ("COMPLETED",)}, verdicts=known(left), reached=REACHED, ungated=True)
    assert isinstance(next_action(ended, NOW), RecheckStage)
    wait = next_action(replace(ended, to_write=frozenset({FIRST})), NOW)
    assert isinstance(wait, WaitUntil)
    assert wait.at == datetime(2026, 11, 25, 2, tzinfo=UTC)
    skipped = replace(ended, skipped=frozenset({FIRST}))
    assert next_action(skipped, NOW) == FinishStage(place=0)


def test_clusters_whose_logs_are_not_quiet_any_more_wait_behind_the_gate() -> None:
    left = said(FIRST, Outcome.SKIPPED, Reason.NOT_QUIET)
    plan = rollout(stage("canary", FIRST, gate_before=Gate(approval=False, quiet=HOUR)))
    ended = at(plan, ended={0: ("COMPLETED",)}, verdicts=known(left), reached=REACHED, ungated=True)
    assert isinstance(next_action(ended, NOW), RecheckStage)
    again = replace(ended, to_write=frozenset({FIRST}))
    assert next_action(again, NOW) == ReadAuditLogs(clusters=(FIRST,), quiet=HOUR)
    assert next_action(replace(again, heard={FIRST.key: Heard(log=covered(HOUR))}), NOW) == RUN


@pytest.mark.parametrize(
    ("ended", "verdicts"),
    [
        (("COMPLETED",), ()),  # lost
        (("COMPLETED",), (said(FIRST, Outcome.FAILED),)),
        (("COMPLETED",), (said(FIRST, Outcome.NOT_VERIFIED),)),
        (("COMPLETED",), (said(FIRST, Outcome.SKIPPED, Reason.STOPPED),)),
        (("CANCELLED",), (proven(FIRST),)),
        (("CRASHED",), (proven(FIRST),)),
    ],
)
def test_a_stage_that_is_not_proven_ends_the_rollout(ended: tuple[str, ...], verdicts: tuple[Verdict, ...]) -> None:
    end = next_action(at(ended={0: ended}, verdicts=known(*verdicts), reached=REACHED), NOW)
    assert isinstance(end, End)
    assert (end.reached, end.rejected, len(end.results)) == (1, False, 1)
    assert end.stopped.startswith("stage canary: ")


def test_a_finished_stage_that_is_no_longer_proven_ends_the_rollout() -> None:
    end = next_action(at(finished=frozenset({0}), verdicts=known(said(FIRST, Outcome.FAILED))), NOW)
    assert isinstance(end, End)
    assert end.stopped == "stage canary: 1 failed, 0 allowed: the stages after it are not started"


def test_a_rejection_ends_the_rollout_before_anything_is_read_again() -> None:
    end = next_action(at(answer=approved(decision="reject")), NOW)
    assert isinstance(end, End)
    assert (end.stopped, end.reached) == ("before stage canary: rejected by dana, a claim (not today)", 0)
    assert end.rejected
    assert isinstance(next_action(at(answer=approved()), NOW), RecheckStage)


def test_a_gate_after_a_stage_holds_the_next_one_back() -> None:
    plan = rollout(stage("canary", FIRST, gate_after=True), REST)
    ended = at(plan, verdicts=known(proven(FIRST)), reached=REACHED)
    assert next_action(ended, NOW) == AskForApproval(place=0, side="after")
    assert next_action(replace(ended, approvals={"after": approved("after")}), NOW) == FinishStage(place=0)


def test_owed_rotations_start_once_their_soak_has_ended() -> None:
    done = at(LATER, finished=frozenset({0}), verdicts=known(owed(FIRST)))
    assert next_action(done, NOW) == ArriveAtGate(place=0, side="after")
    soaking = replace(done, reached={("canary", "after"): NOW - timedelta(minutes=30)})
    wait = next_action(soaking, NOW)
    assert isinstance(wait, WaitUntil)
    assert (wait.at, len(wait.results)) == (NOW + timedelta(minutes=30), 1)
    assert next_action(soaking, wait.at) == StartRotation(clusters=(FIRST,))
    assert next_action(replace(soaking, skipped=frozenset({FIRST})), NOW) == End(
        results=(replace(soaking, skipped=frozenset({FIRST})).result(0),), reached=1
    )
    alone = replace(done, plan=replace(LATER, rotation=None))
    assert isinstance(next_action(alone, NOW), End)  # `rotation: later`: under a plan that somebody makes
    assert not done.verdicts[FIRST.key].reason_code


def test_a_cluster_that_preflight_refuses_is_never_started() -> None:
    refused = replace(plan_cluster(posture(kubernetes_rbac=False), target(), facts()), cluster=FIRST)
    assert next_action(at(rollout(CANARY, plans=(refused,)), reached=REACHED), NOW) == FinishStage(place=0)
