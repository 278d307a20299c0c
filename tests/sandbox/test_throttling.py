"""Token buckets: every answer says what is left, and a sandbox that throttles refuses as ARM and AKS do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from azure_sandbox.arm.service import ArmSettings
from azure_sandbox.arm.spec import ClusterSpec
from azure_sandbox.clock import Clock
from tests.sandbox.arm_desk import GROUP, OPERATOR, SCOPE, SUBSCRIPTION, Desk, cluster_id

CLUSTERS = "providers/Microsoft.ContainerService/managedClusters"
CLUSTER = cluster_id("shop-01")


def standing() -> Clock:
    """A clock that moves only when it is told to."""
    now = datetime.now(UTC)
    return Clock(pace=1, source=lambda: now)


@pytest.fixture(name="desk")
def a_desk() -> Desk:
    return Desk(ClusterSpec(name="shop-01"), settings=ArmSettings(throttling=True), clock=standing())


async def test_answers_count_down_for_caller_and_subscription(desk: Desk) -> None:
    first = await desk.send("GET", GROUP)
    assert first.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
    assert first.headers["x-ms-ratelimit-remaining-subscription-global-reads"] == "3749"
    kubeconfig = await desk.send("POST", f"{CLUSTER}/listClusterUserCredential")
    assert kubeconfig.headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"
    assert kubeconfig.headers["x-ms-ratelimit-remaining-subscription-global-writes"] == "2999"
    deleted = await desk.send("DELETE", f"{GROUP}/{CLUSTERS}/none")
    assert deleted.headers["x-ms-ratelimit-remaining-subscription-deletes"] == "199"
    everywhere = await desk.send("GET", "/subscriptions")
    assert everywhere.headers["x-ms-ratelimit-remaining-tenant-reads"] == "249"


async def test_the_front_door_refuses_in_its_own_words_and_lets_in_again(desk: Desk) -> None:
    for _ in range(250):
        await desk.send("GET", GROUP)
    refused = await desk.send("GET", GROUP)
    assert (refused.status, refused.body) == (
        429,
        {
            "error": {
                "code": "SubscriptionRequestsThrottled",
                "message": (
                    f"Number of 'read' requests for subscription '{SUBSCRIPTION}' actor '{OPERATOR}' exceeded. "
                    "Please try again after '1' seconds."
                ),
            }
        },
    )
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-ms-failure-cause"] == "gateway"
    desk.speaker = desk.outsider
    assert (await desk.refused("GET", GROUP))[0] == 403  # another caller has a share of their own
    desk.speaker = desk.operator
    desk.clock.advance(timedelta(seconds=1))
    assert (await desk.send("GET", GROUP)).status == 200


@pytest.mark.parametrize(
    ("method", "target", "burst", "wait"),
    [
        ("GET", CLUSTER, 60, 1),
        ("GET", f"{GROUP}/{CLUSTERS}", 60, 1),
        ("PUT", CLUSTER, 20, 60),
        ("PUT", f"{CLUSTER}/agentPools/nodepool1", 20, 60),
        ("POST", f"{CLUSTER}/listClusterUserCredential", 60, 1),
    ],
)
async def test_each_bucket_of_aks(desk: Desk, method: str, target: str, burst: int, wait: int) -> None:
    sent: Any = {} if method == "PUT" else None
    for _ in range(burst):
        assert (await desk.send(method, target, sent)).status != 429
    refused = await desk.send(method, target, sent)
    assert (refused.status, refused.body["code"]) == (429, "Throttled")  # type: ignore[call-overload,index]
    assert int(refused.headers["retry-after"]) == wait
    desk.clock.advance(timedelta(seconds=wait + 1))
    assert (await desk.send(method, target, sent)).status != 429


async def test_lists_of_a_subscription_have_the_largest_bucket_and_polls_their_own(desk: Desk) -> None:
    started = await desk.send("POST", f"{CLUSTER}/stop")
    for _ in range(200):
        await desk.status_of(started)
    assert (await desk.refused("GET", started.headers["azure-asyncoperation"]))[:2] == (429, "Throttled")
    assert (await desk.send("GET", f"{SCOPE}/{CLUSTERS}")).status == 200


async def test_each_region_counts_by_itself() -> None:
    here, there = ClusterSpec(name="shop-01"), ClusterSpec(name="shop-02", location="northeurope")
    desk = Desk(here, there, settings=ArmSettings(throttling=True), clock=standing())
    for _ in range(60):
        assert (await desk.send("POST", f"{CLUSTER}/listClusterUserCredential")).status == 200
    assert (await desk.send("POST", f"{CLUSTER}/listClusterUserCredential")).status == 429
    assert (await desk.send("GET", f"{CLUSTER}/agentPools")).status == 429  # everything else has one bucket
    assert (await desk.send("POST", f"{cluster_id('shop-02')}/listClusterUserCredential")).status == 200
    versions = f"{SCOPE}/providers/Microsoft.ContainerService/locations/{{}}/kubernetesVersions"
    assert (await desk.send("GET", versions.format("westeurope"))).status == 429
    assert (await desk.send("GET", versions.format("northeurope"))).status == 200


async def test_without_the_setting_nothing_is_refused() -> None:
    desk = Desk(ClusterSpec(name="shop-01"), clock=standing())
    for _ in range(70):
        reply = await desk.send("GET", CLUSTER)
    assert reply.status == 200
    assert reply.headers["x-ms-ratelimit-remaining-subscription-reads"] == "180"
