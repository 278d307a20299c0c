"""Fleets of Azure Kubernetes Fleet Manager and their members, and role assignments on them and with conditions."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from tests.support.arm_client import GROUP, OUTSIDER, SCOPE, SUBSCRIPTION, ArmClient, cluster_id

FLEETS = f"{SCOPE}/providers/Microsoft.ContainerService/fleets"
FLEET = f"{GROUP}/providers/Microsoft.ContainerService/fleets/all"
READER = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
NAME = "5f3b0e0a-2f0f-4f8b-9f59-0d2c54b8a9e3"


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    client = ArmClient(ClusterSpec(name="shop-01"))
    client.arm.add_fleet(SUBSCRIPTION, "shop-weu", "all", (cluster_id("shop-01"),))
    return client


def assignment(**more: Any) -> dict[str, Any]:
    return {"properties": {"roleDefinitionId": READER, "principalId": OUTSIDER, **more}}


async def test_a_subscription_lists_its_fleets_and_a_fleet_its_members(client: ArmClient) -> None:
    (fleet,) = (await client.get(FLEETS))["value"]
    assert (fleet["id"], fleet["name"]) == (FLEET, "all")
    (member,) = (await client.get(f"{FLEET.upper()}/members"))["value"]
    assert member["properties"]["clusterResourceId"] == cluster_id("shop-01")
    assert (await client.refused("GET", f"{FLEET}x/members"))[:2] == (404, "ResourceNotFound")
    client.caller = client.outsider
    assert (await client.refused("GET", FLEETS))[:2] == (403, "AuthorizationFailed")
    assert (await client.refused("GET", f"{FLEET}/members"))[:2] == (403, "AuthorizationFailed")


@pytest.mark.parametrize("scope", [FLEET, cluster_id("shop-01")])
async def test_an_assignment_with_a_condition_is_shown_and_gives_nothing(client: ArmClient, scope: str) -> None:
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{NAME}"
    condition = "@Resource[Microsoft.ContainerService/managedClusters/x] StringEquals 'a'"
    refused = await client.refused("PUT", path, assignment(condition=condition))
    assert refused[:2] == (400, "InvalidRoleAssignmentCondition")
    made = await client.send("PUT", path, assignment(condition=condition, conditionVersion="2.0"))
    assert made.status == 201
    shown = (await client.get(path))["properties"]
    assert (shown["condition"], shown["conditionVersion"]) == (condition, "2.0")
    read = f"{FLEET}/members" if scope == FLEET else scope
    client.caller = client.outsider
    assert (await client.refused("GET", read))[:2] == (403, "AuthorizationFailed")
    client.caller = client.operator
    assert (await client.send("PUT", path, assignment())).status == 200
    client.caller = client.outsider
    assert (await client.send("GET", read)).status == 200
