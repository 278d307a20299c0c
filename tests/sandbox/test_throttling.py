"""Token buckets: every answer says what is left, and a sandbox that throttles refuses in the way of ARM and AKS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.arm.service import ArmSettings
from azure_sandbox.clock import Clock
from tests.support.arm_client import GROUP, OPERATOR, SCOPE, SUBSCRIPTION, ArmClient, cluster_id

CLUSTERS = "providers/Microsoft.ContainerService/managedClusters"
CLUSTER = cluster_id("shop-01")


def stopped_clock() -> Clock:
    """Return a clock that moves only when the test advances it."""
    now = datetime.now(UTC)
    return Clock(pace=1, source=lambda: now)


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01"), settings=ArmSettings(throttling=True), clock=stopped_clock())


async def test_answers_say_what_is_left_for_caller_and_subscription(client: ArmClient) -> None:
    first = await client.send("GET", GROUP)
    assert first.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
    assert first.headers["x-ms-ratelimit-remaining-subscription-global-reads"] == "3749"
    kubeconfig = await client.send("POST", f"{CLUSTER}/listClusterUserCredential")
    assert kubeconfig.headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"
    assert kubeconfig.headers["x-ms-ratelimit-remaining-subscription-global-writes"] == "2999"
    deleted = await client.send("DELETE", f"{GROUP}/{CLUSTERS}/none")
    assert deleted.headers["x-ms-ratelimit-remaining-subscription-deletes"] == "199"
    everywhere = await client.send("GET", "/subscriptions")
    assert everywhere.headers["x-ms-ratelimit-remaining-tenant-reads"] == "249"


async def test_arm_refuses_in_its_own_words_until_the_bucket_refills(client: ArmClient) -> None:
    for _ in range(250):
        await client.send("GET", GROUP)
    refused = await client.send("GET", GROUP)
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
    client.caller = client.outsider
    assert (await client.refused("GET", GROUP))[0] == 403  # another caller has another bucket
    client.caller = client.operator
    client.clock.advance(timedelta(seconds=1))
    assert (await client.send("GET", GROUP)).status == 200


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
async def test_each_bucket_of_aks(client: ArmClient, method: str, target: str, burst: int, wait: int) -> None:
    sent: Any = {} if method == "PUT" else None
    for _ in range(burst):
        assert (await client.send(method, target, sent)).status != 429
    refused = await client.send(method, target, sent)
    assert (refused.status, refused.body["code"]) == (429, "Throttled")  # type: ignore[call-overload,index]
    assert int(refused.headers["retry-after"]) == wait
    client.clock.advance(timedelta(seconds=wait + 1))
    assert (await client.send(method, target, sent)).status != 429


async def test_lists_of_a_subscription_have_the_largest_bucket_and_polls_their_own(client: ArmClient) -> None:
    started = await client.send("POST", f"{CLUSTER}/stop")
    for _ in range(200):
        await client.status_of(started)
    assert (await client.refused("GET", started.headers["azure-asyncoperation"]))[:2] == (429, "Throttled")
    assert (await client.send("GET", f"{SCOPE}/{CLUSTERS}")).status == 200


async def test_what_another_provider_serves_of_a_cluster_is_not_counted_at_aks(client: ArmClient) -> None:
    for _ in range(61):
        assert (await client.send("GET", f"{CLUSTER}/providers/Microsoft.Authorization/permissions")).status == 200
    assert (await client.send("POST", f"{CLUSTER}/listClusterUserCredential")).status == 200


async def test_each_region_has_its_own_quota() -> None:
    here, there = ClusterSpec(name="shop-01"), ClusterSpec(name="shop-02", location="northeurope")
    client = ArmClient(here, there, settings=ArmSettings(throttling=True), clock=stopped_clock())
    for _ in range(60):
        assert (await client.send("POST", f"{CLUSTER}/listClusterUserCredential")).status == 200
    assert (await client.send("POST", f"{CLUSTER}/listClusterUserCredential")).status == 429
    assert (await client.send("GET", f"{CLUSTER}/agentPools")).status == 429  # all other requests share one bucket
    assert (await client.send("POST", f"{cluster_id('shop-02')}/listClusterUserCredential")).status == 200
    versions = f"{SCOPE}/providers/Microsoft.ContainerService/locations/{{}}/kubernetesVersions"
    assert (await client.send("GET", versions.format("westeurope"))).status == 429
    assert (await client.send("GET", versions.format("northeurope"))).status == 200


async def test_without_the_setting_no_request_is_refused() -> None:
    client = ArmClient(ClusterSpec(name="shop-01"), clock=stopped_clock())
    for _ in range(70):
        reply = await client.send("GET", CLUSTER)
    assert reply.status == 200
    assert reply.headers["x-ms-ratelimit-remaining-subscription-reads"] == "180"
