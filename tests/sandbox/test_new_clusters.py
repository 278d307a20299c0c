"""What Azure refuses of a new cluster's networks, and the diagnostic settings of a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.logs.state import Workspace
from tests.support.arm_client import GROUP, OUTSIDER, SCOPE, SUBSCRIPTION, ArmClient, cluster_id

NETWORK = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/shop"
SUBNET = f"{NETWORK}/subnets/nodes"
ZONES = f"{GROUP}/providers/Microsoft.Network/privateDnsZones"
ZONE = f"{ZONES}/privatelink.westeurope.azmk8s.io"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/aks"
USER_ASSIGNED = {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs"
SETTINGS = f"{cluster_id('shop-01')}/providers/Microsoft.Insights/diagnosticSettings"
PRIVATE = {"enablePrivateCluster": True}


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    client = ArmClient(ClusterSpec(name="shop-01"))
    made = Workspace(subscription=SUBSCRIPTION, group="shop-weu", name="logs", location="westeurope", customer="c-1")
    client.arm.state.logs.workspaces[made.id.lower()] = made
    return client


def cluster(access: dict[str, Any], network: dict[str, Any], **resource: Any) -> dict[str, Any]:
    pool = {"name": "system", "count": 1, "mode": "System", "vnetSubnetID": SUBNET}
    return {
        "location": "westeurope",
        "properties": {
            "dnsPrefix": "x",
            "agentPoolProfiles": [pool],
            "networkProfile": {"networkPlugin": "azure", "networkPluginMode": "overlay", **network},
            "apiServerAccessProfile": access,
        },
        **resource,
    }


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "private with authorised ranges": (
        cluster({**PRIVATE, "authorizedIPRanges": ["203.0.113.0/24"]}, {}),
        "InvalidParameter",
        "Private cluster cannot be enabled with AuthorizedIPRanges.",
    ),
    "a range that is none": (cluster({"authorizedIPRanges": ["office"]}, {}), "InvalidParameter", "'office'"),
    "a zone with the system's identity": (
        cluster({**PRIVATE, "privateDNSZone": ZONE}, {}),
        "InvalidParameter",
        "System-assigned managed identity is not supported",
    ),
    "a zone of another region": (
        cluster({**PRIVATE, "privateDNSZone": ZONE.replace("west", "north")}, {}, identity=USER_ASSIGNED),
        "InvalidParameter",
        "a zone named privatelink.westeurope.azmk8s.io",
    ),
    "a zone of a public cluster": (
        cluster({"privateDNSZone": ZONE}, {}, identity=USER_ASSIGNED),
        "InvalidParameter",
        "only supported for private clusters",
    ),
    "services over the subnet": (
        cluster({}, {"serviceCidr": "10.1.0.0/20", "dnsServiceIP": "10.1.0.10"}),
        "ServiceCidrOverlapExistingSubnetsCidr",
        "service CIDR 10.1.0.0/20 is conflicted with an existing subnet CIDR 10.1.0.0/24",
    ),
    "services over pods": (
        cluster({}, {"serviceCidr": "10.244.0.0/20", "dnsServiceIP": "10.244.0.10"}),
        "BadRequest",
        "overlaps with podCidr",
    ),
    "services without their DNS": (
        cluster({}, {"serviceCidr": "10.2.0.0/20"}),
        "DnsServiceIpOutOfServiceCidr",
        "10.0.0.10 is not within networkProfile.serviceCidr 10.2.0.0/20",
    ),
    "a DNS address that is none": (cluster({}, {"dnsServiceIP": "dns"}), "DnsServiceIpOutOfServiceCidr", "dns is not"),
    "services that are no range": (cluster({}, {"serviceCidr": "ten"}), "InvalidParameter", "'ten'"),
    "pods in a reserved range": (cluster({}, {"podCidr": "172.31.0.0/18"}), "InvalidParameter", "AKS reserves"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_a_new_cluster_whose_networks_collide_is_refused(
    client: ArmClient, case: tuple[dict[str, Any], str, str]
) -> None:
    subnets = [{"name": "nodes", "properties": {"addressPrefix": "10.1.0.0/24"}}]
    space = {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}
    await client.send("PUT", NETWORK, {"location": "westeurope", "properties": space})
    body, code, words = case
    status, found, said = await client.refused("PUT", cluster_id("shop-02"), body)
    assert (status, found) == (400, code)
    assert words in said
    good = cluster({**PRIVATE, "privateDNSZone": ZONE}, {}, identity=USER_ASSIGNED)
    await client.finish(await client.send("PUT", cluster_id("shop-02"), good))


def setting(*categories: str, **properties: Any) -> dict[str, Any]:
    logs = [{"category": it, "enabled": True} for it in categories]
    return {"properties": {"workspaceId": WORKSPACE, "logs": logs, **properties}}


async def test_a_diagnostic_setting_is_written_read_and_deleted(client: ArmClient) -> None:
    off = [{"category": "guard", "enabled": False}, {"category": "Kube-Audit-Admin", "enabled": True}]
    metrics = [{"category": "AllMetrics", "enabled": True}]
    body = setting(logs=off, metrics=metrics, logAnalyticsDestinationType="Dedicated")
    made = await client.send("PUT", f"{SETTINGS}/audit", body)
    assert (made.status, made.body) == (200, await client.get(f"{SETTINGS}/audit"))
    shown = (await client.get(SETTINGS))["value"][0]["properties"]
    assert [(it["category"], it["enabled"]) for it in shown["logs"]] == [("kube-audit-admin", True), ("guard", False)]
    assert (shown["metrics"][0]["category"], shown["logAnalyticsDestinationType"]) == ("AllMetrics", "Dedicated")
    again = await client.refused("PUT", f"{SETTINGS}/more", setting("kube-audit-admin"))
    assert again[:2] == (409, "Conflict")
    assert "Data sinks can't be reused in different settings on the same category" in again[2]
    groups = [{"categoryGroup": "audit", "enabled": True}]
    assert (await client.send("PUT", f"{SETTINGS}/more", setting(logs=groups))).status == 200
    for status in (200, 204):
        assert (await client.send("DELETE", f"{SETTINGS}/audit")).status == status
    assert (await client.refused("GET", f"{SETTINGS}/audit"))[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (setting("kube-audit", workspaceId=None), 400, "BadRequest", "At least one data sink needs to be specified."),
        (setting("kube-audti"), 400, "BadRequest", "Category 'kube-audti' is not supported."),
        (setting("guard", workspaceId=f"{WORKSPACE}x"), 404, "ResourceNotFound", "could not be found"),
        (setting(logs={}, metrics="all"), 400, "BadRequest", "metrics is not a list"),
        (setting("guard", storageAccountId="/x"), 501, "SandboxNotModelled", "storageAccountId"),
        (
            setting(logs=[{"category": "guard", "enabled": True, "retentionPolicy": {"enabled": True, "days": 3}}]),
            501,
            "SandboxNotModelled",
            "retention",
        ),
        (
            setting(logs=[{"categoryGroup": it, "enabled": True} for it in ("audit", "allLogs")]),
            501,
            "SandboxNotModelled",
            "several",
        ),
    ],
)
async def test_a_wrong_diagnostic_setting_is_refused(
    client: ArmClient, body: dict[str, Any], status: int, code: str, words: str
) -> None:
    found = await client.refused("PUT", f"{SETTINGS}/audit", body)
    assert found[:2] == (status, code)
    assert words in found[2]


async def test_a_diagnostic_setting_needs_rights_on_the_cluster_and_the_workspace(client: ArmClient) -> None:
    client.caller = client.outsider
    assert (await client.refused("PUT", f"{SETTINGS}/audit", setting("guard")))[1] == "AuthorizationFailed"
    client.arm.assign(cluster_id("shop-01"), OUTSIDER, "Contributor")
    code, words = (await client.refused("PUT", f"{SETTINGS}/audit", setting("guard")))[1:]
    assert code == "LinkedAuthorizationFailed"
    assert f"'Microsoft.OperationalInsights/workspaces/sharedKeys/action' on the linked scope(s) '{WORKSPACE}'" in words
    client.arm.assign(WORKSPACE, OUTSIDER, "Contributor")
    for category in ("guard", "kube-audit", "kube-apiserver", "kube-scheduler", "kube-controller-manager"):
        assert (await client.send("PUT", f"{SETTINGS}/{category}", setting(category))).status == 200
    assert "A maximum of 5" in (await client.refused("PUT", f"{SETTINGS}/more", setting("cluster-autoscaler")))[2]


async def test_a_region_shows_its_availability_zones(client: ArmClient) -> None:
    shown = {it["name"]: it for it in (await client.get(f"{SCOPE}/locations"))["value"]}
    zones = [it["logicalZone"] for it in shown["westeurope"]["availabilityZoneMappings"]]
    assert zones == ["1", "2", "3"]
    assert "availabilityZoneMappings" not in shown["westus"]
