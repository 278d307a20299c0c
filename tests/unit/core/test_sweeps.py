"""When a sweep is scheduled: one begins within five minutes of each end, and none where nothing is open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aks_entra.core.sweeps import ends_ahead, first_sweep, looks_again, missing_sweeps

NOW = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("ends", "scheduled", "missing"),
    [
        pytest.param([], [], [], id="nothing is open"),
        pytest.param([], [3], [], id="what is scheduled stays, and nothing is added"),
        pytest.param([60], [], [65], id="an end for which nobody scheduled a sweep"),
        pytest.param([60], [60], [], id="a sweep at the end itself"),
        pytest.param([60], [65], [], id="a sweep five minutes after the end"),
        pytest.param([60], [65.1], [65], id="a sweep later than that is too late"),
        pytest.param([60], [59.9], [65], id="a sweep before the end does nothing for it"),
        pytest.param([-90], [], [5], id="what could not be ended is tried again in five minutes"),
        pytest.param([-90], [2], [], id="another sweep tries it sooner"),
        pytest.param([-90], [-1], [5], id="a sweep of the past does not count"),
        pytest.param([0.1], [], [5.1], id="an end that the clock of a worker has not reached yet"),
        pytest.param([-90, -3, 2], [], [5], id="one sweep for everything that is over by then"),
        pytest.param([60, 20], [], [25, 65], id="each end that is further away, the sooner first"),
    ],
)
def test_a_sweep_is_scheduled_within_five_minutes_of_each_end(
    ends: list[float], scheduled: list[float], missing: list[float]
) -> None:
    assert missing_sweeps(map(at, ends), map(at, scheduled), NOW) == tuple(map(at, missing))


def test_what_nobody_waits_for_is_swept_at_its_end_and_the_rest_after_its_process_had_time() -> None:
    assert first_sweep(at(60), attended=False) == at(60)
    assert first_sweep(at(60), attended=True) == at(65)


def test_a_sweep_prepares_for_the_ends_ahead_and_for_its_own_death() -> None:
    assert ends_ahead([at(60), None, at(-4), at(-5), at(-600)], NOW) == (at(60), at(-4))


@pytest.mark.parametrize(
    ("ends", "again"),
    [([], False), ([None], False), ([1], False), ([0], True), ([-1439], True), ([-1440], False)],
)
def test_a_place_that_cannot_be_read_is_looked_at_again_for_a_day_after_an_end(
    ends: list[float | None], again: bool
) -> None:
    assert looks_again([None if one is None else at(one) for one in ends], NOW) is again
