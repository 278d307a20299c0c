"""Which schedules are overdue: those that missed two of their times, wait, are paused, or do not exist."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aks_entra.core.schedules import Overdue, Schedule, overdue

BEGAN = datetime(2026, 11, 26, 4, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def sweep(**change: object) -> Schedule:
    facts = {"deployment": "end-access/end-access", "last": BEGAN, "due": (BEGAN + HOUR, BEGAN + 2 * HOUR), **change}
    return Schedule(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("minutes", [0, 60, 120, 125])
def test_a_schedule_that_missed_two_times_by_less_than_the_grace_is_not_overdue(minutes: int) -> None:
    assert overdue([sweep()], BEGAN + minutes * MINUTE) == ()


def test_without_planned_runs_the_scheduler_is_what_is_dead() -> None:
    (found,) = overdue([sweep()], BEGAN + 2 * HOUR + 5 * MINUTE + SECOND)
    assert str(found) == (
        "end-access has not run since 2026-11-26T04:15:00Z: Prefect's scheduler has planned no run of it"
    )
    assert found.remedy == "restart Prefect's server, and read its log for `scheduler`"


def test_a_run_that_no_worker_has_begun_is_named_after_five_minutes_however_slow_the_schedule_is() -> None:
    night = sweep(deployment="verify-fleet/verify-fleet", pool="night", pool_type="docker", late=(BEGAN,))
    assert overdue([night], BEGAN + 5 * MINUTE) == ()
    (found,) = overdue([night], BEGAN + 5 * MINUTE + SECOND)
    assert found.because.endswith(": a run waits for a worker since 2026-11-26T04:15:00Z")
    assert "prefect worker start --pool night --type docker" in found.remedy


def test_several_runs_that_wait_are_counted_and_the_newest_may_still_begin() -> None:
    late = (BEGAN + HOUR, BEGAN + 2 * HOUR, BEGAN + 3 * HOUR)
    (found,) = overdue([sweep(late=late)], BEGAN + 3 * HOUR + 5 * MINUTE)
    assert found.because.endswith(": 2 of its runs wait for a worker, the first since 2026-11-26T05:15:00Z")


def test_where_no_worker_is_needed_the_work_pool_is_named() -> None:
    pool = {"pool": "cloud", "pool_type": "cloud-run:push", "workers": False}
    (one,) = overdue([sweep(late=(BEGAN,), **pool)], BEGAN + HOUR)
    assert one.because.endswith(": a run does not begin in work pool cloud since 2026-11-26T04:15:00Z")
    assert one.remedy.endswith("prefect work-pool inspect cloud")
    (two,) = overdue([sweep(late=(BEGAN, BEGAN + MINUTE), **pool)], BEGAN + HOUR)
    assert ": 2 of its runs do not begin in work pool cloud, the first since" in two.because


def test_without_a_worker_it_is_said_before_a_run_is_late() -> None:
    (found,) = overdue([sweep(online=False)], BEGAN)
    assert found.because == "has not run since 2026-11-26T04:15:00Z, and no worker of pool aks-entra is online"
    assert found.remedy.startswith("start a worker: ")
    assert overdue([sweep(online=False, workers=False)], BEGAN) == (), "a push work pool needs none"


def test_one_that_never_ran_is_counted_from_when_it_was_made() -> None:
    assert overdue([sweep(last=None)], BEGAN + 2 * HOUR) == ()
    (found,) = overdue([sweep(last=None)], BEGAN + 3 * HOUR)
    assert found.because.startswith("has never run: ")


def test_one_without_planned_times_is_overdue_since_nothing_says_when_it_runs() -> None:
    assert len(overdue([sweep(due=())], BEGAN)) == 1


def test_a_paused_schedule_and_a_missing_deployment_are_said_at_once() -> None:
    gone = Schedule(deployment="verify-fleet/verify-fleet", found=False)
    paused, missing = overdue([sweep(active=False), gone, sweep()], BEGAN)
    assert "paused" in paused.because
    assert "schedule resume end-access/end-access" in paused.remedy
    assert missing == Overdue(
        deployment="verify-fleet",
        because="does not exist on this Prefect server, so it never runs",
        remedy="prefect deploy --all (`aks-entra up` does it)",
    )


def test_the_deployment_of_a_fleet_has_its_whole_name() -> None:
    (found,) = overdue([sweep(deployment="migrate-fleet/prod", active=False)], BEGAN)
    assert found.deployment == "migrate-fleet/prod"
    assert "schedule resume migrate-fleet/prod" in found.remedy
