"""Objects that a world declares in a cluster, and how clients read and watch them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec, WorkloadSpec
from azure_sandbox.cluster.declared import BudgetSpec, Declared, VolumeSpec, WebhookSpec
from azure_sandbox.cluster.machines import is_ready
from azure_sandbox.front.http import Reply
from tests.support.arm_client import LONG, ArmClient, cluster_id

SHOP = cluster_id("shop-01")
BUDGETS = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets"
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "closed", "namespace": "shop"},
    "spec": {"podSelector": {}},
}
DECLARED = Declared(
    budgets=(
        BudgetSpec(name="all", workload="web", namespace="shop", min_available="100%"),
        BudgetSpec(name="one", workload="web", namespace="shop", max_unavailable=1),
    ),
    webhooks=(WebhookSpec(name="gatekeeper", trusts_cluster=True), WebhookSpec(name="own-ca", kind="mutating")),
    volumes=(
        VolumeSpec(name="data", namespace="shop", zone="westeurope-1"),
        VolumeSpec(name="tmp", host_path="/var/cache"),
    ),
    objects=(POLICY,),
)


class ShopCluster:
    """One cluster and its admin."""

    def __init__(self) -> None:
        web = WorkloadSpec(name="web", namespace="shop", replicas=2)
        self.client = ArmClient(ClusterSpec(name="shop-01", nodes=2, workloads=(web,), declared=DECLARED))

    async def send(self, method: str, path: str, body: object = None, accept: str = "application/json") -> Reply:
        token = self.client.server("shop-01").generation.token
        return await self.client.kube("shop-01", method, path, body, token=token, headers={"accept": accept})

    async def items(self, path: str) -> list[dict[str, Any]]:
        reply = await self.send("GET", path)
        assert reply.status == 200, reply
        assert isinstance(reply.body, dict)
        found: list[dict[str, Any]] = reply.body["items"]
        return found

    async def watch(self, path: str, accept: str = "application/json") -> list[dict[str, Any]]:
        reply = await self.send("GET", path, accept=accept)
        assert (reply.status, reply.stream is not None) == (200, True), reply
        assert reply.stream is not None
        return [json.loads(line) async for line in reply.stream if line]


@pytest.fixture(name="shop")
def a_shop_cluster() -> ShopCluster:
    return ShopCluster()


async def test_budgets_count_the_pods_that_they_cover(shop: ShopCluster) -> None:
    budgets = await shop.items("/apis/policy/v1/poddisruptionbudgets")
    counted = {it["metadata"]["name"]: it["status"] for it in budgets}
    assert (counted["all"]["disruptionsAllowed"], counted["all"]["expectedPods"]) == (0, 2)
    assert (counted["one"]["disruptionsAllowed"], counted["one"]["desiredHealthy"]) == (1, 1)


async def test_a_budget_that_allows_no_disruption_fails_a_rotation(shop: ShopCluster) -> None:
    client = shop.client
    before, held = client.server("shop-01").generation, await client.held("shop-01")
    started = await client.send("POST", f"{SHOP}/rotateClusterCertificates")
    client.clock.advance(LONG)
    polled = (await client.send("GET", started.headers["azure-asyncoperation"])).body
    assert isinstance(polled, dict)
    assert (polled["status"], polled["error"]["code"]) == ("Failed", "UpgradeFailed")
    assert "failed with Too Many Requests error" in polled["error"]["message"]
    assert polled["error"]["message"].endswith(" blocked by pdb all with 0 unready pods.")
    assert (await client.get(SHOP))["properties"]["provisioningState"] == "Failed"
    assert client.server("shop-01").generation.token != before.token, "the keys were new already"
    assert (await client.kube("shop-01", "GET", "/api/v1/nodes", certificate=held[0])).status == 401
    nodes = await shop.items("/api/v1/nodes")
    assert not any(is_ready(it) for it in nodes)
    assert (await shop.send("DELETE", f"{BUDGETS}/all")).status == 200
    await client.finish(await client.send("POST", f"{SHOP}/rotateClusterCertificates"))
    assert all(is_ready(it) for it in await shop.items("/api/v1/nodes"))


async def test_such_a_budget_fails_a_node_image_upgrade_too(shop: ShopCluster) -> None:
    pool = f"{SHOP}/agentPools/nodepool1"
    before = (await shop.client.get(pool))["properties"]["nodeImageVersion"]
    started = await shop.client.send("POST", f"{pool}/upgradeNodeImageVersion")
    shop.client.clock.advance(LONG)
    assert await shop.client.status_of(started) == "Failed"
    assert (await shop.client.get(pool))["properties"]["nodeImageVersion"] == before


@pytest.mark.parametrize("spec", [{"minAvailable": "some"}, {"minAvailable": True}, {"maxUnavailable": "-1%"}, None])
async def test_an_invalid_budget_is_refused(shop: ShopCluster, spec: object) -> None:
    body = {"metadata": {"name": "odd"}, "spec": spec}
    assert (await shop.send("POST", BUDGETS, body)).status == 422


async def test_declared_volumes_have_claims_and_storage_classes(shop: ShopCluster) -> None:
    volumes = {it["spec"]["claimRef"]["name"]: it["spec"] for it in await shop.items("/api/v1/persistentvolumes")}
    assert volumes["data"]["nodeAffinity"]["required"]
    assert volumes["tmp"]["hostPath"]["path"] == "/var/cache"
    claims = await shop.items("/api/v1/persistentvolumeclaims")
    assert {it["status"]["phase"] for it in claims} == {"Bound"}
    classes = await shop.items("/apis/storage.k8s.io/v1/storageclasses")
    assert "managed-csi" in {it["metadata"]["name"] for it in classes}
    assert [it["metadata"]["name"] for it in await shop.items("/apis/networking.k8s.io/v1/networkpolicies")] == [
        "closed"
    ]


async def test_a_webhook_that_trusts_the_cluster_breaks_when_the_ca_is_replaced(shop: ShopCluster) -> None:
    kind = "/apis/admissionregistration.k8s.io/v1"
    (held,) = await shop.items(f"{kind}/validatingwebhookconfigurations")
    assert held["webhooks"][0]["clientConfig"]["caBundle"]
    (own,) = await shop.items(f"{kind}/mutatingwebhookconfigurations")
    assert "caBundle" not in own["webhooks"][0]["clientConfig"]
    assert (await shop.send("DELETE", f"{BUDGETS}/all")).status == 200
    await shop.client.finish(await shop.client.send("POST", f"{SHOP}/rotateClusterCertificates"))
    pods = await shop.items("/api/v1/namespaces/shop/pods")
    assert pods == []
    assert await shop.items("/api/v1/namespaces/kube-system/pods")
    gone = await shop.send("DELETE", f"{kind}/validatingwebhookconfigurations/gatekeeper")
    assert gone.status == 200


async def test_a_watch_sends_changes_until_its_timeout(shop: ShopCluster) -> None:
    listed = await shop.send("GET", "/api/v1/nodes")
    version = listed.body["metadata"]["resourceVersion"]  # type: ignore[call-overload,index]
    assert await shop.watch(f"/api/v1/nodes?watch=1&resourceVersion={version}&timeoutSeconds=0.01") == []
    assert (await shop.send("DELETE", f"{BUDGETS}/all")).status == 200
    await shop.client.finish(await shop.client.send("POST", f"{SHOP}/rotateClusterCertificates"))
    events = await shop.watch(f"/api/v1/nodes?watch=1&resourceVersion={version}&timeoutSeconds=0.01")
    kinds = [it["type"] for it in events]
    assert kinds.count("DELETED") == 2
    assert kinds.count("ADDED") == 2
    assert [int(it["object"]["metadata"]["resourceVersion"]) for it in events] == sorted(
        int(it["object"]["metadata"]["resourceVersion"]) for it in events
    )
    tables = await shop.watch(
        "/api/v1/nodes?watch=true&timeoutSeconds=0.01", accept="application/json;as=Table;v=v1;g=meta.k8s.io"
    )
    assert [(it["type"], it["object"]["kind"]) for it in tables] == [("ADDED", "Table")] * 2
    named = await shop.watch("/api/v1/namespaces/shop?watch=true&timeoutSeconds=0.01")
    assert [it["object"]["metadata"]["name"] for it in named] == ["shop"]


async def test_a_watch_with_an_old_version_or_wrong_options_is_refused(shop: ShopCluster) -> None:
    (event,) = await shop.watch("/api/v1/nodes?watch=1&resourceVersion=1&timeoutSeconds=0.01")
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    assert (await shop.send("GET", "/api/v1/nodes?watch=1&resourceVersion=x")).status == 400
    assert (await shop.send("GET", "/api/v1/nodes?watch=1&fieldSelector=spec.odd%3D1")).status == 400
    assert (await shop.send("GET", "/api/v1/nodes?watch=1&sendInitialEvents=true")).status == 422
    assert (await shop.send("GET", "/api/v1/namespaces/shop/pods/web/log")).status == 501


async def test_a_webhook_that_cannot_be_called_blocks_writes(shop: ShopCluster) -> None:
    await shop.send("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/gatekeeper")
    watching = WebhookSpec(name="config", resources=("configmaps",), trusts_cluster=True)
    client = ArmClient(ClusterSpec(name="shop-01", declared=Declared(webhooks=(watching,))))
    made = {"metadata": {"name": "a"}}
    path = "/api/v1/namespaces/default/configmaps"
    assert (
        await client.kube("shop-01", "POST", path, made, token=client.server("shop-01").generation.token)
    ).status == 201
    await client.finish(await client.send("POST", f"{SHOP}/rotateClusterCertificates"))
    made = {"metadata": {"name": "b"}}
    refused = await client.kube("shop-01", "POST", path, made, token=client.server("shop-01").generation.token)
    assert refused.status == 500
    assert isinstance(refused.body, dict)
    assert refused.body["message"].startswith(
        'Internal error occurred: failed calling webhook "config.sandbox.example"'
    )


def test_a_world_with_an_unmodelled_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="v1 Widget is not modelled"):
        ArmClient(ClusterSpec(name="a", declared=Declared(objects=({"apiVersion": "v1", "kind": "Widget"},))))
