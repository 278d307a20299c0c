"""One token bucket: its burst and its rate, requests in flight, a share of it, and what Azure says about it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_entra.adapters.http.token_bucket import TokenBucket


def bucket(*, burst: float = 3, rate: float = 2, share: float = 1.0) -> TokenBucket:
    return TokenBucket(burst, rate, now=0.0, share=share)


def send(one: TokenBucket, now: float, *, answered: bool = True) -> None:
    assert one.wait(now) == 0
    one.take(now)
    if answered:
        one.answered(now)


def test_a_bucket_allows_a_burst_and_then_its_rate() -> None:
    one = bucket()
    for _ in range(3):
        send(one, 10.0)
    assert one.wait(10.0) == 0.5
    send(one, 10.5)
    assert one.wait(10.5) == 0.5
    send(one, 12.0)
    send(one, 12.0)
    assert one.missing(12.0) == pytest.approx(2.0)


def test_a_request_without_an_answer_keeps_its_token_however_long_it_takes() -> None:
    one = bucket()
    for _ in range(3):
        send(one, 0.0, answered=False)
    assert one.wait(100.0) == math.inf
    one.answered(100.0)
    assert one.wait(100.0) == 0.5


def test_azures_wish_to_wait_empties_the_bucket() -> None:
    one = bucket()
    one.block(0.0, 7.0)
    one.block(0.0, 5.0)
    assert one.blocked(1.0) == 6.0
    assert one.wait(1.0) == 6.0
    send(one, 7.0)
    assert one.wait(7.0) == 0.5


def test_after_a_wait_that_azure_asked_for_all_processes_together_have_one_token() -> None:
    one = bucket(burst=10, rate=2, share=0.5)
    one.block(0.0, 7.0)
    assert one.wait(0.0) == 7.5  # half a token, and half a second for the other half
    send(one, 7.5)


def test_a_larger_share_fills_with_its_rate_and_a_smaller_one_loses_what_does_not_fit() -> None:
    one = bucket(burst=10, rate=1)
    one.resize(0.0, 0.2)
    assert (one.share, one.missing(0.0)) == (0.2, 0)
    one.resize(0.0, 1.0)
    assert one.missing(0.0) == 8.0
    one.resize(0.0, 0.0)
    assert one.wait(1000.0) == math.inf
    one.fill(1000.0, 5.0)
    assert one.wait(2000.0) == math.inf


def test_what_azure_says_is_left_counts_if_it_is_less_than_expected() -> None:
    one = bucket(burst=10, rate=1)
    one.take(0.0)
    one.know(0.0, 100)
    one.answered(0.0)
    assert one.missing(0.0) == 1
    one.take(0.0)
    one.know(0.0, 2)  # somebody else sends requests too
    one.answered(0.0)
    assert one.missing(0.0) == 8


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, 1.0, 5.0]), st.sampled_from([0.0, 1.0, 10.0]), st.sampled_from([0.0, 1.0])
        ),
        max_size=60,
    ),
    st.sampled_from([0.5, 1.0, 10.0]),
    st.integers(2, 4),
)
def test_azures_bucket_never_overflows_whenever_it_counts_a_request_until_its_answer(
    requests: list[tuple[float, float, float]], rate: float, burst: int
) -> None:
    """Each request: the pause before it, how long its answer takes, and when in this time Azure counts it."""
    one, now, counted = bucket(burst=burst, rate=rate), 0.0, []
    answers: list[float] = []
    for pause, took, when in requests:
        now += pause
        for at in sorted(answer for answer in answers if answer <= now):
            one.answered(at)
        answers = [answer for answer in answers if answer > now]
        if one.wait(now) == 0:
            one.take(now)
            answers.append(now + took)
            counted.append(now + when * took)
    level, before = float(burst), 0.0
    for at in sorted(counted):
        level = min(burst, level + (at - before) * rate) - 1
        before = at
        assert level >= -1e-6
