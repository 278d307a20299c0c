"""How far a rollout is: from notes of batches and stored verdicts to one overview."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.preflight import Finding, Severity
from aks_entra.core.rollout.progress import (
    LINE,
    NOTE,
    PAGE,
    READ,
    BatchProgress,
    BatchSeen,
    ClusterProgress,
    Rhythm,
    Running,
    StepProgress,
    StepState,
    leaves_unsaid,
    overview,
    progress_of,
    seconds_of_steps,
)
from aks_entra.core.verdict.verdict import Outcome, Reason
from tests.support.progress_samples import at_step, clusters, ended, fleet, lost, seven, thousand, waiting
from tests.support.rollouts import FIRST, NOW, PLAN, SECOND, THIRD, known, plan_of, proven, rollout, said, stage

RUNNING = StepProgress(title="rotate certificates", began=stamp(NOW))


def note(*clusters: ClusterProgress, plan: str = PLAN.digest, ended: str = "") -> BatchSeen:
    return BatchSeen(name="rest", ended=ended, progress=BatchProgress(plan=plan, clusters=clusters))


def at_rotation(cluster: ClusterId) -> ClusterProgress:
    return ClusterProgress(cluster=str(cluster), key=cluster.key, steps=(RUNNING,))


@pytest.mark.parametrize(
    ("rhythm", "few", "many"),
    [(READ, 2.0, 10.0), (NOTE, 1.0, 20.0), (PAGE, 10.0, 50.0), (LINE, 10.5, 30.0), (Rhythm(1.0, 5.0, 0.0), 1.0, 1.0)],
)
def test_a_large_fleet_is_asked_and_told_less_often(rhythm: Rhythm, few: float, many: float) -> None:
    assert (rhythm.seconds(7), rhythm.seconds(1000)) == (few, many)
    assert rhythm.seconds(100_000) == (rhythm.most if rhythm.for_each else rhythm.least)


def test_a_step_lasts_until_now_or_as_long_as_it_took() -> None:
    now = NOW + timedelta(seconds=90)
    assert RUNNING.lasts(now) == 90
    assert RUNNING.lasts(NOW - timedelta(seconds=5)) == 0
    assert replace(RUNNING, began="").lasts(now) == 0
    assert replace(RUNNING, state=StepState.DONE, seconds=12.5).lasts(now) == 12.5
    assert [replace(RUNNING, state=one).ended for one in StepState] == [False, True, True, True]


def test_without_notes_and_verdicts_every_cluster_waits() -> None:
    found = progress_of(PLAN, {}, ())
    assert [one.cluster for one in found] == ["shop-weu/shop-01", "shop-weu/shop-02", "shop-weu/shop-03"]
    assert {one.key for one in found} == {FIRST.key, SECOND.key, THIRD.key}
    assert {(one.verdict, one.running, one.ended) for one in found} == {("", None, False)}


def test_a_live_batch_says_what_a_cluster_does_now_whatever_an_earlier_verdict_said() -> None:
    failed = known(said(SECOND, Outcome.FAILED))
    first, second, _ = progress_of(PLAN, {**failed, **known(proven(FIRST))}, [note(at_rotation(SECOND))])
    assert (first.verdict, first.counts_against) == ("verified", False)
    assert (second.verdict, second.running, second.counts_against) == ("", RUNNING, False)


def test_a_stored_verdict_counts_where_no_batch_noted_one() -> None:
    _, second, third = progress_of(
        PLAN, known(said(SECOND, Outcome.FAILED), said(THIRD, Outcome.SKIPPED, Reason.LEFT_OUT)), ()
    )
    assert (second.verdict, second.because, second.counts_against, second.planned) == (
        "failed",
        "so it is",
        True,
        False,
    )
    assert (third.verdict, third.counts_against) == ("skipped", False)


def test_a_batch_that_ended_leaves_its_clusters_with_their_stored_verdicts_or_without_one() -> None:
    batch = note(at_rotation(SECOND), at_rotation(THIRD), ended="Crashed")
    _, second, third = progress_of(PLAN, known(said(THIRD, Outcome.FAILED)), [batch])
    assert second.lost
    assert second.ended
    assert (second.verdict, second.because, second.counts_against) == (
        "without a verdict",
        "its batch rest ended Crashed",
        True,
    )
    assert second.running is None
    assert (third.verdict, third.lost, third.steps) == ("failed", False, (RUNNING,))


def test_the_newest_batch_counts_and_notes_of_another_plan_do_not() -> None:
    verdict = replace(at_rotation(SECOND), outcome=Outcome.NOT_VERIFIED)
    older, newer = note(at_rotation(SECOND), ended="Crashed"), note(verdict)
    other = note(replace(verdict, outcome=Outcome.FAILED), plan="sha256:other")
    _, second, _ = progress_of(PLAN, {}, [older, newer, other, BatchSeen(name="old version")])
    assert second.verdict == "not verified"


def test_what_the_plan_refused_is_not_counted_as_a_failure() -> None:
    finding = Finding(rule="B012", severity=Severity.BLOCKER, message="a lock", remedy="")
    plan = rollout(stage("all", FIRST, SECOND), plans=(replace(plan_of(FIRST), findings=(finding,)), plan_of(SECOND)))
    first, second = progress_of(plan, {}, ())
    assert (first.verdict, first.planned, first.counts_against, first.because) == (
        "refused",
        True,
        False,
        "B012 a lock",
    )
    assert not second.planned


@pytest.mark.parametrize(
    ("batch", "unsaid"),
    [
        (note(at_rotation(FIRST)), False),
        (note(at_rotation(FIRST), ended="Crashed"), True),
        (note(replace(at_rotation(FIRST), outcome=Outcome.VERIFIED), ended="Completed"), False),
        (BatchSeen(name="of an earlier version", ended="Completed"), True),
        (BatchSeen(name="begins now"), False),
    ],
)
def test_a_batch_that_ended_without_a_note_of_each_verdict_is_noticed(batch: BatchSeen, unsaid: bool) -> None:
    assert leaves_unsaid(batch) is unsaid


def test_an_overview_counts_by_verdict_and_step_and_stage() -> None:
    plan, found = seven()
    whole = overview(plan, found, NOW)
    assert (whole.clusters, whole.ended, whole.under_way, whole.waiting, whole.percent) == (7, 4, 2, 1, 57)
    assert whole.verdicts == (("failed", 1), ("without a verdict", 1), ("refused", 1), ("verified", 1))
    assert whole.counts == (*whole.verdicts, ("under way", 2), ("waiting", 1))
    assert whole.steps == (("prove sign-in", 1), ("rotate certificates", 1))
    assert [(one.name, one.ended, one.clusters) for one in whole.stages] == [("canary", 2, 2), ("rest", 2, 5)]


def test_an_overview_of_no_cluster_is_complete_and_an_almost_complete_one_is_not() -> None:
    assert overview(rollout(), (), NOW).percent == 100
    assert overview(rollout(), (), NOW).counts == ()
    almost = (*map(ended, clusters(999)), waiting(clusters(1000)[-1]))
    assert overview(fleet(1000, 10), almost, NOW).percent == 99


def test_a_cluster_between_two_steps_is_at_its_last_one() -> None:
    (one,) = clusters(1)
    between = replace(at_step(one, 3, seconds=1), steps=at_step(one, 3, seconds=1).steps[:3])
    assert overview(fleet(1, 1), (between,), NOW).steps == (("record baseline", 1),)


def test_the_worst_clusters_come_first_in_the_order_of_the_plan() -> None:
    one, two, three, four, five = clusters(5)
    found = (
        ended(one, Outcome.REFUSED),
        ended(two, Outcome.NOT_VERIFIED),
        lost(three),
        ended(four, Outcome.FAILED),
        ended(five, Outcome.FAILED),
    )
    shown = [one.verdict for one in overview(fleet(5, 5), found, NOW).attention]
    assert shown == ["failed", "failed", "without a verdict", "not verified", "refused"]
    assert [one.cluster[-4:] for one in overview(fleet(5, 5), found, NOW).attention[:2]] == ["0004", "0005"]


def test_a_note_about_a_failure_without_a_verdict_is_no_failure_yet() -> None:
    (one,) = clusters(1)
    odd = replace(at_step(one, 0, seconds=1), counts_against=True)
    assert overview(fleet(1, 1), (odd,), NOW).attention == ()


def test_steps_that_take_much_longer_than_usual_are_slow_and_come_first() -> None:
    members = clusters(7)
    found = (
        *map(ended, members[:3]),
        at_step(members[3], 4, seconds=2000),
        at_step(members[4], 1, seconds=61),
        at_step(members[5], 4, seconds=2520),
        at_step(members[6], 1, seconds=60),  # too short to be noticed
    )
    running = overview(fleet(7, 7), found, NOW).running
    assert [(one.cluster[-4:], one.title, one.seconds, one.usual, one.slow) for one in running] == [
        ("0005", "prove sign-in", 61, 3, True),
        ("0006", "rotate certificates", 2520, 1260, False),
        ("0004", "rotate certificates", 2000, 1260, False),
        ("0007", "prove sign-in", 60, 3, False),
    ]
    assert running[0].since == stamp(NOW - timedelta(seconds=61))


def test_what_is_usual_is_not_known_from_two_clusters() -> None:
    members = clusters(3)
    found = (*map(ended, members[:2]), at_step(members[2], 4, seconds=9000))
    assert overview(fleet(3, 3), found, NOW).running == (
        Running(
            cluster=str(members[2]),
            title="rotate certificates",
            since=stamp(NOW - timedelta(seconds=9000)),
            seconds=9000,
        ),
    )
    assert set(seconds_of_steps(found)) == {"look", "prove sign-in", "record baseline", "disable local accounts"}


def test_a_thousand_clusters_are_counted_once_each() -> None:
    plan, found = thousand()
    whole = overview(plan, found, NOW)
    assert sum(number for _, number in whole.counts) == 1000
    assert len(whole.attention) == 20
    assert len(whole.running) == 50
    assert whole.running[0].slow
