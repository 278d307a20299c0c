"""When the last cluster of a stage ends."""

from __future__ import annotations

import pytest

from aks_entra.core.estimate.schedule import Slot, ends_at


@pytest.mark.parametrize(
    ("clusters", "at_once", "ends"),
    [(0, 5, 100), (1, 5, 110), (5, 5, 110), (6, 5, 120), (11, 5, 130), (3, 1, 130)],
)
def test_clusters_take_turns(clusters: int, at_once: int, ends: float) -> None:
    assert ends_at([Slot(10)] * clusters, begins=100, at_once=at_once) == ends


def test_the_next_free_place_is_taken_at_once() -> None:
    assert ends_at([Slot(30), Slot(10), Slot(10), Slot(10)], begins=0, at_once=2) == 30


def test_a_subscription_with_many_clusters_does_not_hold_back_the_others() -> None:
    slots = [*[Slot(10, "a")] * 3, *[Slot(10, "b")] * 3]
    assert ends_at(slots, begins=0, at_once=4, per_subscription=1) == 30
    assert ends_at(slots, begins=0, at_once=4, per_subscription=3) == 20
    assert ends_at(slots, begins=0, at_once=4) == 20


def test_clusters_at_work_hold_their_places() -> None:
    slots = [Slot(5, "a", running=True), Slot(7, "b", running=True), Slot(10, "a")]
    assert ends_at(slots, begins=0, at_once=1) == 17
    assert ends_at(slots, begins=0, at_once=3, per_subscription=1) == 15


def test_a_cluster_waits_for_its_window_on_its_place() -> None:
    assert ends_at([Slot(10, opens=lambda at: max(at, 50.0)), Slot(10)], begins=0, at_once=1) == 70
    assert ends_at([Slot(10, opens=lambda _: None), Slot(10)], begins=0, at_once=1) is None
