"""Management groups: their rights reach the subscriptions below, and Resource Graph answers for all of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.arm.resources.management_groups import ManagementGroup
from azure_sandbox.server import Sandbox
from azure_sandbox.world.export import dump_world, export_world
from azure_sandbox.world.model import WorldError
from tests.support.arm_client import OUTSIDER, SUBSCRIPTION, TENANT, ArmClient, cluster_id

GRAPH = "/providers/Microsoft.ResourceGraph/resources"
GROUPS = "/providers/Microsoft.Management/managementGroups"
OTHER = "4e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9164"
QUERY = "resources | project name, off = properties.disableLocalAccounts"


@pytest.fixture
def client() -> ArmClient:
    client = ArmClient(ClusterSpec(name="one", identity="managed"))
    client.arm.add_subscription(OTHER, "dev-eu", TENANT)
    client.arm.add_resource_group(OTHER, "dev", "westeurope")
    client.arm.add_cluster(OTHER, "dev", ClusterSpec(name="two"))
    client.arm.add_management_group(ManagementGroup(name="contoso", display_name="Contoso"))
    client.arm.add_management_group(ManagementGroup(name="prod", parent="contoso", subscriptions=(SUBSCRIPTION,)))
    client.arm.add_management_group(ManagementGroup(name="dev", parent="contoso", subscriptions=(OTHER,)))
    client.arm.assign(f"{GROUPS}/contoso", OUTSIDER, "Reader")
    client.caller = client.outsider
    return client


async def names(client: ArmClient, **scope: Any) -> list[str]:
    reply = await client.send("POST", GRAPH, {"query": QUERY, **scope})
    assert reply.status == 200, reply
    assert isinstance(reply.body, dict)
    return [it["name"] for it in reply.body["data"]]


async def test_rights_on_a_management_group_reach_the_subscriptions_below_it(client: ArmClient) -> None:
    assert (await client.get(cluster_id("one")))["name"] == "one"
    client.caller = client.operator  # owner of one subscription only
    assert (await client.refused("GET", f"/subscriptions/{OTHER}/resourceGroups/dev"))[0] == 403


async def test_resource_graph_answers_for_management_groups(client: ArmClient) -> None:
    assert await names(client) == ["one", "two"]
    assert await names(client, managementGroups=["contoso"]) == ["one", "two"]
    assert await names(client, managementGroups=["DEV"]) == ["two"]
    for wrong in (["Tenant Root Group"], "dev"):
        status, _, _ = await client.refused("POST", GRAPH, {"query": QUERY, "managementGroups": wrong})
        assert status == 400


async def test_the_descendants_of_a_management_group_are_listed_in_pages(client: ArmClient) -> None:
    page = await client.get(f"{GROUPS}/contoso/descendants?api-version=2020-05-01&$top=3")
    assert [it["name"] for it in page["value"]] == ["prod", SUBSCRIPTION, "dev"]
    rest = await client.get(page["nextLink"].removeprefix("https://management.azure.com"))
    assert rest == {
        "value": [
            {
                "id": f"/subscriptions/{OTHER}",
                "type": "Microsoft.Management/managementGroups/subscriptions",
                "name": OTHER,
                "properties": {"displayName": "dev-eu", "parent": {"id": f"{GROUPS}/dev"}},
            }
        ]
    }
    assert (await client.get(f"{GROUPS}/prod"))["properties"]["displayName"] == "prod"
    assert [it["name"] for it in (await client.get(GROUPS))["value"]] == ["contoso", "prod", "dev"]
    client.caller = client.operator
    assert (await client.refused("GET", f"{GROUPS}/contoso/descendants"))[0] == 403
    assert (await client.get(GROUPS))["value"] == []


async def test_resource_graph_shows_a_write_only_after_its_delay(client: ArmClient) -> None:
    client.caller = client.operator
    tags = {"tags": {"env": "prod"}}
    changed = await client.send("PATCH", cluster_id("one"), tags)
    assert changed.status == 200
    tagged = {"query": "resources | where tags.env == 'prod' | project name"}
    before = await client.send("POST", GRAPH, tagged)
    assert isinstance(before.body, dict)
    assert before.body["data"] == []
    client.clock.advance(timedelta(minutes=10))
    after = await client.send("POST", GRAPH, tagged)
    assert isinstance(after.body, dict)
    assert after.body["data"] == [{"name": "one"}]


async def test_resource_graph_learns_late_of_new_and_deleted_clusters(client: ArmClient) -> None:
    client.caller = client.operator
    body = {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "dnsPrefix": "new",
            "agentPoolProfiles": [{"name": "sys", "count": 1, "vmSize": "Standard_D4s_v5", "mode": "System"}],
        },
    }
    assert (await client.send("PUT", cluster_id("new"), body)).status == 201
    assert await names(client) == ["one"]
    client.clock.advance(timedelta(minutes=20))
    assert await names(client) == ["one", "new"]
    assert (await client.send("DELETE", cluster_id("new"))).status == 202
    client.clock.advance(timedelta(seconds=100))
    assert await names(client) == ["one", "new"]
    client.clock.advance(timedelta(minutes=20))
    assert await names(client) == ["one"]


async def test_later_pages_show_what_the_first_page_saw(client: ArmClient) -> None:
    first = await client.send("POST", GRAPH, {"query": QUERY, "options": {"$top": 1}})
    assert isinstance(first.body, dict)
    client.caller = client.operator
    await client.send("DELETE", cluster_id("one"))
    client.clock.advance(timedelta(hours=1))
    client.caller = client.outsider
    options = {"$top": 1, "$skipToken": first.body["$skipToken"]}
    second = await client.send("POST", GRAPH, {"query": QUERY, "options": options})
    assert isinstance(second.body, dict)
    assert [it["name"] for it in second.body["data"]] == ["two"]


@pytest.mark.parametrize(
    ("group", "because"),
    [
        (ManagementGroup(name="x", parent="nobody"), "there is no parent 'nobody'"),
        (ManagementGroup(name="x", subscriptions=(SUBSCRIPTION,)), "is below prod already"),
        (ManagementGroup(name="x", subscriptions=("nobody",)), "there is no subscription nobody"),
    ],
)
def test_a_management_group_that_contradicts_the_others_is_refused(
    client: ArmClient, group: ManagementGroup, because: str
) -> None:
    with pytest.raises(ValueError, match=because):
        client.arm.add_management_group(group)


def test_a_world_has_management_groups_and_an_export_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(
        "version: 1\nsubscriptions: [{name: prod-eu}]\nresourceGraphDelay: 60\n"
        "managementGroups: [{name: contoso, subscriptions: [prod-eu], roleAssignments: [{principal: operator, "
        "role: Reader}]}]\n"
    )
    sandbox = Sandbox(file)
    again = tmp_path / "again.yaml"
    again.write_text(dump_world(export_world(sandbox)))
    for state in (sandbox.arm.state, Sandbox(again).arm.state):
        (group,) = state.management_groups.all()
        assert (group.name, group.subscriptions, state.graph_delay) == ("contoso", tuple(state.subscriptions), 60)
        assert [it.role.name for it in state.access.all() if it.scope == group.id] == ["Reader"]


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("{name: a, subscriptions: [nobody]}", "there is no subscription nobody"),
        ("{name: a, roleAssignments: [{principal: operator, role: King}]}", "there is no role 'King'"),
    ],
)
def test_a_wrong_management_group_in_a_world_is_refused(tmp_path: Path, group: str, words: str) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(f"version: 1\nmanagementGroups: [{group}]\n")
    with pytest.raises(WorldError, match=words):
        Sandbox(file)
