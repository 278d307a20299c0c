"""The scale sets of the nodes: what somebody puts on them is there until a rotation recreates them."""

from __future__ import annotations

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec, PoolSpec
from azure_sandbox.arm.service import ArmSettings
from tests.support.arm_client import ADMINS, GROUP, SCOPE, ArmClient, cluster_id

CLUSTER = cluster_id("shop-01")
SETS = f"{SCOPE}/resourceGroups/MC_shop-weu_shop-01_westeurope/providers/Microsoft.Compute/virtualMachineScaleSets"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/pods"


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    pools = (PoolSpec(name="system"), PoolSpec(name="user", mode="User"))
    shop = ClusterSpec(name="shop-01", identity="managed", admin_groups=(ADMINS,), pools=pools)
    return ArmClient(shop, settings=ArmSettings(page_size=1))


async def test_a_scale_set_is_listed_for_each_pool_and_named_as_its_nodes(client: ArmClient) -> None:
    found = (await client.get(SETS))["value"]
    assert [it["tags"]["aks-managed-poolName"] for it in found] == ["system", "user"]
    nodes = [name for _, name in client.server("shop-01").machines.wanted()]
    assert all(any(node.startswith(it["name"]) for node in nodes) for it in found)
    kubelet = (await client.get(CLUSTER))["properties"]["identityProfile"]["kubeletidentity"]["resourceId"]
    assert list(found[0]["identity"]["userAssignedIdentities"]) == [kubelet]
    assert await client.get(f"{SETS}/{found[0]['name'].upper()}") == found[0]
    assert (await client.refused("GET", f"{SETS}/none"))[:2] == (404, "ResourceNotFound")


async def test_what_is_put_on_a_scale_set_is_gone_after_a_rotation(client: ArmClient) -> None:
    before = (await client.get(SETS))["value"]
    one = f"{SETS}/{before[0]['name']}"
    identity = {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    await client.send("PATCH", one, {"identity": identity, "tags": {"cost": "12"}})
    shown = await client.get(one)
    assert (IDENTITY in shown["identity"]["userAssignedIdentities"], shown["tags"]["cost"]) == (True, "12")
    assert (await client.refused("PATCH", one, {"sku": {}}))[0] == 501
    await client.finish(await client.send("POST", f"{CLUSTER}/rotateClusterCertificates"))
    assert (await client.get(SETS))["value"] == before


async def test_the_list_of_a_subscription_has_what_the_caller_may_read_page_by_page(client: ArmClient) -> None:
    everywhere = f"{SCOPE}/providers/Microsoft.Compute/virtualMachineScaleSets"
    there = (await client.get(SETS))["value"]
    first = await client.get(everywhere)
    assert first["value"] == there[:1]
    assert await client.get(first["nextLink"]) == {"value": there[1:]}
    assert (await client.refused("GET", f"{everywhere}?api-version=2024-07-01&$skiptoken=x"))[0] == 400
    client.caller = client.outsider
    assert (await client.refused("GET", everywhere))[:2] == (403, "AuthorizationFailed")
