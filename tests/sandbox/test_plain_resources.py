"""Resources around clusters that clients create: identities, workspaces, public addresses; and lists of resources."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.arm.containerservice.versions import Offer
from azure_sandbox.arm.service import ArmSettings
from azure_sandbox.front.http import Reply
from tests.support.arm_client import GROUP, OUTSIDER, SCOPE, SUBSCRIPTION, ArmClient, cluster_id

IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nodes"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs"
ADDRESS = f"{GROUP}/providers/Microsoft.Network/publicIPAddresses/egress"
NETWORK = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/hub"
HERE = {"location": "West Europe", "tags": {"env": "prod"}}
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
LOCK_WRITE = "Microsoft.Authorization/locks/write"


@pytest.fixture
def client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01"))


def body(reply: Reply) -> Any:
    return reply.body


@pytest.mark.parametrize("place", [IDENTITY, WORKSPACE, ADDRESS])
async def test_a_resource_is_created_changed_listed_and_deleted(client: ArmClient, place: str) -> None:
    assert (await client.refused("GET", place))[:2] == (404, "ResourceNotFound")
    made = await client.send("PUT", place, HERE)
    assert made.status == 201, made
    assert body(made)["location"] == "westeurope"
    assert body(await client.send("PUT", place, HERE))["properties"].keys() == body(made)["properties"].keys()
    assert (await client.send("PATCH", place, {"tags": {"env": "test"}})).status == 200
    shown = await client.get(place)
    assert shown["tags"] == {"env": "test"}
    for scope in (GROUP, SCOPE):
        listed = await client.get(f"{scope}/providers/{shown['type']}")
        assert shown["name"] in [it["name"] for it in listed["value"]]
    assert (await client.refused("PUT", place, {**HERE, "location": "northeurope"}))[:2] == (
        409,
        "InvalidResourceLocation",
    )
    assert (await client.send("DELETE", place)).status == 200
    assert (await client.send("DELETE", place)).status == 204
    assert (await client.send("GET", place)).status == 404


@pytest.mark.parametrize("place", [IDENTITY, WORKSPACE, ADDRESS])
async def test_a_wrong_resource_is_refused(client: ArmClient, place: str) -> None:
    assert (await client.refused("PUT", place, {}))[:2] == (400, "LocationRequired")
    assert (await client.refused("PUT", place, {"location": "mars"}))[:2] == (
        400,
        "LocationNotAvailableForResourceType",
    )
    assert (await client.refused("PATCH", place, {"tags": {}}))[0] == 404
    client.caller = client.outsider
    assert (await client.refused("PUT", place, HERE))[:2] == (403, "AuthorizationFailed")


async def test_the_principal_of_an_identity_can_be_assigned_a_role_some_seconds_later(client: ArmClient) -> None:
    made = body(await client.send("PUT", IDENTITY, HERE))
    ids = made["properties"]
    assert "isolationScope" not in body(await client.send("GET", f"{IDENTITY}?api-version=2018-11-30"))["properties"]
    assignment = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/1a2b7dc5-8eb4-4970-9418-694f83a6c164"
    role = f"/providers/Microsoft.Authorization/roleDefinitions/{READER}"
    sent = {"properties": {"principalId": ids["principalId"], "roleDefinitionId": role}}
    assert (await client.refused("PUT", assignment, sent))[:2] == (400, "PrincipalNotFound")
    client.clock.advance(timedelta(minutes=1))
    assert body(await client.send("PUT", assignment, sent))["properties"]["principalType"] == "ServicePrincipal"


async def test_a_workspace_refuses_what_has_no_effect_here_and_gives_its_keys(client: ArmClient) -> None:
    wrong = {**HERE, "properties": {"retentionInDays": 5}}
    assert (await client.refused("PUT", WORKSPACE, wrong))[:2] == (400, "InvalidParameter")
    wrong = {**HERE, "properties": {"defaultDataCollectionRuleResourceId": "/x"}}
    assert (await client.refused("PUT", WORKSPACE, wrong))[0] == 501
    assert (await client.refused("POST", f"{WORKSPACE}/sharedKeys"))[0] == 404
    await client.send("PUT", WORKSPACE, {**HERE, "properties": {"retentionInDays": 90}})
    assert (await client.get(WORKSPACE))["properties"]["retentionInDays"] == 90
    keys = body(await client.send("POST", f"{WORKSPACE}/sharedKeys"))
    assert keys["primarySharedKey"] != keys["secondarySharedKey"]


async def test_no_deleted_workspace_can_be_recovered(client: ArmClient) -> None:
    deleted = f"{SCOPE}/providers/Microsoft.OperationalInsights/deletedWorkspaces"
    assert await client.get(deleted) == {"value": []}
    client.caller = client.outsider
    assert (await client.refused("GET", deleted))[:2] == (403, "AuthorizationFailed")


async def test_the_list_of_resources_shows_what_the_caller_may_read(client: ArmClient) -> None:
    for place in (IDENTITY, WORKSPACE, ADDRESS):
        await client.send("PUT", place, HERE)
    network = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "privateEndpointVNetPolicies": "Basic"}
    made = await client.send("PUT", NETWORK, {"location": "westeurope", "properties": network})
    assert body(made)["properties"]["privateEndpointVNetPolicies"] == "Basic"
    listed = await client.get(f"{GROUP}/resources?$expand=createdTime,provisioningState")
    kinds = {it["name"]: it for it in listed["value"]}
    assert set(kinds) == {"shop-01", "nodes", "logs", "egress", "hub"}
    assert {it["provisioningState"] for it in kinds.values()} == {"Succeeded"}
    assert kinds["shop-01"]["createdTime"]
    wanted = f"{SCOPE}/resources?$filter=resourceType eq 'Microsoft.ContainerService/managedClusters'"
    assert [it["id"] for it in (await client.get(wanted))["value"]] == [cluster_id("shop-01")]
    assert len((await client.get(f"{GROUP}/resources?$top=2"))["value"]) == 2
    client.caller = client.outsider
    assert (await client.get(f"{GROUP}/resources"))["value"] == []
    client.arm.assign(IDENTITY, OUTSIDER, "Reader")
    assert [it["name"] for it in (await client.get(f"{GROUP}/resources"))["value"]] == ["nodes"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("$filter=resourceType eq 'Microsoft.Storage/storageAccounts'", 501),
        ("$filter=colour eq 'red'", 501),
        ("$expand=everything", 400),
        ("$top=x", 400),
    ],
)
async def test_a_list_of_resources_that_cannot_be_answered_is_refused(
    client: ArmClient, query: str, status: int
) -> None:
    assert (await client.refused("GET", f"{SCOPE}/resources?{query}"))[0] == status


async def test_resources_end_with_their_group(client: ArmClient) -> None:
    client.arm.add_resource_group(SUBSCRIPTION, "lab", "westeurope")
    place = IDENTITY.replace("shop-weu", "lab")
    await client.send("PUT", place, HERE)
    await client.send("DELETE", f"{SCOPE}/resourceGroups/lab")
    assert (await client.refused("PUT", place, HERE))[:2] == (409, "ResourceGroupBeingDeleted")
    client.clock.advance(timedelta(minutes=1))
    assert (await client.send("PUT", f"{SCOPE}/resourceGroups/lab", HERE)).status == 201
    assert (await client.send("GET", place)).status == 404


async def test_a_network_refuses_other_policies_of_private_endpoints(client: ArmClient) -> None:
    network = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "privateEndpointVNetPolicies": "Loose"}
    sent = {"location": "westeurope", "properties": network}
    assert (await client.refused("PUT", NETWORK, sent))[:2] == (400, "InvalidRequestFormat")


async def test_the_versions_are_also_listed_in_their_earlier_form(client: ArmClient) -> None:
    versions = f"{SCOPE}/providers/Microsoft.ContainerService/locations/westeurope/orchestrators"
    shown = await client.get(f"{versions}?api-version=2019-08-01&resource-type=managedClusters")
    default = [it for it in shown["properties"]["orchestrators"] if it.get("default")]
    assert [it["orchestratorVersion"] for it in default] == ["1.35.7"]


async def test_a_region_offers_the_newest_patches_of_a_minor_version_first() -> None:
    offers = (
        Offer(minor="1.33", patches=("1.33.4", "1.33.5", "1.33.6"), default=True),
        Offer(minor="1.34", patches=("1.34.0", "1.34.1", "1.34.2"), preview=True),
    )
    client = ArmClient(settings=ArmSettings(offers=offers))
    versions = f"{SCOPE}/providers/Microsoft.ContainerService/locations/westeurope/kubernetesVersions"
    older, newer = (await client.get(versions))["values"]
    assert older["patchVersions"]["1.33.4"]["upgrades"] == ["1.33.6", "1.33.5", "1.34.2", "1.34.1"]
    assert (older["isDefault"], newer["isPreview"]) == (True, True)
    assert newer["capabilities"]["supportPlan"] == ["KubernetesOfficial"]


async def test_an_operation_of_a_cluster_is_shown_by_its_id_and_as_the_latest(client: ArmClient) -> None:
    assert (await client.refused("GET", f"{cluster_id('shop-01')}/operations/latest"))[:2] == (404, "NotFound")
    started = await client.send("POST", f"{cluster_id('shop-01')}/stop")
    latest = await client.get(f"{cluster_id('shop-01')}/operations/latest")
    assert latest["status"] == "InProgress"
    await client.finish(started)
    ended = await client.get(f"{cluster_id('shop-01')}/operations/{latest['name']}")
    assert (ended["status"], ended["id"]) == ("Succeeded", latest["id"])
    assert ended["endTime"] > ended["startTime"]


async def test_a_condition_takes_the_actions_that_it_names_from_a_role_assignment(client: ArmClient) -> None:
    assignment = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/2a2b7dc5-8eb4-4970-9418-694f83a6c164"
    role = f"/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"
    condition = f"(!(ActionMatches{{'{LOCK_WRITE}'}}) OR (@Request[x] StringEquals 'y'))"
    properties = {"principalId": OUTSIDER, "roleDefinitionId": role, "condition": condition}
    assert (await client.refused("PUT", assignment, {"properties": properties}))[:2] == (
        400,
        "InvalidRoleAssignmentCondition",
    )
    properties["conditionVersion"] = "2.0"
    made = body(await client.send("PUT", assignment, {"properties": properties}))
    assert (made["properties"]["condition"], made["properties"]["conditionVersion"]) == (condition, "2.0")
    client.caller = client.outsider
    lock = f"{GROUP}/providers/Microsoft.Authorization/locks/keep"
    assert (await client.send("GET", GROUP)).status == 200
    assert (await client.refused("PUT", lock, {"properties": {"level": "ReadOnly"}}))[0] == 403


async def test_an_assignment_whose_condition_names_no_action_allows_nothing(client: ArmClient) -> None:
    assignment = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/3a2b7dc5-8eb4-4970-9418-694f83a6c164"
    role = f"/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"
    properties = {"principalId": OUTSIDER, "roleDefinitionId": role, "condition": "@Request[x] StringEquals 'y'"}
    sent = {"properties": {**properties, "conditionVersion": "2.0"}}
    assert (await client.send("PUT", assignment, sent)).status == 201
    client.caller = client.outsider
    assert (await client.refused("GET", GROUP))[0] == 403
