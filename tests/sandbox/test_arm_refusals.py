"""What ARM and AKS refuse, and how they read unusual requests: impossible clusters, encoded scopes, empty names."""

from __future__ import annotations

from copy import deepcopy
from typing import Any
from urllib.parse import quote

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec, PoolSpec
from tests.support.arm_client import GROUP, SCOPE, SUBSCRIPTION, ArmClient, cluster_id

CLUSTER = cluster_id("shop-01")
POOL = {"name": "system", "mode": "System"}
NEW: dict[str, Any] = {"location": "westeurope", "properties": {"dnsPrefix": "new", "agentPoolProfiles": [POOL]}}
GRAPH = "/providers/Microsoft.ResourceGraph/resources"


@pytest.fixture
def client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01"))


def new(**properties: object) -> dict[str, Any]:
    return {**deepcopy(NEW), "properties": {**deepcopy(NEW["properties"]), **properties}}


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (new(kubernetesVersion="9.9.9"), "K8sVersionNotSupported", "on version 9.9.9, which is not supported"),
        (new(kubernetesVersion="1.99"), "K8sVersionNotSupported", "on version 1.99"),
        (
            new(agentPoolProfiles=[{**POOL, "orchestratorVersion": "1.33.99"}]),
            "AgentPoolK8sVersionNotSupported",
            "Agent pool system is on version 1.33.99",
        ),
        (
            new(agentPoolProfiles=[{**POOL, "vmSize": "Standard_NOPE"}]),
            "BadRequest",
            "The VM size of Standard_NOPE is not allowed in your subscription in location 'westeurope'.",
        ),
        (new(agentPoolProfiles=[{**POOL, "vmSize": "Standard_Z4s_v5"}]), "BadRequest", "Standard_Z4s_v5"),
        (
            {**NEW, "location": "mars"},
            "LocationNotAvailableForResourceType",
            "The provided location 'mars' is not available for resource type",
        ),
        (
            new(
                ingressProfile={
                    "webAppRouting": {
                        "enabled": True,
                        "gatewayAPIImplementations": {"appRoutingIstio": {"mode": "Enabled"}},
                    }
                },
                serviceMeshProfile={"mode": "Istio", "istio": {}},
            ),
            "BadRequest",
            "Cannot enable both the Istio add-on and the AppRouting Istio Gateway API implementation simultaneously.",
        ),
    ],
)
async def test_a_cluster_that_cannot_exist_is_refused(
    client: ArmClient, sent: dict[str, Any], code: str, words: str
) -> None:
    status, given, message = await client.refused("PUT", cluster_id("new"), sent)
    assert (status, given) == (400, code)
    assert words in message
    assert (await client.send("GET", cluster_id("new"))).status == 404


@pytest.mark.parametrize(
    "size", ["Standard_DS2_v2", "standard_dc16ads_cc_v5", "Standard_M8-2ms", "Standard_NC24ads_A100_v4"]
)
async def test_sizes_that_azure_has_are_accepted(client: ArmClient, size: str) -> None:
    made = await client.send("PUT", cluster_id("new"), new(agentPoolProfiles=[{**POOL, "vmSize": size}]))
    assert made.status == 201


async def test_an_agent_pool_of_unknown_machines_is_refused(client: ArmClient) -> None:
    for sent in ({"vmSize": "Standard_NOPE"}, {"orchestratorVersion": "9.9.9"}):
        reply = await client.send("PUT", f"{CLUSTER}/agentPools/more", {"properties": {"mode": "User", **sent}})
        assert reply.status == 400


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ClusterSpec(name="x", version="9.9.9"), "on version 9.9.9"),
        (ClusterSpec(name="x", location="mars"), "location 'mars'"),
        (ClusterSpec(name="x", pools=(PoolSpec(name="one", vm_size="Standard_NOPE"),)), "Standard_NOPE"),
    ],
)
def test_a_world_cannot_hold_an_impossible_cluster(client: ArmClient, spec: ClusterSpec, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        client.arm.add_cluster(SUBSCRIPTION, "shop-weu", spec)


def test_a_world_cannot_hold_a_group_outside_of_azures_regions(client: ArmClient) -> None:
    with pytest.raises(ValueError, match="no region 'mars'"):
        client.arm.add_resource_group(SUBSCRIPTION, "lab", "mars")


@pytest.mark.parametrize("prefix", ["", "//"])
async def test_an_encoded_scope_is_the_scope(client: ArmClient, prefix: str) -> None:
    lock = f"{prefix}/{quote(CLUSTER, safe='')}/providers/Microsoft.Authorization/locks/keep"
    reply = await client.send("PUT", lock, {"properties": {"level": "CanNotDelete"}})
    assert reply.status == 201, reply
    shown = await client.get(f"{CLUSTER}/providers/Microsoft.Authorization/locks/keep")
    assert shown["properties"]["level"] == "CanNotDelete"


async def test_an_empty_name_of_the_node_resource_group_means_that_the_service_names_it(client: ArmClient) -> None:
    made = await client.send("PUT", cluster_id("new"), new(nodeResourceGroup=""))
    changed = await client.change("shop-01", nodeResourceGroup="")
    for name, reply in (("new", made), ("shop-01", changed)):
        assert isinstance(reply.body, dict)
        assert reply.body["properties"]["nodeResourceGroup"] == f"MC_shop-weu_{name}_westeurope"


async def test_resource_groups_come_in_pages_of_the_size_that_top_names(client: ArmClient) -> None:
    for name in ("a", "b"):
        client.arm.add_resource_group(SUBSCRIPTION, name, "westeurope")
    names: list[str] = []
    target: str | None = f"{SCOPE}/resourceGroups?$top=2"
    sizes = []
    while target:
        page = await client.get(target)
        sizes.append(len(page["value"]))
        names += [it["name"] for it in page["value"]]
        target = page.get("nextLink")
    assert sizes == [2, 2]
    assert len(set(names)) == 4
    assert (await client.refused("GET", f"{SCOPE}/resourceGroups?$top=0"))[0] == 400
    assert (await client.refused("GET", f"{SCOPE}/resourceGroups?$top=1&$skiptoken=x"))[0] == 400


async def test_certificates_of_a_cluster_that_is_being_deleted_cannot_be_rotated(client: ArmClient) -> None:
    assert (await client.send("DELETE", CLUSTER)).status == 202
    assert await client.refused("POST", f"{CLUSTER}/rotateClusterCertificates") == (
        409,
        "OperationNotAllowed",
        (
            "Unable to perform 'RotateClusterCertificatesOperation' operation on 'shop-01' since deletion was issued "
            "on 'shop-01'. The only allowed operation is deletion once deletion has started."
        ),
    )


async def test_a_pool_of_single_machines_counts_them_in_its_own_profile(client: ArmClient) -> None:
    profile = {"scale": {"manual": [{"size": "standard_d4s_v5", "count": 2}]}}
    pool = {**POOL, "type": "VirtualMachines", "virtualMachinesProfile": profile}
    made = await client.send("PUT", cluster_id("new"), new(agentPoolProfiles=[pool]))
    assert made.status == 201, made
    await client.finish(made)
    shown = (await client.get(cluster_id("new")))["properties"]["agentPoolProfiles"][0]
    assert shown["virtualMachineNodesStatus"] == [{"size": "Standard_D4s_v5", "count": 2}]
    assert not {"count", "vmSize"} & set(shown)


async def test_a_query_without_a_table_asks_for_resources(client: ArmClient) -> None:
    reply = await client.send("POST", GRAPH, {"query": "where type has 'managedclusters' | project name"})
    assert isinstance(reply.body, dict)
    assert reply.body["data"] == [{"name": "shop-01"}]


@pytest.mark.parametrize("query", ["where where", "Resources | where", "Resources\n| project"])
async def test_a_query_that_ends_too_early_is_a_mistake_of_the_client(client: ArmClient, query: str) -> None:
    reply = await client.send("POST", GRAPH, {"query": query})
    assert reply.status == 400
    assert isinstance(reply.body, dict)
    failure = reply.body["error"]["details"][1]
    assert failure["code"] == "ParserFailure"
    assert failure["token"] == "<EOF>"
    assert failure["line"] == query.count("\n") + 1


async def test_an_answer_of_an_earlier_version_hides_what_that_version_does_not_know(client: ArmClient) -> None:
    made = await client.send("PUT", cluster_id("new"), {**NEW, "sku": {"name": "Automatic", "tier": "Standard"}})
    await client.finish(made)
    old = f"{cluster_id('new')}?api-version=2023-01-01"
    held = (await client.get(old))["properties"]
    assert held["securityProfile"] == {}
    assert not {"nodeResourceGroupProfile", "hostedSystemProfile"} & set(held)
    assert not {"podCidr", "podCidrs"} & set(held["networkProfile"])
    before = (await client.get(cluster_id("new")))["properties"]
    await client.finish(await client.send("PUT", old, {**NEW, "properties": held}))
    after = (await client.get(cluster_id("new")))["properties"]
    for profile in ("securityProfile", "networkProfile", "workloadAutoScalerProfile", "addonProfiles"):
        assert after[profile] == before[profile], profile


async def test_a_pool_that_scales_by_itself_brings_the_settings_of_the_autoscaler(client: ArmClient) -> None:
    assert "autoScalerProfile" not in (await client.get(CLUSTER))["properties"]
    pool = {"mode": "User", "count": 1, "enableAutoScaling": True, "minCount": 1, "maxCount": 3}
    await client.finish(await client.send("PUT", f"{CLUSTER}/agentPools/apps", {"properties": pool}))
    shown = (await client.get(CLUSTER))["properties"]["autoScalerProfile"]
    assert (shown["expander"], shown["ignore-daemonsets-utilization"]) == ("random", False)
    earlier = (await client.get(f"{CLUSTER}?api-version=2023-08-01"))["properties"]["autoScalerProfile"]
    assert "ignore-daemonsets-utilization" not in earlier


async def test_a_cluster_shows_the_ids_of_its_users_identities(client: ArmClient) -> None:
    identity = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/plane"
    made = await client.send("PUT", identity, {"location": "westeurope"})
    assert isinstance(made.body, dict)
    sent = {**new(), "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}}
    assert (await client.send("PUT", cluster_id("new"), sent)).status == 201
    shown = (await client.get(cluster_id("new")))["identity"]["userAssignedIdentities"][identity]
    assert shown["principalId"] == made.body["properties"]["principalId"]
    wrong = {"type": "UserAssigned", "userAssignedIdentities": {identity: "x"}}
    assert (await client.refused("PUT", cluster_id("other"), {**new(), "identity": wrong}))[0] == 400


async def test_a_private_cluster_names_its_private_link(client: ArmClient) -> None:
    made = await client.send("PUT", cluster_id("new"), new(apiServerAccessProfile={"enablePrivateCluster": True}))
    await client.finish(made)
    shown = (await client.get(cluster_id("new")))["properties"]
    assert shown["apiServerAccessProfile"]["privateDNSZone"] == "system"
    assert shown["privateLinkResources"][0]["requiredMembers"] == ["management"]


@pytest.mark.parametrize(("shared", "own"), [("true", False), ("False", True)])
async def test_the_agent_of_logs_has_an_identity_of_its_own_unless_it_uses_the_clusters(
    client: ArmClient, shared: str, own: bool
) -> None:
    config = {"logAnalyticsWorkspaceResourceID": "/x", "useAADAuth": shared}
    addons = {"omsagent": {"enabled": True, "config": config}, "azurepolicy": {"enabled": False}}
    await client.finish(await client.send("PUT", cluster_id("new"), new(addonProfiles=addons)))
    shown = (await client.get(cluster_id("new")))["properties"]["addonProfiles"]
    assert ("identity" in shown["omsagent"]) is own
    assert shown["azurepolicy"] == {"enabled": False, "config": None}
