"""Whether audit logs are quiet: what shuts a gate, what is unknown, and when the logs are read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.durations import stamp
from aks_entra.core.rollout.quiet import Heard, Listened, listen, look_again, not_quiet, words_of
from tests.support.audit_logs import caller, covered
from tests.support.rollouts import FIRST, NOW, SECOND

DAY = 86_400
WEEK = 7 * DAY
HELM = caller(last_seen=NOW - timedelta(days=2))
HOUR = timedelta(hours=1)


def judged(heard: Heard | None, quiet: int = WEEK) -> Listened:
    return listen(FIRST, heard, quiet, NOW)


def test_a_log_is_quiet_when_it_covers_the_time_and_shows_nobody() -> None:
    assert judged(Heard(log=covered(WEEK))) == Listened(cluster=FIRST)
    assert judged(Heard(log=covered(WEEK))).quiet


def test_a_caller_shuts_the_gate_until_its_last_call_is_long_enough_ago() -> None:
    heard = Heard(log=covered(WEEK, HELM))
    assert judged(heard).callers == (HELM,)
    assert not judged(heard).quiet
    assert judged(heard).since == HELM.last_seen
    assert judged(heard, 2 * DAY).callers == (HELM,)  # exactly: not long enough
    gone = judged(heard, DAY)
    assert (gone.quiet, gone.callers, gone.since) == (True, (), HELM.last_seen)
    assert judged(Heard(log=covered(WEEK, replace(HELM, last_seen="once")))).callers, "an unreadable time is recent"


@pytest.mark.parametrize(
    ("heard", "why"),
    [
        (None, "nobody read its log"),
        (Heard(), "nobody read its log"),
        (Heard(unknown="no diagnostic setting"), "no diagnostic setting"),
        (Heard(log=covered(WEEK, missing="only a part")), "only a part"),
        (Heard(log=covered(WEEK, complete=False)), "does not contain reads (kube-audit-admin)"),
        (Heard(log=covered(DAY)), "its audit log begins at 2026-11-23T10:00:00Z, and must begin before"),
        (Heard(log=covered(WEEK, since="once")), "its audit log begins at once"),
        (
            Heard(log=covered(WEEK, until=stamp(NOW - timedelta(minutes=31)))),
            "the newest request in its audit log is of 2026-11-24T11:29:00Z",
        ),
        (Heard(log=covered(WEEK, until="once")), "the newest request in its audit log is of once"),
        (Heard(log=covered(WEEK, without=1)), "in the hour from 2026-11-17T12:00:00Z on"),
        (Heard(log=covered(WEEK, without=3)), "in the hour from 2026-11-17T12:00:00Z on and in 2 more hours"),
        (Heard(log=replace(covered(WEEK), hours=())), "and in 168 more hours"),
    ],
)
def test_a_log_that_does_not_cover_the_time_is_unknown_and_never_quiet(heard: Heard | None, why: str) -> None:
    found = judged(heard)
    assert why in found.unknown
    assert not found.quiet


def test_a_log_that_is_unknown_still_names_the_callers_that_it_shows() -> None:
    found = judged(Heard(log=covered(WEEK, HELM, missing="only a part")))
    assert (found.callers, found.unknown) == ((HELM,), "only a part")


def test_a_stage_is_shut_by_each_of_its_clusters() -> None:
    quiet, calling = Heard(log=covered(WEEK)), Heard(log=covered(WEEK, HELM))
    both = (FIRST, SECOND)
    assert not_quiet(both, {one.key: quiet for one in both}, WEEK, NOW) == ()
    shut = not_quiet(both, {FIRST.key: quiet, SECOND.key: calling}, WEEK, NOW)
    assert [one.cluster for one in shut] == [SECOND]
    assert [one.cluster for one in not_quiet(both, {}, WEEK, NOW)] == [FIRST, SECOND]


def shut_by(*last: timedelta, unknown: str = "") -> tuple[Listened, ...]:
    return (Listened(cluster=FIRST, callers=tuple(caller(last_seen=NOW - ago) for ago in last), unknown=unknown),)


@pytest.mark.parametrize(
    ("shut", "quiet", "after"),
    [
        (shut_by(HOUR), WEEK, 6 * HOUR),
        (shut_by(HOUR), 2 * DAY, 2 * HOUR),
        (shut_by(timedelta(0)), 3600, timedelta(minutes=15)),
        (shut_by(HOUR), 3700, timedelta(seconds=101)),  # the gate can open then
        (shut_by(HOUR), 3600, timedelta(minutes=1)),
        (shut_by(2 * HOUR, HOUR), 3700, timedelta(seconds=101)),
        (shut_by(unknown="no log"), DAY, HOUR),
        (shut_by(HOUR, unknown="no log"), 3700, timedelta(minutes=15)),
        ((Listened(cluster=FIRST, callers=(replace(HELM, last_seen="once"),)),), DAY, HOUR),
    ],
)
def test_the_logs_are_read_again_after_a_part_of_the_time(
    shut: tuple[Listened, ...], quiet: int, after: timedelta
) -> None:
    assert look_again(shut, quiet, NOW) == NOW + after


@pytest.mark.parametrize(
    ("shut", "words"),
    [
        (shut_by(HOUR), "quiet 1d: 1 caller with old credentials at 1 cluster, the last at 2026-11-24T11:00:00Z"),
        (
            shut_by(HOUR, 2 * HOUR) + shut_by(unknown="no log"),
            (
                "quiet 1d: 2 callers with old credentials at 1 cluster, the last at 2026-11-24T11:00:00Z; "
                "1 cluster is unknown (shop-weu/shop-01: no log)"
            ),
        ),
        (shut_by(unknown="no log") * 2, "quiet 1d: 2 clusters are unknown (shop-weu/shop-01: no log)"),
        ((), "quiet 1d: no log was read"),
    ],
)
def test_a_gate_says_why_it_is_shut(shut: tuple[Listened, ...], words: str) -> None:
    assert words_of(shut, DAY) == words
