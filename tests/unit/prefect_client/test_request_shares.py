"""What a process writes about its share of Azure's buckets, and what it does without Prefect's server."""

from __future__ import annotations

from pathlib import Path

import pytest

from aks_entra.adapters.http.retry_after import LONGEST
from aks_entra.adapters.http.shares import JOINING, Statement, Use
from aks_entra.prefect_client.request_shares import as_statement, as_value, request_shares
from tests.support.client_of_server import client_of

FAST = 1e6  # times the published rates, so that a small part is enough
NOBODY = "http://127.0.0.1:9/api"


def test_what_is_written_is_read_again() -> None:
    value = as_value({"k": Use(1 / 3, 12.4, 7.6)}, left=False)
    assert value == {"left": False, "buckets": {"k": [0.3333, 12, 8]}}
    assert as_statement("a", 5.0, value) == Statement(
        process="a", age=5.0, left=False, uses={"k": Use(0.3333, 12.0, 8.0)}
    )


@pytest.mark.parametrize(
    "value",
    [
        "text",
        7,
        None,
        {},
        {"left": False},
        {"left": False, "buckets": 7},
        {"left": False, "buckets": {"k": 7}},
        {"left": False, "buckets": {"k": ["x", 0, 0]}},
        {"left": False, "buckets": {"k": [True, 0, 0]}},
        {"left": False, "buckets": {"k": [1, 2, 3, 4]}},
    ],
)
def test_a_variable_that_somebody_else_wrote_takes_no_share(value: object) -> None:
    assert as_statement("a", 5.0, value) == Statement(process="a", age=5.0, left=True, uses={})


def test_a_variable_that_somebody_else_wrote_claims_one_bucket_and_two_minutes_at_most() -> None:
    said = as_statement("a", 5.0, {"left": False, "buckets": {"k": [9, 1, 1e9]}})
    assert said.uses == {"k": Use(1.0, 1.0, LONGEST)}


async def test_requests_go_on_without_prefects_server(tmp_path: Path) -> None:
    with client_of(NOBODY, "", tmp_path, {}):
        async with request_shares(FAST).used() as buckets, buckets.turn("GET", "/subscriptions/a") as lines:
            async with request_shares(FAST).used() as same:
                assert same is buckets
            assert [(line.bucket.share, line.bucket.in_flight) for line in lines] == [(JOINING / 2, 1)]
        async with request_shares(FAST).used() as again:
            assert again is buckets  # the next session of the process remembers what the first one sent
