"""When a gate opens, when a person is asked, and until when an approval counts: one line per case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import in_words
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.fleet import StageSpec
from aks_entra.core.planning.gates import Ask, Gate, Go, Hours, Opening, WaitUntil, next_move, opening, still_open
from aks_entra.core.planning.rollout import MemberGroup, Soak, Stage, as_gate, without_approval

HOUR = 3600
SATURDAY_NIGHT = Hours(days=("sat",), start="02:00", end="06:00", timezone="Europe/Amsterdam")
OVER_MIDNIGHT = Hours(days=("fri",), start="22:00", end="04:00")
WEEKLY = MaintenanceWindow(
    name="nodes", schedule="weekly", day_of_week="Saturday", duration_hours=4, start_time="02:10"
)
SUNDAY = replace(WEEKLY, day_of_week="Sunday")
TUESDAY = datetime(2026, 11, 24, 12, tzinfo=UTC)


def on(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (SATURDAY_NIGHT, "2026-11-24T12:00Z", "2026-11-28T01:00Z"),
        (SATURDAY_NIGHT, "2026-11-28T01:00Z", "2026-11-28T01:00Z"),
        (SATURDAY_NIGHT, "2026-11-28T04:59Z", "2026-11-28T04:59Z"),
        (SATURDAY_NIGHT, "2026-11-28T05:00Z", "2026-12-05T01:00Z"),
        (SATURDAY_NIGHT, "2027-07-03T00:30Z", "2027-07-03T00:30Z"),  # summer: two hours ahead of UTC
        (OVER_MIDNIGHT, "2026-11-28T03:59Z", "2026-11-28T03:59Z"),  # it began on Friday
        (OVER_MIDNIGHT, "2026-11-28T04:00Z", "2026-12-04T22:00Z"),
        (Hours(start="02:00", end="06:00"), "2026-11-24T07:00Z", "2026-11-25T02:00Z"),
    ],
)
def test_a_weekly_window_opens_in_its_own_time_zone(hours: Hours, now: str, opens: str) -> None:
    assert hours.next_opening(on(now)) == on(opens)


@pytest.mark.parametrize(
    ("gate", "maintenance", "opens", "because"),
    [
        (Gate(), (), "2026-11-24T12:00Z", ()),
        (Gate(wait=HOUR), (), "2026-11-24T12:30Z", ("wait 1h",)),  # reached half an hour ago
        (Gate(wait=HOUR // 4), (), "2026-11-24T12:00Z", ()),
        (Gate(not_before="2026-12-01T22:00:00Z"), (), "2026-12-01T22:00Z", ("not before 2026-12-01T22:00:00Z",)),
        (Gate(not_before="2026-11-01T22:00:00Z"), (), "2026-11-24T12:00Z", ()),
        (
            Gate(not_before="2026-11-29T00:00:00Z", window=SATURDAY_NIGHT, wait=HOUR),
            (),
            "2026-12-05T01:00Z",
            ("wait 1h", "not before 2026-11-29T00:00:00Z", "window sat 02:00 to 06:00 Europe/Amsterdam"),
        ),
        (Gate(maintenance_window=True), ((WEEKLY,),), "2026-11-28T02:15Z", ("the clusters' maintenance windows",)),
        (Gate(maintenance_window=True), (), "2026-11-24T12:00Z", ()),  # nobody has one
        (Gate(), ((WEEKLY,),), "2026-11-24T12:00Z", ()),  # nobody asked
        (
            Gate(maintenance_window=True, window=Hours(start="03:00", end="04:00")),
            ((WEEKLY,), (WEEKLY, SUNDAY)),
            "2026-11-28T03:00Z",
            ("window every day 03:00 to 04:00 UTC", "the clusters' maintenance windows"),
        ),
    ],
)
def test_a_gate_opens_when_all_that_it_waits_for_is_there(
    gate: Gate, maintenance: tuple[tuple[MaintenanceWindow, ...], ...], opens: str, because: tuple[str, ...]
) -> None:
    found = opening(gate, reached=TUESDAY - timedelta(minutes=30), now=TUESDAY, maintenance=maintenance)
    assert found == Opening(at=on(opens), because=because)


@pytest.mark.parametrize("windows", [((WEEKLY,), (SUNDAY,)), ((replace(WEEKLY, interval=2),),)])
def test_windows_that_never_meet_are_not_waited_for(windows: tuple[tuple[MaintenanceWindow, ...], ...]) -> None:
    assert opening(Gate(maintenance_window=True), reached=TUESDAY, now=TUESDAY, maintenance=windows) is None


SATURDAY = Opening(at=datetime(2026, 11, 28, 1, tzinfo=UTC), because=("window",))
NOW = Opening(at=TUESDAY)


@pytest.mark.parametrize(
    ("gate", "side", "opens", "approved", "move"),
    [
        (Gate(), "before", NOW, None, Ask()),
        (Gate(), "before", NOW, "2026-11-24T11:00Z", Go()),
        (Gate(), "before", NOW, "2026-11-24T12:00:09Z", Go()),  # a clock that is ahead
        (Gate(), "before", NOW, "2026-11-23T12:00Z", Ask(expired="2026-11-24T12:00:00Z")),
        (Gate(expires_after=HOUR), "before", NOW, "2026-11-24T11:00Z", Ask(expired="2026-11-24T12:00:00Z")),
        (Gate(), "after", NOW, "2026-11-01T12:00Z", Go()),  # it is on what happened, and that does not change
        (Gate(approval=False, wait=1), "before", NOW, None, Go()),
        (Gate(approval=False, wait=1), "before", SATURDAY, None, WaitUntil(at=SATURDAY.at, because="window")),
        # nobody is asked for what would be expired when the window opens …
        (
            Gate(),
            "before",
            SATURDAY,
            None,
            WaitUntil(at=on("2026-11-27T01:00Z"), because="window; then an approval is asked for"),
        ),
        # … but as soon as it would not be
        (Gate(expires_after=7 * 24 * HOUR), "before", SATURDAY, None, Ask()),
        (
            Gate(expires_after=7 * 24 * HOUR),
            "before",
            SATURDAY,
            "2026-11-24T11:00Z",
            WaitUntil(at=SATURDAY.at, because="window"),
        ),
        # after a stage: when the soak is over
        (
            Gate(),
            "after",
            SATURDAY,
            None,
            WaitUntil(at=SATURDAY.at, because="window; then an approval is asked for"),
        ),
    ],
)
def test_what_is_to_be_done_at_a_gate_now(
    gate: Gate, side: str, opens: Opening, approved: str | None, move: object
) -> None:
    given = on(approved) if approved else None
    assert (
        next_move(gate, "after" if side == "after" else "before", now=TUESDAY, opens=opens, approved_at=given) == move
    )


def test_no_member_begins_outside_of_its_windows() -> None:
    inside, outside = on("2026-11-28T02:30Z"), on("2026-11-28T06:30Z")
    own = Gate(window=SATURDAY_NIGHT)
    assert still_open(own, now=inside)
    assert not still_open(own, now=outside)
    theirs = Gate(maintenance_window=True)
    assert still_open(theirs, now=inside, maintenance=(WEEKLY,))
    assert not still_open(theirs, now=outside, maintenance=(WEEKLY,))
    assert still_open(theirs, now=outside, maintenance=())
    assert not still_open(theirs, now=inside, maintenance=None)  # unreadable
    assert not still_open(theirs, now=inside, maintenance=(replace(WEEKLY, interval=2),))  # cannot be told
    assert still_open(Gate(), now=outside, maintenance=(WEEKLY,))


def test_true_and_false_are_gates_too() -> None:
    stage = Stage(name="all", groups=())
    assert (stage.gate("before"), stage.gate("after")) == (Gate(), None)
    assert as_gate(Gate(approval=False)) is None
    assert as_gate(Gate(approval=False, wait=1)) == Gate(approval=False, wait=1)
    assert as_gate(Gate(approval=False, quiet=3600)) == Gate(approval=False, quiet=3600)
    assert Gate(approval=False, quiet=7 * 86_400).conditions == (
        "quiet 7d: no caller with an old credential in the audit logs",
    )
    assert Gate(wait=90 * 60, not_before="2026-12-01T22:00:00Z", maintenance_window=True).conditions == (
        "approval (valid 1d)",
        "wait 1h30m",
        "not before 2026-12-01T22:00:00Z",
        "the clusters' maintenance windows",
    )


def test_a_digest_sees_what_is_set_and_nothing_else() -> None:
    members = tuple(ClusterId(subscription_id="s", resource_group="g", name=name) for name in "abcde")
    stage = Stage(name="all", groups=(MemberGroup(name="all", members=members),))
    plain = stage.bound()
    assert sorted(plain) == ["gate_after", "gate_before", "groups", "max_allowed_failures", "max_concurrency", "name"]
    assert (plain["gate_before"], plain["gate_after"]) == (True, False)
    assert replace(stage, gate_before=Gate()).bound() == plain
    earlier = {"approval", "expires_after", "maintenance_window", "not_before", "wait", "window"}
    assert set(Gate(wait=1).bound()) == earlier, "plans of earlier versions keep their digests"
    assert Gate(wait=1, quiet=3600).bound() == {**Gate(wait=1).bound(), "quiet": 3600}
    for other in (
        replace(stage, gate_before=False),
        replace(stage, gate_before=Gate(expires_after=1)),
        replace(stage, gate_after=Gate(window=SATURDAY_NIGHT)),
        replace(stage, gate_before=Gate(quiet=3600)),
        replace(stage, batch_size=2),
        replace(stage, max_concurrency_per_subscription=1),
    ):
        assert other.bound() != plain
    assert [len(batch) for batch in replace(stage, batch_size=2).batches] == [2, 2, 1]
    assert stage.batches == (members,)
    queues = ("", "north", "", "south", "")
    queued = (
        MemberGroup(name=one.name, members=(one,), work_queue=queue) for queue, one in zip(queues, members, strict=True)
    )
    split = replace(stage, groups=tuple(queued), batch_size=2)
    assert [[one.name for one in batch] for batch in split.batches] == [["a", "c"], ["e"], ["b"], ["d"]]
    assert split.bound() != replace(stage, batch_size=2).bound()
    assert Stage(name="none", groups=()).batches == ()


def test_a_soak_is_a_gate_of_its_own() -> None:
    assert Soak(after=86_400).before == Gate(wait=86_400)
    assert Soak(after=86_400, gate=False).before == Gate(approval=False, wait=86_400)
    assert Soak(after=1, gate=Gate(wait=5)).before == Gate(wait=5)
    assert Soak(after=7 * 86_400).words == ("rotation 7d after its stage, under a plan of its own: approval (valid 1d)")
    assert Soak(after=60, gate=False).words == "rotation 1m after its stage, under a plan of its own: no gate"
    assert Soak(after=60).bound() != Soak(after=61).bound()


def test_a_stage_that_asks_nobody_is_ungated_and_asks_where_that_is_not_allowed() -> None:
    gated = Stage(name="a", groups=())
    timed = Gate(approval=False, wait=60, window=SATURDAY_NIGHT)
    open_, late = replace(gated, name="b", gate_before=False), replace(gated, name="c", gate_before=timed)
    assert [one.ungated for one in (gated, open_, late)] == [False, True, True]
    assert open_.gate("before") is None
    assert open_.gate("before", ungated=False) == Gate()
    assert late.gate("before", ungated=False) == replace(timed, approval=True)
    assert gated.gate("before", ungated=False) == Gate()
    assert open_.gate("after", ungated=False) is None
    assert without_approval((gated, open_, late)) == ("stage b", "stage c")
    assert without_approval((gated,), Soak(after=60)) == ()
    assert without_approval((gated,), Soak(after=60, gate=False)) == ("the rotation after the soak",)
    assert without_approval((StageSpec(name="d", groups=(), gate_before=False),)) == ("stage d",)


def test_spans_in_words() -> None:
    assert [in_words(seconds) for seconds in (0, 1, 61, 5400, 86_400, 90_000)] == [
        "0m",
        "1s",
        "1m1s",
        "1h30m",
        "1d",
        "1d1h",
    ]
