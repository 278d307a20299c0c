"""The expected time of a plan, and of the rest of a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from aks_entra.core.durations import stamp
from aks_entra.core.estimate.durations import PUBLISHED, Durations, Span
from aks_entra.core.estimate.expected import expected_time, remaining_time
from aks_entra.core.estimate.limits import AKS_REST
from aks_entra.core.estimate.model import AtWork, Binding, StageTime
from aks_entra.core.estimate.requests import requests_of
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.gates import Gate, Hours
from aks_entra.core.planning.plan import FleetPlan, plan_cluster
from aks_entra.core.planning.rollout import Soak
from aks_entra.core.target import RotationPolicy
from tests.support.cases import SHOP, facts, managed, target
from tests.support.rollouts import CANARY, FIRST, HOUR, NOW, PLAN, REST, SECOND, THIRD, plan_of, rollout, stage

EACH = sum((PUBLISHED.of(step) for step in plan_of(SHOP).steps), Span())
"""One cluster: prove, baseline, disable local accounts, rotate, verify."""
DAY = 24 * HOUR
NIGHT = Hours(start="02:00", end="04:00")
NO_GATE: Mapping[str, Any] = {"gate_before": False}
TWENTY = tuple(replace(SHOP, name=f"shop-{number:02}") for number in range(1, 21))


def times(plan: FleetPlan, now: datetime = NOW, **how: Any) -> tuple[StageTime, ...]:
    return remaining_time(plan, now, **how).stages


def only(plan: FleetPlan, now: datetime = NOW, **how: Any) -> StageTime:
    (one,) = times(plan, now, **how)
    return one


def test_stages_follow_each_other_and_approvals_are_counted_and_not_guessed() -> None:
    found = expected_time(PLAN, NOW)

    assert [(one.name, one.clusters, one.at_a_time, one.approvals) for one in found.stages] == [
        ("canary", 1, 1, 1),
        ("rest", 2, 2, 1),
    ]
    assert found.stages[0].work == EACH
    assert found.total == EACH + EACH
    assert found.approvals == 2
    assert (found.since, found.basis, found.unknown) == (stamp(NOW), PUBLISHED.basis, ())


def test_clusters_that_take_turns_make_rounds_and_the_rotations_bind() -> None:
    found = only(rollout(stage("all", *TWENTY[:5], max_concurrency=2)))

    assert (found.at_a_time, found.rounds) == (2, 3)
    assert found.work.likely == pytest.approx(3 * EACH.likely)
    assert (found.binds, found.binds_at) == (Binding.OPERATION, "rotate certificates")


def test_recorded_durations_are_used_and_named() -> None:
    found = expected_time(PLAN, NOW, durations=Durations(rotations=(60.0,)))
    assert found.total.likely < 1000
    assert found.basis.startswith("1 earlier rotation")


def test_a_limit_of_one_subscription_makes_more_rounds() -> None:
    elsewhere = replace(SECOND, subscription_id="9")
    plan = rollout(stage("all", FIRST, elsewhere, THIRD, max_concurrency_per_subscription=1))
    found = only(plan)

    assert (found.at_a_time, found.rounds) == (2, 2)
    assert found.work.likely == pytest.approx(2 * EACH.likely)


def test_a_request_limit_binds_where_it_takes_longer_than_the_operations() -> None:
    many = tuple(replace(SHOP, name=f"shop-{number:04}") for number in range(2000))
    plan = rollout(stage("all", *many, max_concurrency=2000))
    found = only(plan)

    needed = 2000 * sum(requests_of(step).get(AKS_REST, 0) for step in (None, *plan_of(SHOP).steps))
    last = PUBLISHED.of(plan_of(SHOP).steps[-1])  # it follows the last request
    assert found.work.likely == pytest.approx(AKS_REST.seconds(needed) + last.likely, rel=0.01)
    assert (found.binds, found.binds_at) == (Binding.REQUESTS, "other requests to AKS")
    assert only(plan, request_rate=1000).binds is Binding.OPERATION
    assert only(rollout(stage("all", FIRST)), request_rate=1000).work == EACH


def test_clusters_at_work_have_sent_the_requests_of_their_step() -> None:
    many = tuple(replace(SHOP, name=f"shop-{number:04}") for number in range(1000))
    plan = rollout(stage("all", *many, max_concurrency=1000))
    rotating = AtWork(title="rotate certificates", since=NOW)
    found = only(plan, at_work=dict.fromkeys((one.key for one in many), rotating))

    assert found.work.likely < AKS_REST.seconds(1000) + EACH.likely  # only the last step sends more


def test_subscriptions_that_follow_each_other_wait_for_one_limit_after_the_other() -> None:
    many = tuple(replace(SHOP, name=f"shop-{at:04}", subscription_id=str(at // 500)) for at in range(2000))
    plan = rollout(stage("all", *many, max_concurrency=500))
    found = only(plan)

    assert found.binds is Binding.REQUESTS
    assert found.work.likely > 1.5 * only(plan, request_rate=1000).work.likely


def test_a_stage_without_steps_is_left_out() -> None:
    done = replace(plan_of(FIRST), steps=())
    assert times(rollout(CANARY, REST, plans=(done, plan_of(SECOND), plan_of(THIRD))))[0].name == "rest"
    assert times(rollout(CANARY, plans=(done,))) == ()


@pytest.mark.parametrize(
    ("gate", "waits", "binds", "words"),
    [
        (Gate(wait=2 * DAY), 2 * DAY, Binding.WAIT, "wait 2d"),
        (Gate(wait=60), 60, Binding.OPERATION, "rotate certificates"),
        (Gate(not_before=stamp(NOW + timedelta(hours=5))), 5 * HOUR, Binding.WAIT, "not before 2026-11-24T17:00:00Z"),
        (Gate(window=NIGHT), 14 * HOUR, Binding.WINDOW, "window every day 02:00 to 04:00 UTC"),
        (Gate(wait=HOUR, window=NIGHT), 14 * HOUR, Binding.WINDOW, "window every day 02:00 to 04:00 UTC"),
        (Gate(not_before=stamp(NOW - timedelta(hours=5))), 0, Binding.OPERATION, "rotate certificates"),
    ],
)
def test_the_waits_of_a_gate_count(gate: Gate, waits: float, binds: Binding, words: str) -> None:
    found = only(rollout(stage("all", FIRST, gate_before=gate)))

    assert found.waits == Span(waits, waits, waits)
    assert (found.binds, found.binds_at, found.approvals) == (binds, words, 1)


def test_the_gate_after_a_stage_delays_the_next_one() -> None:
    gate = Gate(approval=False, wait=DAY)
    plan = rollout(stage("canary", FIRST, gate_after=gate, **NO_GATE), stage("rest", SECOND, **NO_GATE))
    found = expected_time(plan, NOW)

    assert found.total.likely == pytest.approx(2 * EACH.likely + DAY)
    assert found.approvals == 0


def test_clusters_that_no_longer_fit_into_a_window_wait_for_the_next_one() -> None:
    window = Gate(window=Hours(start="12:00", end="12:50"))
    found = only(rollout(stage("all", *TWENTY[:3], gate_before=window, max_concurrency=1)))

    assert found.waits.likely == pytest.approx(DAY - 2 * EACH.likely)
    assert found.waits.low == pytest.approx(0)  # the third begins in the first window if all is quick
    assert found.binds is Binding.WINDOW


def nightly(**how: Any) -> MaintenanceWindow:
    return MaintenanceWindow(
        name="default", schedule="daily", start_time="01:00", duration_hours=4, start_date="2026-01-01", **how
    )


def test_maintenance_windows_of_clusters_count_where_the_gate_names_them() -> None:
    plans = tuple(replace(plan_of(one), maintenance_windows=(nightly(),)) for one in (FIRST, SECOND))
    members = (FIRST, SECOND)
    named = only(rollout(stage("all", *members, gate_before=Gate(maintenance_window=True)), plans=plans))
    unnamed = only(rollout(stage("all", *members), plans=plans))

    assert named.waits.likely == 13 * HOUR
    assert (named.binds, named.binds_at) == (Binding.WINDOW, "the clusters' maintenance windows")
    assert unnamed.waits == Span()


def test_maintenance_windows_that_could_not_be_read_are_named() -> None:
    unread = plan_cluster(managed(), target(), facts(maintenance_windows=None))
    plans = (replace(unread, cluster=FIRST), plan_of(SECOND))
    gated = stage("all", FIRST, SECOND, gate_before=Gate(maintenance_window=True))

    assert only(rollout(gated, plans=plans)).unknown == (
        "the maintenance windows of 1 cluster of stage all, which were not read",
    )
    assert only(rollout(stage("all", FIRST, SECOND), plans=plans)).unknown == ()


def test_a_window_that_never_opens_is_named() -> None:
    never = replace(plan_of(FIRST), maintenance_windows=(nightly(not_allowed=(("2026-11-01", "2027-11-01"),)),))
    gated = stage("all", FIRST, gate_before=Gate(maintenance_window=True))
    found = expected_time(rollout(gated, plans=(never,)), NOW)

    assert found.unknown == ("when the windows of stage all open: it is not within two months",)
    assert found.total == EACH


def test_how_long_callers_go_on_is_not_guessed() -> None:
    words = "how long callers with old credentials go on before stage all"
    window = Hours(start="11:00", end="13:00")
    for gate in (Gate(quiet=7 * DAY), Gate(quiet=7 * DAY, window=window), Gate(quiet=7 * DAY, wait=HOUR)):
        assert only(rollout(stage("all", FIRST, gate_before=gate))).unknown == (words,)
    waits = only(rollout(stage("all", FIRST, gate_before=Gate(quiet=7 * DAY, wait=3 * HOUR))))
    assert (waits.waits.likely, waits.binds_at) == (3 * HOUR, "wait 3h")


def test_the_rotation_after_a_soak_is_part_of_the_time() -> None:
    plans = tuple(
        replace(plan_of(one, rotation=RotationPolicy.LATER), rotation_planned="later") for one in (FIRST, SECOND, THIRD)
    )
    soak = Soak(after=7 * DAY, gate=Gate(approval=True))
    found = expected_time(rollout(CANARY, REST, plans=plans, rotation=soak), NOW)

    assert [one.name for one in found.stages] == ["canary", "rest", "canary, rotation", "rest, rotation"]
    canary = found.stages[2]
    assert (canary.binds, canary.binds_at, canary.approvals) == (Binding.WAIT, "soak of 7d", 1)
    assert canary.waits.likely == pytest.approx(7 * DAY - found.stages[1].work.likely)
    assert 7 * DAY < found.total.likely < 7 * DAY + 2 * HOUR
    assert found.approvals == 4

    alone = expected_time(rollout(CANARY, REST, plans=(plans[0], plan_of(SECOND), plan_of(THIRD)), rotation=soak), NOW)
    assert [one.name for one in alone.stages] == ["canary", "rest", "canary, rotation"]


def test_a_rollout_that_waits_for_its_soak_knows_when_its_stages_ended() -> None:
    plan = replace(plan_of(FIRST, rotation=RotationPolicy.LATER), rotation_planned="later")
    waiting = rollout(CANARY, plans=(plan,), rotation=Soak(after=7 * DAY, gate=False))
    reached = {("canary", "after"): NOW - timedelta(days=6)}
    found = only(waiting, ended={FIRST.key}, reached=reached)

    assert found.name == "canary, rotation"
    assert found.waits.likely == DAY


# what is left of a rollout


def test_clusters_that_ended_take_no_more_time() -> None:
    left = remaining_time(PLAN, NOW, ended={FIRST.key, SECOND.key})

    assert [(one.name, one.clusters, one.approvals) for one in left.stages] == [("rest", 1, 0)]
    assert left.total == EACH
    assert remaining_time(PLAN, NOW, ended={FIRST.key, SECOND.key, THIRD.key}).total == Span()


def test_a_stage_that_is_over_but_for_its_gate_waits_there() -> None:
    gate = Gate(approval=True, wait=DAY)
    plan = rollout(stage("canary", FIRST, gate_after=gate), REST)
    reached = {("canary", "after"): NOW - timedelta(hours=6)}
    canary, rest = times(plan, ended={FIRST.key}, reached=reached)

    assert (canary.clusters, canary.waits.likely, canary.approvals) == (0, 18 * HOUR, 1)
    assert (canary.rounds, canary.binds) == (0, Binding.WAIT)
    assert rest.approvals == 1
    (_, behind) = times(rollout(stage("canary", FIRST, gate_after=True), REST), ended={FIRST.key})
    assert behind.name == "rest"


def test_a_step_that_runs_takes_what_is_left_of_it() -> None:
    at_work = {SECOND.key: AtWork(title="rotate certificates", since=NOW - timedelta(minutes=10))}
    left = remaining_time(PLAN, NOW, ended={FIRST.key, THIRD.key}, at_work=at_work)
    rotation, verify = (PUBLISHED.of(step) for step in plan_of(SHOP).steps[-2:])

    assert left.total == rotation.less(600) + verify


def test_an_unknown_title_is_a_part_of_the_last_step() -> None:
    at_work = {SECOND.key: AtWork(title="verify nodes", since=NOW)}
    left = remaining_time(PLAN, NOW, ended={FIRST.key, THIRD.key}, at_work=at_work)

    assert left.total == PUBLISHED.of(plan_of(SHOP).steps[-1])


def test_clusters_that_wait_behind_others_take_their_turn() -> None:
    plan = rollout(stage("all", FIRST, SECOND, max_concurrency=1))
    at_work = {FIRST.key: AtWork(title="rotate certificates", since=NOW - timedelta(hours=2))}
    left = remaining_time(plan, NOW, at_work=at_work)

    verify = PUBLISHED.of(plan_of(SHOP).steps[-1])
    assert left.total == verify + EACH
