"""When a maintenance window is open, in every form that ARM has for one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aks_entra.core.durations import moment, stamp
from aks_entra.core.maintenance_windows import MaintenanceWindow, opened

HOURS = MaintenanceWindow(name="default", hours=(("Tuesday", 9), ("Tuesday", 10)))
DAILY = MaintenanceWindow(name="nodes", schedule="daily", duration_hours=4, start_time="23:00")
WEEKLY = MaintenanceWindow(
    name="nodes", schedule="weekly", day_of_week="Saturday", duration_hours=4, start_time="02:00"
)
MONTHLY = MaintenanceWindow(
    name="nodes", schedule="absoluteMonthly", day_of_month=15, duration_hours=4, start_time="00:00"
)
RELATIVE = MaintenanceWindow(
    name="nodes", schedule="relativeMonthly", week_index="First", day_of_week="Monday", duration_hours=8
)
TUESDAY = MaintenanceWindow(name="default", hours=(("Tuesday", 9),))
FIFTEENTH = MaintenanceWindow(name="nodes", schedule="absoluteMonthly", day_of_month=15, duration_hours=4)


@pytest.mark.parametrize(
    ("window", "now", "is_open"),
    [
        (HOURS, "2026-11-24T09:59:00Z", True),
        (HOURS, "2026-11-24T11:00:00+02:00", True),
        (HOURS, "2026-11-24T11:00:00Z", False),
        (HOURS, "2026-11-25T09:00:00Z", False),
        (
            replace(HOURS, not_allowed=(("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),)),
            "2026-11-24T09:00:00Z",
            False,
        ),
        (replace(HOURS, not_allowed=(("2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),)), "2026-11-24T09:00:00Z", True),
        (DAILY, "2026-11-24T23:00:00Z", True),
        (DAILY, "2026-11-25T02:59:00Z", True),  # it began the day before
        (DAILY, "2026-11-25T03:00:00Z", False),
        (replace(DAILY, utc_offset="+02:00"), "2026-11-24T21:00:00Z", True),
        (replace(DAILY, utc_offset="-05:30"), "2026-11-25T04:29:00Z", False),
        (replace(DAILY, utc_offset="-05:30"), "2026-11-25T04:30:00Z", True),
        (replace(DAILY, utc_offset="later"), "2026-11-24T23:00:00Z", None),
        (replace(DAILY, start_date="2026-11-25"), "2026-11-24T23:30:00Z", False),
        (replace(DAILY, interval=3), "2026-11-24T23:30:00Z", None),
        (replace(DAILY, interval=3, start_date="2026-11-21"), "2026-11-24T23:30:00Z", True),
        (replace(DAILY, interval=3, start_date="2026-11-22"), "2026-11-24T23:30:00Z", False),
        (replace(DAILY, not_allowed=(("2026-11-24", "2026-11-24"),)), "2026-11-24T23:30:00Z", False),
        (replace(DAILY, not_allowed=(("2026-11-20", "2026-11-23"),)), "2026-11-24T23:30:00Z", True),
        (replace(DAILY, duration_hours=0), "2026-11-24T23:00:00Z", None),
        (replace(DAILY, schedule="yearly"), "2026-11-24T09:00:00Z", None),
        (WEEKLY, "2026-11-28T03:00:00Z", True),
        (WEEKLY, "2026-11-27T03:00:00Z", False),
        (replace(WEEKLY, interval=2), "2026-11-28T03:00:00Z", None),
        (replace(WEEKLY, interval=2, start_date="2026-11-11"), "2026-11-28T03:00:00Z", True),
        (replace(WEEKLY, interval=2, start_date="2026-11-18"), "2026-11-28T03:00:00Z", False),
        (MONTHLY, "2026-11-15T01:00:00Z", True),
        (MONTHLY, "2026-11-16T01:00:00Z", False),
        (replace(MONTHLY, interval=3), "2026-11-15T01:00:00Z", None),
        (replace(MONTHLY, interval=3, start_date="2026-08-01"), "2026-11-15T01:00:00Z", True),
        (RELATIVE, "2026-11-02T01:00:00Z", True),
        (RELATIVE, "2026-11-09T01:00:00Z", False),
        (replace(RELATIVE, week_index="Second"), "2026-11-09T01:00:00Z", True),
        (replace(RELATIVE, week_index="Last"), "2026-11-30T01:00:00Z", True),
        (replace(RELATIVE, week_index="Last"), "2026-11-23T01:00:00Z", False),
        (replace(RELATIVE, week_index="Fifth"), "2026-11-30T01:00:00Z", False),
    ],
)
def test_open(window: MaintenanceWindow, now: str, *, is_open: bool | None) -> None:
    assert opened((window,), now) is is_open


def test_one_open_window_is_enough_and_none_is_closed() -> None:
    now = "2026-11-24T09:00:00Z"
    unknown = replace(DAILY, schedule="yearly")
    assert opened((unknown, HOURS), now) is True
    assert opened((unknown, WEEKLY), now) is None
    assert opened((), now) is False


def test_in_words() -> None:
    assert HOURS.words == "default: Tuesday 09:00, Tuesday 10:00 (UTC)"
    many = replace(HOURS, hours=tuple(("Sunday", hour) for hour in range(6)))
    assert many.words == "default: Sunday 00:00, Sunday 01:00, Sunday 02:00, Sunday 03:00 … (UTC)"
    assert DAILY.words == "nodes: daily, 23:00 for 4 h (+00:00)"
    assert WEEKLY.words == "nodes: weekly, Saturday, 02:00 for 4 h (+00:00)"
    assert MONTHLY.words == "nodes: absoluteMonthly, 15, 00:00 for 4 h (+00:00)"
    assert RELATIVE.words == "nodes: relativeMonthly, First Monday, 00:00 for 8 h (+00:00)"


@pytest.mark.parametrize(
    ("window", "now", "is_open"),
    [
        (TUESDAY, "2026-11-24T14:30:00+05:00", True),
        (TUESDAY, "2026-11-24T09:30:00+05:00", False),
        (replace(DAILY, utc_offset=""), "2026-11-24T23:00:00Z", True),
        (DAILY, "2026-11-25T04:00:00+05:00", True),
        (DAILY, "2026-11-24T23:00:00+05:00", False),
        (replace(DAILY, utc_offset="+02:00"), "2026-11-24T20:59:00Z", False),
        (replace(DAILY, utc_offset="+02:00"), "2026-11-25T00:59:00Z", True),
        (replace(DAILY, utc_offset="+02:00"), "2026-11-25T01:00:00Z", False),
        (replace(DAILY, utc_offset="-02:00"), "2026-11-25T01:00:00Z", True),
        (replace(DAILY, start_date="2026-11-24"), "2026-11-24T23:30:00Z", True),
        # what is not allowed: a day to its end, a moment to the moment, its first instant among it
        (replace(TUESDAY, not_allowed=(("2026-11-24", "2026-11-24"),)), "2026-11-24T09:30:00Z", False),
        (replace(TUESDAY, not_allowed=(("2026-11-23", "2026-11-23"),)), "2026-11-24T09:30:00Z", True),
        (
            replace(TUESDAY, not_allowed=(("2026-11-24T09:30:00Z", "2026-11-24T09:40:00Z"),)),
            "2026-11-24T09:30:00Z",
            False,
        ),
        (
            replace(TUESDAY, not_allowed=(("2026-11-24T09:20:00Z", "2026-11-24T09:30:00Z"),)),
            "2026-11-24T09:30:00Z",
            True,
        ),
        (
            replace(TUESDAY, not_allowed=(("2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z"),)),
            "2026-11-24T09:30:00Z",
            True,
        ),
        (
            replace(TUESDAY, not_allowed=(("2026-11-24T09:00:00+05:00", "2026-11-24T09:00:00+05:00"),)),
            "2026-11-24T09:30:00Z",
            True,
        ),
        (
            replace(TUESDAY, not_allowed=(("2026-11-24T14:00:00+05:00", "2026-11-24T15:00:00+05:00"),)),
            "2026-11-24T09:30:00Z",
            False,
        ),
        (
            replace(TUESDAY, not_allowed=(("2020-01-01", "2020-01-02"), ("2026-11-24", "2026-11-25"))),
            "2026-11-24T09:30:00Z",
            False,
        ),
        # weeks of a month
        (RELATIVE, "2026-06-01T01:00:00Z", True),
        (RELATIVE, "2026-09-07T01:00:00Z", True),
        (replace(RELATIVE, week_index="Second"), "2026-06-08T01:00:00Z", True),
        (replace(RELATIVE, week_index="Second"), "2026-09-14T01:00:00Z", True),
        (replace(RELATIVE, week_index="Second"), "2026-09-07T01:00:00Z", False),
        (replace(RELATIVE, week_index="Fourth"), "2026-06-22T01:00:00Z", True),
        (replace(RELATIVE, week_index="Last"), "2026-06-22T01:00:00Z", False),
        (replace(RELATIVE, week_index="Sometime"), "2026-06-01T01:00:00Z", False),
        (replace(RELATIVE, week_index="Sometime"), "2026-06-08T01:00:00Z", False),
        (replace(RELATIVE, interval=2), "2026-11-02T01:00:00Z", None),
        (replace(RELATIVE, interval=2, start_date="2026-09-01"), "2026-11-02T01:00:00Z", True),
        (replace(RELATIVE, interval=2, start_date="2026-10-01"), "2026-11-02T01:00:00Z", False),
        # months and weeks from the beginning on, over the turn of a year
        (replace(FIFTEENTH, interval=3, start_date="2025-11-01"), "2026-11-15T01:00:00Z", True),
        (replace(FIFTEENTH, interval=5, start_date="2025-12-01"), "2026-11-15T01:00:00Z", False),
        (replace(FIFTEENTH, interval=11, start_date="2025-12-01"), "2026-11-15T01:00:00Z", True),
        (replace(FIFTEENTH, interval=7, start_date="2025-12-01"), "2026-07-15T01:00:00Z", True),
        (replace(WEEKLY, interval=2, start_date="2026-11-14"), "2026-11-28T03:00:00Z", True),
        (replace(WEEKLY, interval=2, start_date="2026-11-09"), "2026-11-28T03:00:00Z", True),
        (replace(WEEKLY, interval=2, start_date="2026-11-15"), "2026-11-28T03:00:00Z", True),
        (replace(WEEKLY, interval=3, start_date="2026-11-15"), "2026-11-28T03:00:00Z", False),
        (replace(WEEKLY, interval=3, start_date="2026-11-08"), "2026-11-28T03:00:00Z", True),
    ],
)
def test_a_window_to_the_minute(window: MaintenanceWindow, now: str, is_open: bool | None) -> None:
    assert opened((window,), now) is is_open


@pytest.fixture
def in_india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows another time zone than UTC."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_india")
def test_the_machine_s_own_time_zone_changes_nothing() -> None:
    assert opened((TUESDAY,), "2026-11-24T09:30:00Z") is True
    assert opened((DAILY,), "2026-11-24T23:30:00Z") is True
    assert opened((DAILY,), "2026-11-24T18:00:00Z") is False
    assert stamp(datetime(2026, 11, 24, 10, tzinfo=UTC)) == "2026-11-24T10:00:00Z"
    assert moment("2026-11-24T10:00:00Z").tzinfo is UTC


def test_hours_beyond_the_fourth_are_left_out() -> None:
    four = replace(TUESDAY, hours=tuple(("Tuesday", hour) for hour in range(4)))
    assert four.words == "default: Tuesday 00:00, Tuesday 01:00, Tuesday 02:00, Tuesday 03:00 (UTC)"
