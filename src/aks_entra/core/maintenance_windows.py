"""A cluster's maintenance windows (`maintenanceConfigurations`), in which its owner allows interruptions.

Names and values are ARM's. Times of the `default` configuration are in UTC, and those of a schedule at its `utcOffset`.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKS: Final = {"first": 0, "second": 1, "third": 2, "fourth": 3}
_SCHEDULES: Final = ("daily", "weekly", "absoluteMonthly", "relativeMonthly")
_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d)")
_WEEK: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceWindow:
    """One maintenance configuration. The one named default has `hours`; others have a `schedule` with its values."""

    name: str
    hours: tuple[tuple[str, int], ...] = ()  # (day, hour in UTC)
    schedule: str = ""  # daily | weekly | absoluteMonthly | relativeMonthly
    interval: int = 1  # in the schedule's days, weeks or months, counted from `start_date`
    day_of_week: str = ""
    day_of_month: int = 0
    week_index: str = ""  # First … Fourth, Last
    duration_hours: int = 0
    utc_offset: str = "+00:00"
    start_date: str = ""  # 2026-11-01
    start_time: str = "00:00"
    not_allowed: tuple[tuple[str, str], ...] = ()  # [start, end): dates (whole days, the last included) or moments

    @property
    def words(self) -> str:
        """`aksManagedAutoUpgradeSchedule: weekly, Saturday, 02:00 for 4 h (+01:00)`."""
        if self.hours:
            times = [f"{day} {hour:02}:00" for day, hour in self.hours]
            return f"{self.name}: {', '.join(times[:4])}{' …' if len(times) > 4 else ''} (UTC)"  # noqa: PLR2004 - enough to recognize it
        when = self.week_index, self.day_of_week, str(self.day_of_month or "")
        day = " ".join(part for part in when if part)
        return (
            f"{self.name}: {self.schedule}{f', {day}' if day else ''}, {self.start_time} for {self.duration_hours} h "
            f"({self.utc_offset})"
        )


def opened(windows: tuple[MaintenanceWindow, ...], now: str) -> bool | None:
    """Whether one of the windows is open at `now` (ISO 8601). Returns None if that is not known."""
    moment = datetime.fromisoformat(now)
    found = [_open(window, moment) for window in windows]
    if True in found:
        return True
    return None if None in found else False


def _open(window: MaintenanceWindow, moment: datetime) -> bool | None:
    if window.hours:
        utc = moment.astimezone(UTC)
        hour = (WEEKDAYS[utc.weekday()], utc.hour)
        return hour in {(day.casefold(), at) for day, at in window.hours} and not _barred(window, utc)
    offset = _OFFSET.fullmatch(window.utc_offset or "+00:00")
    if offset is None or window.schedule not in _SCHEDULES or not window.duration_hours:
        return None
    shift = timedelta(hours=int(offset[2]), minutes=int(offset[3])) * (-1 if offset[1] == "-" else 1)
    local = moment.astimezone(UTC).replace(tzinfo=None) + shift
    begins = time.fromisoformat(window.start_time)
    found: list[bool | None] = []
    for day in (local.date(), local.date() - timedelta(days=1)):
        start = datetime.combine(day, begins)
        if start <= local < start + timedelta(hours=window.duration_hours):
            found.append(_occurs(window, day))
    if True in found:
        return not _barred(window, local.replace(tzinfo=UTC))
    return None if None in found else False


def _barred(window: MaintenanceWindow, moment: datetime) -> bool:
    for start, end in window.not_allowed:
        first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
        until = last + timedelta(days=1) if len(end) == len("2026-11-01") else last
        if _aware(first) <= moment < _aware(until):
            return True
    return False


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _occurs(window: MaintenanceWindow, day: date) -> bool | None:
    """Whether the schedule occurs on a day. Returns None if its interval counts from an unknown date."""
    if window.start_date and day < date.fromisoformat(window.start_date):
        return False
    match window.schedule:
        case "daily":
            hit, passed = True, _days_since(window, day)
        case "weekly":
            hit, passed = WEEKDAYS[day.weekday()] == window.day_of_week.casefold(), _weeks_since(window, day)
        case "absoluteMonthly":
            hit, passed = day.day == window.day_of_month, _months_since(window, day)
        case _:  # relativeMonthly
            hit = WEEKDAYS[day.weekday()] == window.day_of_week.casefold() and _in_week(window, day)
            passed = _months_since(window, day)
    if not hit or window.interval == 1:
        return hit
    return None if passed is None else passed % window.interval == 0


def _in_week(window: MaintenanceWindow, day: date) -> bool:
    if window.week_index.casefold() == "last":
        return day.day + _WEEK > monthrange(day.year, day.month)[1]
    return (day.day - 1) // _WEEK == _WEEKS.get(window.week_index.casefold())


def _start(window: MaintenanceWindow) -> date | None:
    return date.fromisoformat(window.start_date) if window.start_date else None


def _days_since(window: MaintenanceWindow, day: date) -> int | None:
    start = _start(window)
    return None if start is None else (day - start).days


def _weeks_since(window: MaintenanceWindow, day: date) -> int | None:
    start = _start(window)
    if start is None:
        return None
    monday = start - timedelta(days=start.weekday())
    return (day - monday).days // _WEEK


def _months_since(window: MaintenanceWindow, day: date) -> int | None:
    start = _start(window)
    return None if start is None else (day.year - start.year) * 12 + day.month - start.month
