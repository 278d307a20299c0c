"""Virtual networks and subnets, their free addresses, public addresses, and the vCPU quotas of a region."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.containerservice.capacity import size_of
from azure_sandbox.arm.containerservice.spec import ClusterSpec, PoolSpec
from azure_sandbox.arm.state import Quota
from tests.support.arm_client import GROUP, OUTSIDER, SCOPE, SUBSCRIPTION, ArmClient, cluster_id

NETWORK = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/shop"
SUBNET = f"{NETWORK}/subnets/nodes"
USAGES = f"{SCOPE}/providers/Microsoft.Compute/locations/westeurope/usages"


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01", pools=(PoolSpec(name="nodepool1", count=3),)))


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


async def test_nodes_and_their_pods_take_addresses_of_a_subnet(client: ArmClient) -> None:
    assert (await client.send("PUT", NETWORK, network(("nodes", "10.1.0.0/24")))).status == 201
    assert "ipConfigurations" not in (await client.get(SUBNET))["properties"]
    made = await client.send("PUT", cluster_id("shop-02"), cluster(2))
    await client.finish(made)
    held = (await client.get(SUBNET))["properties"]
    assert held["addressPrefix"] == "10.1.0.0/24"
    assert len(held["ipConfigurations"]) == 2 * 31
    (usage,) = (await client.get(f"{NETWORK}/usages"))["value"]
    assert (usage["currentValue"], usage["limit"]) == (62, 251)
    overlay = await client.send("PUT", cluster_id("shop-03"), cluster(2, networkPluginMode="overlay"))
    await client.finish(overlay)
    assert len((await client.get(SUBNET))["properties"]["ipConfigurations"]) == 2 * 31 + 2
    assert (await client.refused("DELETE", SUBNET))[:2] == (400, "InUseSubnetCannotBeDeleted")
    for name in ("shop-02", "shop-03"):
        await client.finish(await client.send("DELETE", cluster_id(name)))
    assert (await client.send("DELETE", SUBNET)).status == 200
    assert (await client.send("DELETE", NETWORK)).status == 200
    assert (await client.send("GET", NETWORK)).status == 404


async def test_a_missing_or_too_small_subnet_is_refused_in_the_words_of_aks(client: ArmClient) -> None:
    await client.send("PUT", NETWORK, network(("small", "10.1.0.0/26")))
    status, code, words = await client.refused("PUT", cluster_id("shop-02"), cluster(1))
    assert (status, code) == (400, "SubnetNotFound")
    assert words.startswith("Could not find subnet nodes in vnet shop from resource group shop-weu of subscription")
    await client.send("PUT", SUBNET, {"properties": {"addressPrefix": "10.1.1.0/26"}})
    status, code, words = await client.refused("PUT", cluster_id("shop-02"), cluster(2))
    assert (status, code) == (400, "InsufficientSubnetSize")
    assert words.startswith("Pre-allocated IPs 62 exceeds IPs available 59 in Subnet Cidr 10.1.1.0/26, Subnet Name nod")
    await client.finish(await client.send("PUT", cluster_id("shop-02"), cluster(1)))
    pool = await client.get(f"{cluster_id('shop-02')}/agentPools/nodepool1")
    more = {"properties": {**pool["properties"], "count": 2}}
    assert (await client.refused("PUT", f"{cluster_id('shop-02')}/agentPools/nodepool1", more))[1] == code
    assert (await client.change("shop-02", disableLocalAccounts=False)).status == 200  # only growth is checked


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
async def test_an_invalid_network_is_refused(client: ArmClient, body: dict[str, Any], code: str) -> None:
    assert (await client.refused("PUT", NETWORK, body))[1] == code


async def test_a_subnet_may_name_settings_without_a_value_as_terraform_does(client: ArmClient) -> None:
    assert (await client.send("PUT", NETWORK, network())).status == 201
    unset: dict[str, Any] = {
        "serviceEndpoints": [],
        "serviceEndpointPolicies": None,
        "sharingScope": "",
        "delegations": [],
    }
    made = await client.send("PUT", SUBNET, {"properties": {"addressPrefix": "10.1.0.0/24", **unset}})
    assert made.status == 201
    shared = {"properties": {"addressPrefix": "10.1.0.0/24", "sharingScope": "Tenant"}}
    assert (await client.send("PUT", SUBNET, shared)).status == 501


async def test_reading_networks_and_public_addresses_needs_a_right(client: ArmClient) -> None:
    await client.send("PUT", NETWORK, network(("nodes", "10.1.0.0/24")))
    nodes = f"{SCOPE}/resourceGroups/MC_shop-weu_shop-01_westeurope/providers/Microsoft.Network"
    (address,) = (await client.get(f"{nodes}/publicIPAddresses"))["value"]
    (balancer,) = (await client.get(f"{nodes}/loadBalancers"))["value"]
    front = balancer["properties"]["frontendIPConfigurations"][0]["properties"]["publicIPAddress"]
    assert front["id"] == address["id"]
    assert (await client.get(address["id"]))["properties"]["ipAddress"].startswith("198.1")
    client.caller = client.outsider
    for path in (SUBNET, f"{nodes}/publicIPAddresses", USAGES):
        assert (await client.refused("GET", path))[:2] == (403, "AuthorizationFailed")
    client.arm.assign(NETWORK, OUTSIDER, "Network Contributor")
    assert (await client.send("GET", SUBNET)).status == 200
    assert (await client.send("GET", f"{SUBNET}?$expand=ipConfigurations")).status == 501


async def test_a_vcpu_quota_limits_the_nodes_in_a_region(client: ArmClient) -> None:
    family = size_of("Standard_D4s_v5")[0]
    assert family == "standardDSv5Family"
    shown = {it["name"]["value"]: it for it in (await client.get(USAGES))["value"]}
    assert (shown["cores"]["currentValue"], shown[family]["currentValue"]) == (12, 12)
    assert shown[family]["name"]["localizedValue"] == "Standard DSv5 Family vCPUs"
    client.arm.add_quota(SUBSCRIPTION, "westeurope", family, Quota(limit=20, used=4))
    shown = {it["name"]["value"]: it for it in (await client.get(USAGES))["value"]}
    assert (shown[family]["currentValue"], shown[family]["limit"]) == (16, 20)
    held = await client.get(cluster_id("shop-01"))
    pool = held["properties"]["agentPoolProfiles"][0]
    asked = await client.refused(
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
    await client.finish(
        await client.send("PUT", f"{cluster_id('shop-01')}/agentPools/nodepool1", {"properties": {**pool, "count": 4}})
    )
    assert (await client.get(USAGES.replace("westeurope", "northeurope")))["value"][0]["currentValue"] == 0
