"""Where nodes stand: networks and subnets with what is free in them, addresses, and the vCPUs of a region."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.capacity import size_of
from azure_sandbox.arm.spec import ClusterSpec, PoolSpec
from azure_sandbox.arm.state import Quota
from tests.sandbox.arm_desk import GROUP, OUTSIDER, SCOPE, SUBSCRIPTION, Desk, cluster_id

NETWORK = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/shop"
SUBNET = f"{NETWORK}/subnets/nodes"
USAGES = f"{SCOPE}/providers/Microsoft.Compute/locations/westeurope/usages"


@pytest.fixture(name="desk")
def a_desk() -> Desk:
    return Desk(ClusterSpec(name="shop-01", pools=(PoolSpec(name="nodepool1", count=3),)))


def network(*subnets: tuple[str, str], space: str = "10.1.0.0/16") -> dict[str, Any]:
    inner = [{"name": name, "properties": {"addressPrefix": prefix}} for name, prefix in subnets]
    return {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": [space]}, "subnets": inner}}


def cluster(count: int, *, plugin: str = "azure", **network_profile: Any) -> dict[str, Any]:
    pool = {"name": "nodepool1", "count": count, "mode": "System", "vnetSubnetID": SUBNET}
    return {
        "location": "westeurope",
        "properties": {
            "dnsPrefix": "x",
            "agentPoolProfiles": [pool],
            "networkProfile": {"networkPlugin": plugin, **network_profile},
        },
    }


async def test_nodes_and_their_pods_take_addresses_of_a_subnet(desk: Desk) -> None:
    assert (await desk.send("PUT", NETWORK, network(("nodes", "10.1.0.0/24")))).status == 201
    assert "ipConfigurations" not in (await desk.get(SUBNET))["properties"]
    made = await desk.send("PUT", cluster_id("shop-02"), cluster(2))
    await desk.finish(made)
    held = (await desk.get(SUBNET))["properties"]
    assert held["addressPrefix"] == "10.1.0.0/24"
    assert len(held["ipConfigurations"]) == 2 * 31
    (usage,) = (await desk.get(f"{NETWORK}/usages"))["value"]
    assert (usage["currentValue"], usage["limit"]) == (62, 251)
    overlay = await desk.send("PUT", cluster_id("shop-03"), cluster(2, networkPluginMode="overlay"))
    await desk.finish(overlay)
    assert len((await desk.get(SUBNET))["properties"]["ipConfigurations"]) == 2 * 31 + 2
    assert (await desk.refused("DELETE", SUBNET))[:2] == (400, "InUseSubnetCannotBeDeleted")
    for name in ("shop-02", "shop-03"):
        await desk.finish(await desk.send("DELETE", cluster_id(name)))
    assert (await desk.send("DELETE", SUBNET)).status == 200
    assert (await desk.send("DELETE", NETWORK)).status == 200
    assert (await desk.send("GET", NETWORK)).status == 404


async def test_a_subnet_that_is_not_there_or_too_small_is_refused_as_aks_does(desk: Desk) -> None:
    await desk.send("PUT", NETWORK, network(("small", "10.1.0.0/26")))
    status, code, words = await desk.refused("PUT", cluster_id("shop-02"), cluster(1))
    assert (status, code) == (400, "SubnetNotFound")
    assert words.startswith("Could not find subnet nodes in vnet shop from resource group shop-weu of subscription")
    await desk.send("PUT", SUBNET, {"properties": {"addressPrefix": "10.1.1.0/26"}})
    status, code, words = await desk.refused("PUT", cluster_id("shop-02"), cluster(2))
    assert (status, code) == (400, "InsufficientSubnetSize")
    assert words.startswith("Pre-allocated IPs 62 exceeds IPs available 59 in Subnet Cidr 10.1.1.0/26, Subnet Name nod")
    await desk.finish(await desk.send("PUT", cluster_id("shop-02"), cluster(1)))
    pool = await desk.get(f"{cluster_id('shop-02')}/agentPools/nodepool1")
    more = {"properties": {**pool["properties"], "count": 2}}
    assert (await desk.refused("PUT", f"{cluster_id('shop-02')}/agentPools/nodepool1", more))[1] == code
    assert (await desk.change("shop-02", disableLocalAccounts=False)).status == 200  # what does not grow goes on


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (network(("a", "10.1.0.0/24"), ("b", "10.1.0.128/25")), "NetcfgSubnetRangesOverlap"),
        (network(("a", "10.2.0.0/24")), "NetcfgSubnetRangeOutsideVnet"),
        (network(("a", "10.1.0.0/33")), "InvalidAddressPrefixFormat"),
        (network(space="ten"), "InvalidAddressPrefixFormat"),
        ({"location": "westeurope", "properties": {"subnets": "x"}}, "InvalidRequestFormat"),
        ({"properties": {}}, "LocationRequired"),
        ({"location": "westeurope", "properties": {"ddos": True}}, "SandboxNotModelled"),
    ],
)
async def test_networks_that_cannot_be(desk: Desk, body: dict[str, Any], code: str) -> None:
    assert (await desk.refused("PUT", NETWORK, body))[1] == code


async def test_reading_a_network_takes_a_right_and_so_do_the_addresses_of_a_cluster(desk: Desk) -> None:
    await desk.send("PUT", NETWORK, network(("nodes", "10.1.0.0/24")))
    nodes = f"{SCOPE}/resourceGroups/MC_shop-weu_shop-01_westeurope/providers/Microsoft.Network"
    (address,) = (await desk.get(f"{nodes}/publicIPAddresses"))["value"]
    (balancer,) = (await desk.get(f"{nodes}/loadBalancers"))["value"]
    front = balancer["properties"]["frontendIPConfigurations"][0]["properties"]["publicIPAddress"]
    assert front["id"] == address["id"]
    assert (await desk.get(address["id"]))["properties"]["ipAddress"].startswith("198.1")
    desk.speaker = desk.outsider
    for path in (SUBNET, f"{nodes}/publicIPAddresses", USAGES):
        assert (await desk.refused("GET", path))[:2] == (403, "AuthorizationFailed")
    desk.arm.assign(NETWORK, OUTSIDER, "Network Contributor")
    assert (await desk.send("GET", SUBNET)).status == 200
    assert (await desk.send("GET", f"{SUBNET}?$expand=ipConfigurations")).status == 501


async def test_the_vcpus_of_a_region_are_counted_and_bounded(desk: Desk) -> None:
    family = size_of("Standard_D4s_v5")[0]
    assert family == "standardDSv5Family"
    shown = {it["name"]["value"]: it for it in (await desk.get(USAGES))["value"]}
    assert (shown["cores"]["currentValue"], shown[family]["currentValue"]) == (12, 12)
    assert shown[family]["name"]["localizedValue"] == "Standard DSv5 Family vCPUs"
    desk.arm.add_quota(SUBSCRIPTION, "westeurope", family, Quota(limit=20, used=4))
    shown = {it["name"]["value"]: it for it in (await desk.get(USAGES))["value"]}
    assert (shown[family]["currentValue"], shown[family]["limit"]) == (16, 20)
    held = await desk.get(cluster_id("shop-01"))
    pool = held["properties"]["agentPoolProfiles"][0]
    asked = await desk.refused(
        "PUT", f"{cluster_id('shop-01')}/agentPools/nodepool1", {"properties": {**pool, "count": 5}}
    )
    assert asked == (
        400,
        "ErrCode_InsufficientVCPUQuota",
        (
            "Insufficient vcpu quota requested 8, remaining 4 for family standardDSv5Family for region westeurope. "
            "Surge nodes would also consume vcpu quota."
        ),
    )
    await desk.finish(
        await desk.send("PUT", f"{cluster_id('shop-01')}/agentPools/nodepool1", {"properties": {**pool, "count": 4}})
    )
    assert (await desk.get(USAGES.replace("westeurope", "northeurope")))["value"][0]["currentValue"] == 0
