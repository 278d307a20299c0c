"""Which schedules are overdue: those that missed two of their times, are paused, or are not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aks_entra.core.schedules import Overdue, Schedule, overdue

BEGAN = datetime(2026, 11, 26, 4, 15, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def sweep(**change: object) -> Schedule:
    facts = {"deployment": "end-access", "last": BEGAN, "due": (BEGAN + FIVE, BEGAN + 2 * FIVE), "waiting": 3, **change}
    return Schedule(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("minutes", [0, 5, 10, 15])
def test_a_schedule_that_missed_two_times_by_less_than_the_grace_is_not_overdue(minutes: int) -> None:
    assert overdue([sweep()], BEGAN + timedelta(minutes=minutes)) == ()


def test_a_schedule_that_missed_two_times_is_overdue_and_says_since_when() -> None:
    found = overdue([sweep()], BEGAN + 3 * FIVE + timedelta(seconds=1))
    assert [str(one) for one in found] == [
        "end-access has not run since 2026-11-26T04:15:00Z: 3 of its runs wait for a worker"
    ]
    assert "prefect worker start" in found[0].remedy


def test_without_planned_runs_the_scheduler_is_what_is_dead() -> None:
    (found,) = overdue([sweep(waiting=0)], BEGAN + timedelta(hours=1))
    assert found.because == "has not run since 2026-11-26T04:15:00Z: Prefect's scheduler has planned no run of it"
    assert found.remedy == "restart Prefect's server, and read its log for `scheduler`"


def test_one_that_never_ran_is_counted_from_when_it_was_made() -> None:
    assert overdue([sweep(last=None)], BEGAN + 2 * FIVE) == ()
    (found,) = overdue([sweep(last=None)], BEGAN + timedelta(hours=1))
    assert found.because.startswith("has never run: ")


def test_one_without_planned_times_is_overdue_since_nothing_says_when_it_runs() -> None:
    assert len(overdue([sweep(due=())], BEGAN)) == 1


def test_a_paused_schedule_and_a_missing_deployment_are_said_at_once() -> None:
    paused, missing = overdue([sweep(active=False), Schedule(deployment="verify-fleet", found=False), sweep()], BEGAN)
    assert "paused" in paused.because
    assert "schedule resume end-access/end-access" in paused.remedy
    assert missing == Overdue(
        deployment="verify-fleet",
        because="does not exist on this Prefect server, so it never runs",
        remedy="prefect deploy --all (`aks-entra up` does it)",
    )
