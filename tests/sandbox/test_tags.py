"""Tags of clusters and resource groups, as `az tag` and Cloud Custodian write them: apart from the resource."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from tests.support.arm_client import GROUP, SCOPE, ArmClient, cluster_id

CLUSTER = cluster_id("shop-01")
HELD = {"team": "shop", "stage": "prod"}


def tags_of(scope: str) -> str:
    return f"{scope}/providers/Microsoft.Resources/tags/default"


@pytest.fixture
async def client() -> ArmClient:
    client = ArmClient(ClusterSpec(name="shop-01", tags=HELD))
    made = await client.send("PUT", tags_of(GROUP), {"properties": {"tags": HELD}})
    assert made.status == 200
    return client


@pytest.mark.parametrize("scope", [CLUSTER, GROUP])
@pytest.mark.parametrize(
    ("operation", "sent", "expected"),
    [
        ("Merge", {"stage": "test", "new": "1"}, {"team": "shop", "stage": "test", "new": "1"}),
        ("Replace", {"new": "1"}, {"new": "1"}),
        ("Delete", {"team": "", "stage": "test", "unknown": ""}, {"stage": "prod"}),
        ("delete", {"stage": "prod"}, {"team": "shop"}),
    ],
)
async def test_tags_are_changed_and_the_resource_shows_them(
    client: ArmClient, scope: str, operation: str, sent: dict[str, str], expected: dict[str, str]
) -> None:
    reply = await client.send("PATCH", tags_of(scope), {"operation": operation, "properties": {"tags": sent}})
    shown: dict[str, Any] = {"id": tags_of(scope), "name": "default", "type": "Microsoft.Resources/tags"}
    shown["properties"] = {"tags": expected}
    assert reply.status == 200
    assert isinstance(reply.body, dict)
    assert {**reply.body, "id": reply.body["id"].lower()} == {**shown, "id": tags_of(scope).lower()}
    assert await client.get(tags_of(scope)) == reply.body
    assert (await client.get(scope))["tags"] == expected


async def test_tags_are_refused_beyond_fifty_for_unknown_operations_and_without_a_right(client: ArmClient) -> None:
    many = {"properties": {"tags": {str(number): "" for number in range(51)}}}
    assert (await client.refused("PUT", tags_of(CLUSTER), many))[:2] == (400, "TagsLimitExceeded")
    unknown = {"operation": "Rename", "properties": {"tags": {}}}
    assert (await client.refused("PATCH", tags_of(CLUSTER), unknown))[:2] == (400, "InvalidTagsOperation")
    assert (await client.refused("GET", tags_of(cluster_id("nothing"))))[0] == 404
    assert (await client.send("GET", tags_of(SCOPE))).status == 501
    client.caller = client.outsider
    assert (await client.refused("PUT", tags_of(CLUSTER), many))[:2] == (403, "AuthorizationFailed")
    assert (await client.refused("GET", tags_of(CLUSTER)))[:2] == (403, "AuthorizationFailed")
