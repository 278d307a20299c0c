"""When the last cluster of a stage ends."""

from __future__ import annotations

import pytest

from aks_entra.core.estimate.limits import AKS_REST, ARM_READS
from aks_entra.core.estimate.schedule import Buckets, Part, Slot, ends_at


def lasts(seconds: float) -> tuple[Part]:
    return (Part(seconds),)


@pytest.mark.parametrize(
    ("clusters", "at_once", "ends"),
    [(0, 5, 100), (1, 5, 110), (5, 5, 110), (6, 5, 120), (11, 5, 130), (3, 1, 130)],
)
def test_clusters_take_turns(clusters: int, at_once: int, ends: float) -> None:
    assert ends_at([Slot(lasts(10))] * clusters, begins=100, at_once=at_once) == ends


def test_the_next_free_place_is_taken_at_once() -> None:
    assert ends_at([Slot(lasts(30)), Slot(lasts(10)), Slot(lasts(10)), Slot(lasts(10))], begins=0, at_once=2) == 30


def test_a_subscription_with_many_clusters_does_not_hold_back_the_others() -> None:
    slots = [*[Slot(lasts(10), "a")] * 3, *[Slot(lasts(10), "b")] * 3]
    assert ends_at(slots, begins=0, at_once=4, per_subscription=1) == 30
    assert ends_at(slots, begins=0, at_once=4, per_subscription=3) == 20
    assert ends_at(slots, begins=0, at_once=4) == 20


def test_clusters_at_work_hold_their_places() -> None:
    slots = [Slot(lasts(5), "a", running=True), Slot(lasts(7), "b", running=True), Slot(lasts(10), "a")]
    assert ends_at(slots, begins=0, at_once=1) == 17
    assert ends_at(slots, begins=0, at_once=3, per_subscription=1) == 15


def test_a_cluster_waits_for_its_window_on_its_place() -> None:
    assert ends_at([Slot(lasts(10), opens=lambda at: max(at, 50.0)), Slot(lasts(10))], begins=0, at_once=1) == 70
    assert ends_at([Slot(lasts(10), opens=lambda _: None), Slot(lasts(10))], begins=0, at_once=1) is None


def test_requests_wait_for_the_bucket_of_their_subscription_in_the_order_in_which_they_come() -> None:
    parts = (Part(10, {AKS_REST: 48}), Part(5, {AKS_REST: 8, ARM_READS: 1}))
    assert ends_at([Slot(parts)], begins=100, at_once=1) == 115  # nothing waits
    one = ends_at([Slot(parts)], begins=100, at_once=1, buckets=Buckets())
    assert one == 115  # the bucket has 8 more after 10 s
    assert ends_at([Slot(parts, "a"), Slot(parts, "b")], begins=100, at_once=2, buckets=Buckets()) == 115
    buckets = Buckets()
    assert ends_at([Slot(parts, "a")] * 2, begins=100, at_once=2, buckets=buckets) == pytest.approx(185)
    assert buckets.slowest == AKS_REST
    assert ends_at([Slot(parts, "a")] * 2, begins=100, at_once=2, buckets=Buckets(rate=10)) == pytest.approx(121)
    assert Buckets().slowest is None
