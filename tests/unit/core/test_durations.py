"""Spans and moments of time, as people, ISO 8601 and Azure write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_entra.core.durations import iso, moment, span, stamp


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("45m", timedelta(minutes=45)),
        ("2h", timedelta(hours=2)),
        ("1d12h", timedelta(hours=36)),
        ("PT8H", timedelta(hours=8)),
    ],
)
def test_a_span_is_read_as_people_and_graph_write_it(text: str, wanted: timedelta) -> None:
    assert span(text) == wanted


@pytest.mark.parametrize("text", ["", "2", "0h", "P1W", "2 hours", "-2h"])
def test_anything_else_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="no span of time"):
        span(text)


@given(st.integers(min_value=1, max_value=400 * 86400))
def test_iso_is_read_back_and_has_no_weeks(seconds: int) -> None:
    text = iso(timedelta(seconds=seconds))
    assert span(text) == timedelta(seconds=seconds)
    assert "W" not in text
    assert ":" not in text


def test_times_are_to_the_second_and_have_a_zone() -> None:
    assert iso(timedelta()) == "PT0S"
    at = datetime(2026, 11, 24, 10, 0, 0, 5, tzinfo=UTC)
    assert stamp(at) == "2026-11-24T10:00:00Z"
    assert moment(stamp(at)) == at.replace(microsecond=0)
    with pytest.raises(ValueError, match="no time zone"):
        moment("2026-11-24T10:00:00")


EAST = timezone(timedelta(hours=5))


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=2), "P2D"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "P1DT2H3M4S"),
        (timedelta(minutes=90), "PT1H30M"),
        (timedelta(seconds=59), "PT59S"),
    ],
)
def test_a_span_in_iso_8601(length: timedelta, text: str) -> None:
    assert iso(length) == text


def test_times_are_told_in_utc_wherever_they_were_told() -> None:
    there = datetime(2026, 11, 24, 15, tzinfo=EAST)
    assert stamp(there) == "2026-11-24T10:00:00Z"
    read = moment("2026-11-24T15:00:00+05:00")
    assert (read, read.tzinfo) == (there, UTC)
