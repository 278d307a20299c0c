"""What stands around a cluster in the control plane: pools, windows, policies, log, graph, commands, groups."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from azure_sandbox.arm.policies import PolicyAssignment, find_definition
from azure_sandbox.arm.spec import ClusterSpec, PoolSpec
from azure_sandbox.cluster.regime import SERVER_APP
from azure_sandbox.http import Reply
from tests.sandbox.arm_desk import ADMINS, GROUP, LONG, OPERATOR, SCOPE, Desk, cluster_id

MANAGED = cluster_id("managed")
PLAIN = cluster_id("plain")
DENY = "993c2fcd-2b29-49d2-9eb0-df2c3a730c32"
LOG = f"{SCOPE}/providers/microsoft.insights/eventtypes/management/values"
GRAPH = "/providers/Microsoft.ResourceGraph/resources"


@pytest.fixture(name="desk")
def a_desk() -> Desk:
    return Desk(
        ClusterSpec(name="plain", pools=(PoolSpec(name="system"), PoolSpec(name="apps", mode="User", count=2))),
        ClusterSpec(name="managed", identity="managed", admin_groups=(ADMINS,), tags={"env": "prod"}),
        ClusterSpec(name="old", identity="legacy"),
    )


def body(reply: Reply) -> Any:
    return reply.body


async def test_pools_come_and_go_by_their_own_resource(desk: Desk) -> None:
    made = await desk.send("PUT", f"{PLAIN}/agentPools/extra", {"properties": {"count": 2, "mode": "User"}})
    assert (made.status, body(made)["properties"]["provisioningState"]) == (201, "Creating")
    assert (await desk.refused("PUT", f"{PLAIN}/agentPools/other", {"properties": {}}))[:2] == (
        409,
        "OperationNotAllowed",
    )
    await desk.finish(made)
    assert sum("extra" in it["metadata"]["name"] for it in desk.server("plain").store.list(("", "nodes"))) == 2
    gone = await desk.send("DELETE", f"{PLAIN}/agentPools/extra")
    assert gone.status == 202
    await desk.finish(gone)
    assert (await desk.send("GET", f"{PLAIN}/agentPools/extra")).status == 404
    assert (await desk.send("DELETE", f"{PLAIN}/agentPools/extra")).status == 204
    assert not [it for it in desk.server("plain").store.list(("", "nodes")) if "extra" in it["metadata"]["name"]]
    status, _, words = await desk.refused("DELETE", f"{PLAIN}/agentPools/system")
    assert (status, words) == (400, "There has to be at least one system agent pool.")


async def test_a_pools_etag_guards_it_and_a_wrong_one_is_412(desk: Desk) -> None:
    pool = await desk.get(f"{PLAIN}/agentPools/apps")
    sent = {"properties": {**pool["properties"], "count": 3}}
    path = f"{PLAIN}/agentPools/apps"
    assert (await desk.refused("PUT", path, sent, **{"If-Match": '"other"'}))[0] == 412
    assert (await desk.refused("PUT", f"{PLAIN}/agentPools/none", sent, **{"If-Match": "*"}))[0] == 412
    scaled = await desk.send("PUT", path, sent, **{"If-Match": f'"{pool["properties"]["eTag"]}"'})
    assert body(scaled)["properties"]["provisioningState"] == "Scaling"
    aborted = await desk.send("POST", f"{path}/abort")
    desk.clock.advance(LONG)
    assert await desk.status_of(aborted) == "Succeeded"
    assert (await desk.get(path))["properties"]["provisioningState"] == "Canceled"
    newer = await desk.send("POST", f"{path}/upgradeNodeImageVersion")
    assert body(newer)["properties"]["provisioningState"] == "UpgradingNodeImageVersion"
    await desk.finish(newer)
    assert (await desk.get(path))["properties"]["nodeImageVersion"] == (
        await desk.get(f"{path}/upgradeProfiles/default")
    )["properties"]["latestNodeImageVersion"]


async def test_upgrades_on_offer(desk: Desk) -> None:
    profile = (await desk.get(f"{PLAIN}/upgradeProfiles/default"))["properties"]
    assert profile["controlPlaneProfile"]["kubernetesVersion"] == "1.33.5"
    assert [it["kubernetesVersion"] for it in profile["controlPlaneProfile"]["upgrades"]] == ["1.34.1"]
    offered = await desk.get(f"{SCOPE}/providers/Microsoft.ContainerService/locations/westeurope/kubernetesVersions")
    assert [it["version"] for it in offered["values"]][-1] == "1.34"
    pools = await desk.get(f"{PLAIN}/availableAgentPoolVersions")
    assert {"default": True, "kubernetesVersion": "1.33.5"} in pools["properties"]["agentPoolVersions"]


async def test_maintenance_windows(desk: Desk) -> None:
    path = f"{PLAIN}/maintenanceConfigurations"
    window = {"schedule": {"weekly": {"intervalWeeks": 1, "dayOfWeek": "Sunday"}}, "startTime": "01:00"}
    name = "aksManagedAutoUpgradeSchedule"
    put = await desk.send(
        "PUT", f"{path}/{name}", {"properties": {"maintenanceWindow": {**window, "durationHours": 4}}}
    )
    assert (put.status, body(put)["name"]) == (200, name)
    assert [it["name"] for it in (await desk.get(path))["value"]] == [name]
    assert (await desk.get(f"{path}/{name.lower()}"))["properties"]["maintenanceWindow"]["startTime"] == "01:00"
    short = {"properties": {"maintenanceWindow": {**window, "durationHours": 1}}}
    assert (await desk.refused("PUT", f"{path}/{name}", short))[0] == 400
    assert (await desk.refused("PUT", f"{path}/whenever", {"properties": {}}))[0] == 400
    assert (await desk.refused("GET", f"{path}/default"))[:2] == (404, "ResourceNotFound")
    assert [(await desk.send("DELETE", f"{path}/{name}")).status for _ in range(2)] == [200, 204]


async def test_a_policy_denies_what_it_says_and_names_itself(desk: Desk) -> None:
    assignments = f"{GROUP}/providers/Microsoft.Authorization/policyAssignments"
    sent = {
        "properties": {
            "displayName": "no back doors",
            "policyDefinitionId": f"/providers/Microsoft.Authorization/policyDefinitions/{DENY}",
            "parameters": {"effect": {"value": "Deny"}},
        }
    }
    assert (await desk.send("PUT", f"{assignments}/closed", sent)).status == 201
    listed = await desk.get(f"{MANAGED}/providers/Microsoft.Authorization/policyAssignments?$filter=atScope()")
    assert [it["properties"]["parameters"]["effect"]["value"] for it in listed["value"]] == ["Deny"]
    held = await desk.get(MANAGED)
    refused = await desk.send("PUT", MANAGED, {**held, "tags": {"a": "b"}})
    error = body(refused)["error"]
    assert (refused.status, error["code"], error["target"]) == (403, "RequestDisallowedByPolicy", "managed")
    assert f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/closed" in error["message"]
    assert error["additionalInfo"][0]["info"]["policyDefinitionEffect"] == "deny"
    closed = {**held, "properties": {**held["properties"], "disableLocalAccounts": True}}
    await desk.finish(await desk.send("PUT", MANAGED, closed))
    definition = await desk.get(f"/providers/Microsoft.Authorization/policyDefinitions/{DENY}")
    assert definition["properties"]["policyType"] == "BuiltIn"
    assert (await desk.send("DELETE", f"{assignments}/closed")).status == 200
    assert (await desk.get(assignments))["value"] == []
    assert (await desk.get(f"{GROUP}/providers/Microsoft.Authorization/policyExemptions"))["value"] == []
    desk.speaker = desk.outsider
    assert (await desk.refused("GET", assignments))[0] == 403


async def test_an_exempted_scope_an_audit_and_a_disabled_enforcement_deny_nothing(desk: Desk) -> None:
    definition = find_definition(DENY)
    assert definition is not None
    for number, (effect, enforced, spared) in enumerate(
        (("Audit", True, ()), ("Deny", False, ()), ("Deny", True, (GROUP,)))
    ):
        desk.arm.add_policy(
            PolicyAssignment(
                scope=SCOPE,
                name=f"it-{number}",
                definition=definition,
                effect=effect,  # type: ignore[arg-type]  # one of three literals
                enforced=enforced,
                not_scopes=spared,
            )
        )
    assert (await desk.change("plain", tags=None)).status == 200


async def test_the_activity_log_holds_who_asked_for_what(desk: Desk) -> None:
    begin = desk.clock.now() - timedelta(minutes=5)
    await desk.send("POST", f"{PLAIN}/listClusterAdminCredential")
    stopped = await desk.send("POST", f"{MANAGED}/stop")
    await desk.finish(stopped)
    since = f"eventTimestamp ge '{begin:%Y-%m-%dT%H:%M:%SZ}'"
    found = (await desk.get(f"{LOG}?$filter={since} and resourceUri eq '{PLAIN}'&api-version=2015-04-01"))["value"]
    assert [(it["operationName"]["value"], it["status"]["value"]) for it in found] == [
        ("Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action", "Succeeded"),
        ("Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action", "Started"),
    ]
    assert {it["caller"] for it in found} == {"operator"} or {it["caller"] for it in found} == {"operator-app"}
    assert found[0]["claims"]["http://schemas.microsoft.com/identity/claims/objectidentifier"] == OPERATOR
    stops = (await desk.get(f"{LOG}?$filter={since} and resourceUri eq '{MANAGED}'&api-version=2015-04-01"))["value"]
    assert [it["status"]["value"] for it in stops] == ["Succeeded", "Accepted", "Started"]
    chosen = (await desk.get(f"{LOG}?$filter={since}&$select=caller,status&api-version=2015-04-01"))["value"]
    assert set(chosen[0]) == {"caller", "status"}


async def test_the_activity_log_ends_after_90_days_and_refuses_what_it_does_not_know(desk: Desk) -> None:
    old = desk.clock.now() - timedelta(days=91)
    begin = f"eventTimestamp ge '{old:%Y-%m-%dT%H:%M:%SZ}'"
    assert (await desk.refused("GET", f"{LOG}?$filter={begin}&api-version=2015-04-01"))[0] == 400
    assert (await desk.refused("GET", f"{LOG}?api-version=2015-04-01"))[0] == 400
    assert (await desk.refused("GET", f"{LOG}?$filter=colour eq 'red'&api-version=2015-04-01"))[0] == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "Resources | where type =~ 'Microsoft.ContainerService/managedClusters' | project name | order by name asc",
            [{"name": "managed"}, {"name": "old"}, {"name": "plain"}],
        ),
        (
            (
                "resources | where properties.aadProfile.managed == true | project name, groups = "
                "array_length(properties.aadProfile.adminGroupObjectIDs)"
            ),
            [{"name": "managed", "groups": 1}],
        ),
        (
            "resources | where isnull(properties.aadProfile) or tobool(properties.aadProfile.managed) != true | count",
            [{"Count": 2}],
        ),
        ("resources | where tags.env == 'prod' and name in~ ('MANAGED', 'x') | project name", [{"name": "managed"}]),
        ("resources | summarize clusters = count() by location", [{"location": "westeurope", "clusters": 3}]),
        (
            (
                "resources | extend e = iff(isnotnull(properties.aadProfile), 'entra', 'none') | where e == 'none' "
                "| distinct name, e"
            ),
            [{"name": "plain", "e": "none"}],
        ),
        (
            "ResourceContainers | where type == 'microsoft.resources/subscriptions' | project name",
            [{"name": "prod-eu"}],
        ),
        ("resources // all of them\n| where name startswith 'pl' | take 1 | project name", [{"name": "plain"}]),
    ],
)
async def test_resource_graph_answers_the_queries_people_write(desk: Desk, query: str, expected: Any) -> None:
    answer = body(await desk.send("POST", GRAPH, {"query": query}))
    assert answer["data"] == expected
    assert answer["totalRecords"] == answer["count"] == len(expected)


async def test_resource_graph_pages_shows_only_what_one_may_read_and_refuses_the_rest(desk: Desk) -> None:
    page = body(await desk.send("POST", GRAPH, {"query": "resources | project name", "options": {"$top": 2}}))
    rest = {"query": "resources | project name", "options": {"$skipToken": page["$skipToken"]}}
    assert len(page["data"]) == 2
    assert len(body(await desk.send("POST", GRAPH, rest))["data"]) == 1
    for query, status in (("resources | join x", 501), ("secrets", 501), ("resources | where a ^ b", 501), ("", 400)):
        assert (await desk.refused("POST", GRAPH, {"query": query}))[0] == status
    desk.speaker = desk.outsider
    assert body(await desk.send("POST", GRAPH, {"query": "resources"}))["data"] == []


async def test_a_command_runs_as_whoever_holds_the_cluster_token(desk: Desk) -> None:
    async def run(path: str, command: str, token: str = "") -> Any:
        sent = {"command": command, "context": "", "clusterToken": token}
        accepted = await desk.send("POST", f"{path}/runCommand", sent)
        assert accepted.status == 202, accepted
        url = accepted.headers["location"]
        assert (await desk.send("GET", url)).status == 202
        desk.clock.advance(timedelta(minutes=1))
        return body(await desk.send("GET", url))["properties"]

    nodes = await run(PLAIN, "kubectl get nodes")
    assert (nodes["exitCode"], nodes["provisioningState"]) == (0, "Succeeded")
    assert nodes["logs"].startswith("NAME")
    assert (await desk.refused("POST", f"{MANAGED}/runCommand", {"command": "kubectl get nodes"}))[0] == 400
    admin = desk.tokens.issue(desk.alice, audience=SERVER_APP)
    assert (await run(MANAGED, "kubectl get pods -A", admin))["exitCode"] == 0
    outsider = desk.tokens.issue(desk.outsider, audience=SERVER_APP)
    refused = await run(MANAGED, "kubectl get nodes", outsider)
    assert (refused["exitCode"], "Forbidden" in refused["logs"]) == (1, True)
    assert (await desk.refused("POST", f"{PLAIN}/runCommand", {"command": "helm ls"}))[0] == 501
    assert (await desk.refused("GET", f"{PLAIN}/commandResults/none"))[0] == 404


async def test_a_group_goes_with_its_clusters_and_takes_its_time(desk: Desk) -> None:
    accepted = await desk.send("DELETE", GROUP)
    assert accepted.status == 202
    url = accepted.headers["location"]
    assert (await desk.send("GET", url)).status == 202
    assert (await desk.get(GROUP))["properties"]["provisioningState"] == "Deleting"
    assert (await desk.refused("PUT", GROUP, {"location": "westeurope"}))[:2] == (409, "ResourceGroupBeingDeleted")
    desk.clock.advance(LONG)
    assert (await desk.send("GET", url)).status == 200
    assert (await desk.refused("GET", GROUP))[:2] == (404, "ResourceGroupNotFound")
    assert (await desk.refused("GET", PLAIN))[0] == 404


async def test_an_operations_url_is_polled_as_it_was_given(desk: Desk) -> None:
    url = (await desk.send("POST", f"{PLAIN}/stop")).headers["azure-asyncoperation"]
    assert (await desk.send("GET", url)).status == 200
    for name in ("t", "c", "s", "h"):
        broken = url.replace(f"&{name}=", f"&{name}=x")
        assert (await desk.refused("GET", broken))[0] == 403
    head, _, query = url.partition("?")
    assert (await desk.refused("GET", f"{head[:-4]}0000?{query}"))[0] == 404


async def test_a_creation_begins_with_a_status_of_its_own(desk: Desk) -> None:
    pool = {"name": "system", "mode": "System"}
    sent = {"location": "westeurope", "properties": {"dnsPrefix": "new", "agentPoolProfiles": [pool]}}
    made = await desk.send("PUT", cluster_id("new"), sent)
    assert (made.status, await desk.status_of(made)) == (201, "ProvisioningControlPlane")
    desk.clock.advance(timedelta(seconds=200))
    assert await desk.status_of(made) == "InProgress"
    older = await desk.send("PUT", f"{cluster_id('older')}?api-version=2024-02-01", sent)
    assert await desk.status_of(older) == "InProgress"


async def test_a_free_cluster_is_away_for_a_while_on_its_way_from_legacy(desk: Desk) -> None:
    changed = await desk.change("old", aadProfile={"managed": True, "adminGroupObjectIDs": [ADMINS]})
    desk.clock.advance(timedelta(seconds=60))
    assert not desk.server("old").reachable
    await desk.finish(changed)
    assert desk.server("old").reachable
    assert (await desk.refused("POST", f"{cluster_id('old')}/resetAADProfile", {}))[2] == (
        "Operation 'resetAADProfile' is not allowed for managed AAD enabled cluster."
    )


async def test_providers_and_features_are_registered(desk: Desk) -> None:
    providers = f"{SCOPE}/providers"
    assert (await desk.get(f"{providers}/Microsoft.Compute"))["registrationState"] == "Registered"
    assert (await desk.get(f"{providers}/microsoft.keyvault"))["registrationState"] == "NotRegistered"
    assert (
        body(await desk.send("POST", f"{providers}/Microsoft.KeyVault/register"))["registrationState"] == "Registered"
    )
    assert (await desk.refused("GET", f"{providers}/Contoso.Odd"))[1] == "InvalidResourceNamespace"
    feature = f"{providers}/Microsoft.Features/providers/Microsoft.ContainerService/features/AutomaticSKUPreview"
    assert (await desk.get(feature))["properties"]["state"] == "NotRegistered"
    await desk.send("POST", f"{feature}/register")
    assert (await desk.get(feature))["properties"]["state"] == "Registered"


@pytest.mark.parametrize(
    "properties",
    [
        {"disableLocalAccounts": "yes"},
        {"aadProfile": []},
        {"aadProfile": {"managed": "true"}},
        {"aadProfile": {"adminGroupObjectIDs": "one"}},
        {"agentPoolProfiles": {}},
        {"agentPoolProfiles": [7]},
        {"agentPoolProfiles": [{"name": "a", "count": "2"}]},
        {"agentPoolProfiles": [{"name": "a"}, {"name": "a"}]},
        {"kubernetesVersion": "new"},
    ],
)
async def test_wrong_types_are_400(desk: Desk, properties: Any) -> None:
    held = await desk.get(PLAIN)
    assert (await desk.refused("PUT", PLAIN, {**held, "properties": {**held["properties"], **properties}}))[0] == 400


async def test_a_property_that_nobody_knows_is_refused_by_name(desk: Desk) -> None:
    held = await desk.get(PLAIN)
    odd = {**held, "properties": {**held["properties"], "oddThing": 1}}
    status, code, words = await desk.refused("PUT", PLAIN, odd)
    assert (status, code) == (501, "SandboxNotModelled")
    assert "properties.oddThing" in words
    status, _, words = await desk.refused("PUT", f"{PLAIN}/agentPools/apps", {"properties": {"colour": "red"}})
    assert (status, "agentPoolProfiles.colour" in words) == (501, True)
