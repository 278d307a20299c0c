"""Requests wait for the tokens of their buckets, in the order in which they came, and learn from Azure's answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from azure.core.pipeline import PipelineContext, PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy
from azure.core.rest import HttpRequest

from aks_entra.adapters.http.pacing import Buckets, PacingPolicy

SUBSCRIPTION = "/subscriptions/a"
POOLS = f"{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/x/agentPools"


@dataclass
class Response:
    status_code: int
    headers: dict[str, str]


class Azure(AsyncHTTPPolicy[Any, Any]):
    """Answers each request in the same way."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__()
        self._response = Response(status, headers)

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        return PipelineResponse(request, self._response, PipelineContext(None))


async def ask(
    buckets: Buckets, method: str, path: str, headers: dict[str, str] | None = None, *, status: int = 200
) -> None:
    policy = PacingPolicy(buckets)
    policy.next = Azure(status, headers or {})
    await policy.send(
        PipelineRequest(HttpRequest(method, f"https://management.azure.com{path}"), PipelineContext(None))
    )


async def test_requests_wait_in_their_order_until_this_process_has_a_part_of_the_bucket() -> None:
    buckets, sent = Buckets(1.0, lambda: 0.0, shared=True), []

    async def request(number: int) -> None:
        async with buckets.turn("GET", POOLS):
            sent.append(number)

    requests = [asyncio.create_task(request(number)) for number in range(4)]
    await buckets.touched.wait()
    requests[1].cancel()
    await asyncio.wait(requests[1:2])
    assert sent == []
    buckets.hear(buckets.state(), ())
    await asyncio.gather(*requests[:1], *requests[2:])
    assert sent == [0, 2, 3]
    assert [line.waiting for line in buckets.of("GET", POOLS)] == [0, 0]


async def test_a_request_leaves_when_an_answer_makes_room() -> None:
    buckets = Buckets(1.0, lambda: 0.0)
    front, narrow = buckets.of("GET", POOLS)
    for _ in range(48):
        narrow.bucket.take(0.0)
    waiting = asyncio.create_task(ask(buckets, "GET", POOLS))
    for _ in range(3):
        await asyncio.sleep(0)
    assert (front.waiting, narrow.waiting) == (1, 1)
    narrow.bucket.answered(0.0)
    narrow.bucket.fill(0.0, 1.0)
    narrow.changed()
    await waiting
    assert (front.bucket.in_flight, narrow.bucket.in_flight) == (0, 47)


@pytest.mark.parametrize(
    ("method", "headers", "missing"),
    [
        ("GET", {"x-ms-ratelimit-remaining-subscription-reads": "249"}, 1),
        ("GET", {"x-ms-ratelimit-remaining-subscription-reads": "20"}, 180),
        ("GET", {"x-ms-ratelimit-remaining-tenant-reads": "20"}, 180),
        ("GET", {"x-ms-ratelimit-remaining-subscription-reads": "few"}, 1),
        ("GET", {"x-ms-ratelimit-remaining-subscription-writes": "20"}, 1),
        ("DELETE", {"x-ms-ratelimit-remaining-subscription-deletes": "20"}, 140),
        ("POST", {"x-ms-ratelimit-remaining-subscription-writes": "1199"}, 1),
        ("GET", {}, 1),
    ],
)
async def test_what_arm_says_is_left_counts_if_others_have_taken_more(
    method: str, headers: dict[str, str], missing: float
) -> None:
    buckets = Buckets(1.0, lambda: 0.0)
    await ask(buckets, method, SUBSCRIPTION, headers)
    assert buckets.of(method, SUBSCRIPTION)[0].bucket.missing(0.0) == missing


@pytest.mark.parametrize(("headers", "blocked"), [({"x-ms-failure-cause": "gateway"}, [9, 0]), ({}, [0, 9])])
async def test_a_429_empties_the_bucket_of_the_service_that_answered(
    headers: dict[str, str], blocked: list[float]
) -> None:
    buckets = Buckets(1.0, lambda: 0.0)
    await ask(buckets, "GET", POOLS, {**headers, "Retry-After": "9"}, status=429)
    assert [line.bucket.blocked(0.0) for line in buckets.of("GET", POOLS)] == blocked
