"""ARM's other resources of a cluster: pools, maintenance, policies, activity log, Resource Graph, run commands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from azure_sandbox.arm.authorization.policies import PolicyAssignment, find_definition
from azure_sandbox.arm.containerservice.spec import ClusterSpec, PoolSpec
from azure_sandbox.arm.containerservice.versions import CREATION_WORDS
from azure_sandbox.cluster.regime import SERVER_APP
from azure_sandbox.front.http import Reply
from tests.support.arm_client import ADMINS, GROUP, LONG, OPERATOR, SCOPE, ArmClient, cluster_id

MANAGED = cluster_id("managed")
PLAIN = cluster_id("plain")
DENY = "993c2fcd-2b29-49d2-9eb0-df2c3a730c32"
LOG = f"{SCOPE}/providers/microsoft.insights/eventtypes/management/values"
GRAPH = "/providers/Microsoft.ResourceGraph/resources"


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(
        ClusterSpec(name="plain", pools=(PoolSpec(name="system"), PoolSpec(name="apps", mode="User", count=2))),
        ClusterSpec(name="managed", identity="managed", admin_groups=(ADMINS,), tags={"env": "prod"}),
        ClusterSpec(name="old", identity="legacy"),
    )


def body(reply: Reply) -> Any:
    return reply.body


async def test_pools_are_created_and_deleted_by_their_own_resource(client: ArmClient) -> None:
    made = await client.send("PUT", f"{PLAIN}/agentPools/extra", {"properties": {"count": 2, "mode": "User"}})
    assert (made.status, body(made)["properties"]["provisioningState"]) == (201, "Creating")
    assert (await client.refused("PUT", f"{PLAIN}/agentPools/other", {"properties": {}}))[:2] == (
        409,
        "OperationNotAllowed",
    )
    await client.finish(made)
    assert sum("extra" in it["metadata"]["name"] for it in client.server("plain").store.list(("", "nodes"))) == 2
    gone = await client.send("DELETE", f"{PLAIN}/agentPools/extra")
    assert gone.status == 202
    await client.finish(gone)
    assert (await client.send("GET", f"{PLAIN}/agentPools/extra")).status == 404
    assert (await client.send("DELETE", f"{PLAIN}/agentPools/extra")).status == 204
    assert not [it for it in client.server("plain").store.list(("", "nodes")) if "extra" in it["metadata"]["name"]]
    status, _, words = await client.refused("DELETE", f"{PLAIN}/agentPools/system")
    assert (status, words) == (400, "There has to be at least one system agent pool.")


async def test_a_write_with_a_wrong_etag_of_a_pool_gets_412(client: ArmClient) -> None:
    pool = await client.get(f"{PLAIN}/agentPools/apps")
    sent = {"properties": {**pool["properties"], "count": 3}}
    path = f"{PLAIN}/agentPools/apps"
    assert (await client.refused("PUT", path, sent, **{"If-Match": '"other"'}))[0] == 412
    assert (await client.refused("PUT", f"{PLAIN}/agentPools/none", sent, **{"If-Match": "*"}))[0] == 412
    scaled = await client.send("PUT", path, sent, **{"If-Match": f'"{pool["properties"]["eTag"]}"'})
    assert body(scaled)["properties"]["provisioningState"] == "Scaling"
    aborted = await client.send("POST", f"{path}/abort")
    client.clock.advance(LONG)
    assert await client.status_of(aborted) == "Succeeded"
    assert (await client.get(path))["properties"]["provisioningState"] == "Canceled"
    newer = await client.send("POST", f"{path}/upgradeNodeImageVersion")
    assert body(newer)["properties"]["provisioningState"] == "UpgradingNodeImageVersion"
    await client.finish(newer)
    assert (await client.get(path))["properties"]["nodeImageVersion"] == (
        await client.get(f"{path}/upgradeProfiles/default")
    )["properties"]["latestNodeImageVersion"]


async def test_upgrade_profiles_list_the_newer_versions(client: ArmClient) -> None:
    profile = (await client.get(f"{PLAIN}/upgradeProfiles/default"))["properties"]
    assert profile["controlPlaneProfile"]["kubernetesVersion"] == "1.33.5"
    assert [it["kubernetesVersion"] for it in profile["controlPlaneProfile"]["upgrades"]] == ["1.34.1"]
    offered = await client.get(f"{SCOPE}/providers/Microsoft.ContainerService/locations/westeurope/kubernetesVersions")
    assert [it["version"] for it in offered["values"]][-1] == "1.35"
    pools = await client.get(f"{PLAIN}/availableAgentPoolVersions")
    assert {"default": True, "kubernetesVersion": "1.33.5"} in pools["properties"]["agentPoolVersions"]


async def test_maintenance_configurations_are_written_read_and_checked(client: ArmClient) -> None:
    path = f"{PLAIN}/maintenanceConfigurations"
    window = {"schedule": {"weekly": {"intervalWeeks": 1, "dayOfWeek": "Sunday"}}, "startTime": "01:00"}
    name = "aksManagedAutoUpgradeSchedule"
    put = await client.send(
        "PUT", f"{path}/{name}", {"properties": {"maintenanceWindow": {**window, "durationHours": 4}}}
    )
    assert (put.status, body(put)["name"]) == (200, name)
    assert [it["name"] for it in (await client.get(path))["value"]] == [name]
    assert (await client.get(f"{path}/{name.lower()}"))["properties"]["maintenanceWindow"]["startTime"] == "01:00"
    short = {"properties": {"maintenanceWindow": {**window, "durationHours": 1}}}
    assert (await client.refused("PUT", f"{path}/{name}", short))[0] == 400
    assert (await client.refused("PUT", f"{path}/whenever", {"properties": {}}))[0] == 400
    assert (await client.refused("GET", f"{path}/default"))[:2] == (404, "ResourceNotFound")
    assert [(await client.send("DELETE", f"{path}/{name}")).status for _ in range(2)] == [200, 204]


async def test_a_policy_with_deny_refuses_a_write_and_is_named_in_the_refusal(client: ArmClient) -> None:
    assignments = f"{GROUP}/providers/Microsoft.Authorization/policyAssignments"
    sent = {
        "properties": {
            "displayName": "no back doors",
            "policyDefinitionId": f"/providers/Microsoft.Authorization/policyDefinitions/{DENY}",
            "parameters": {"effect": {"value": "Deny"}},
        }
    }
    assert (await client.send("PUT", f"{assignments}/closed", sent)).status == 201
    listed = await client.get(f"{MANAGED}/providers/Microsoft.Authorization/policyAssignments?$filter=atScope()")
    assert [it["properties"]["parameters"]["effect"]["value"] for it in listed["value"]] == ["Deny"]
    held = await client.get(MANAGED)
    refused = await client.send("PUT", MANAGED, {**held, "tags": {"a": "b"}})
    error = body(refused)["error"]
    assert (refused.status, error["code"], error["target"]) == (403, "RequestDisallowedByPolicy", "managed")
    assert f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/closed" in error["message"]
    assert error["additionalInfo"][0]["info"]["policyDefinitionEffect"] == "deny"
    closed = {**held, "properties": {**held["properties"], "disableLocalAccounts": True}}
    await client.finish(await client.send("PUT", MANAGED, closed))
    definition = await client.get(f"/providers/Microsoft.Authorization/policyDefinitions/{DENY}")
    assert definition["properties"]["policyType"] == "BuiltIn"
    assert (await client.send("DELETE", f"{assignments}/closed")).status == 200
    assert (await client.get(assignments))["value"] == []
    assert (await client.get(f"{GROUP}/providers/Microsoft.Authorization/policyExemptions"))["value"] == []
    client.caller = client.outsider
    assert (await client.refused("GET", assignments))[0] == 403


async def test_audit_disabled_enforcement_and_excluded_scopes_deny_nothing(client: ArmClient) -> None:
    definition = find_definition(DENY)
    assert definition is not None
    for number, (effect, enforced, spared) in enumerate(
        (("Audit", True, ()), ("Deny", False, ()), ("Deny", True, (GROUP,)))
    ):
        client.arm.add_policy(
            PolicyAssignment(
                scope=SCOPE,
                name=f"it-{number}",
                definition=definition,
                effect=effect,  # type: ignore[arg-type]  # one of three literals
                enforced=enforced,
                not_scopes=spared,
            )
        )
    assert (await client.change("plain", tags=None)).status == 200


async def test_the_activity_log_shows_who_requested_which_write(client: ArmClient) -> None:
    begin = client.clock.now() - timedelta(minutes=5)
    await client.send("POST", f"{PLAIN}/listClusterAdminCredential")
    stopped = await client.send("POST", f"{MANAGED}/stop")
    await client.finish(stopped)
    since = f"eventTimestamp ge '{begin:%Y-%m-%dT%H:%M:%SZ}'"
    found = (await client.get(f"{LOG}?$filter={since} and resourceUri eq '{PLAIN}'&api-version=2015-04-01"))["value"]
    assert [(it["operationName"]["value"], it["status"]["value"]) for it in found] == [
        ("Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action", "Succeeded"),
        ("Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action", "Started"),
    ]
    assert {it["caller"] for it in found} == {"operator"} or {it["caller"] for it in found} == {"operator-app"}
    assert found[0]["claims"]["http://schemas.microsoft.com/identity/claims/objectidentifier"] == OPERATOR
    stops = (await client.get(f"{LOG}?$filter={since} and resourceUri eq '{MANAGED}'&api-version=2015-04-01"))["value"]
    assert [it["status"]["value"] for it in stops] == ["Succeeded", "Accepted", "Started"]
    chosen = (await client.get(f"{LOG}?$filter={since}&$select=caller,status&api-version=2015-04-01"))["value"]
    assert set(chosen[0]) == {"caller", "status"}
    of_aks = f"{LOG}?$filter={since} and resourceProvider eq 'Microsoft.ContainerService'&api-version=2015-04-01"
    assert (await client.get(of_aks))["value"] == sorted(
        [*found, *stops], key=lambda it: it["eventTimestamp"], reverse=True
    )


async def test_the_activity_log_refuses_an_older_start_and_unknown_filters(client: ArmClient) -> None:
    old = client.clock.now() - timedelta(days=91)
    begin = f"eventTimestamp ge '{old:%Y-%m-%dT%H:%M:%SZ}'"
    assert (await client.refused("GET", f"{LOG}?$filter={begin}&api-version=2015-04-01"))[0] == 400
    assert (await client.refused("GET", f"{LOG}?api-version=2015-04-01"))[0] == 400
    assert (await client.refused("GET", f"{LOG}?$filter=colour eq 'red'&api-version=2015-04-01"))[0] == 400
    begin = f"eventTimestamp ge '{client.clock.now() - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}'"
    both = f"{begin} and resourceProvider eq 'Microsoft.ContainerService' and resourceUri eq '{PLAIN}'"
    assert (await client.refused("GET", f"{LOG}?$filter={both}&api-version=2015-04-01"))[0] == 400


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
async def test_resource_graph_answers_the_queries_people_write(client: ArmClient, query: str, expected: Any) -> None:
    answer = body(await client.send("POST", GRAPH, {"query": query}))
    assert answer["data"] == expected
    assert answer["totalRecords"] == answer["count"] == len(expected)


async def test_resource_graph_pages_checks_rights_and_refuses_unknown_queries(client: ArmClient) -> None:
    page = body(await client.send("POST", GRAPH, {"query": "resources | project name", "options": {"$top": 2}}))
    rest = {"query": "resources | project name", "options": {"$skipToken": page["$skipToken"]}}
    assert len(page["data"]) == 2
    assert len(body(await client.send("POST", GRAPH, rest))["data"]) == 1
    for query, status in (("resources | join x", 501), ("secrets", 501), ("resources | where a ^ b", 501), ("", 400)):
        assert (await client.refused("POST", GRAPH, {"query": query}))[0] == status
    client.caller = client.outsider
    assert body(await client.send("POST", GRAPH, {"query": "resources"}))["data"] == []


async def test_a_run_command_has_the_rights_of_the_cluster_token(client: ArmClient) -> None:
    async def run(path: str, command: str, token: str = "") -> Any:
        sent = {"command": command, "context": "", "clusterToken": token}
        accepted = await client.send("POST", f"{path}/runCommand", sent)
        assert accepted.status == 202, accepted
        url = accepted.headers["location"]
        assert (await client.send("GET", url)).status == 202
        client.clock.advance(timedelta(minutes=1))
        return body(await client.send("GET", url))["properties"]

    nodes = await run(PLAIN, "kubectl get nodes")
    assert (nodes["exitCode"], nodes["provisioningState"]) == (0, "Succeeded")
    assert nodes["logs"].startswith("NAME")
    assert (await client.refused("POST", f"{MANAGED}/runCommand", {"command": "kubectl get nodes"}))[0] == 400
    admin = client.tokens.issue(client.alice, audience=SERVER_APP)
    everywhere = (await run(MANAGED, "kubectl get pods -A", admin))["logs"].splitlines()
    assert everywhere[0].split()[:2] == ["NAMESPACE", "NAME"]
    assert {line.split()[0] for line in everywhere[1:]} == {"kube-system"}
    assert "NAMESPACE" not in (await run(PLAIN, "kubectl get nodes -A"))["logs"]
    assert (await run(PLAIN, "kubectl get pods"))["logs"] == "No resources found in default namespace.\n"
    assert (await run(PLAIN, "kubectl get pvc -A"))["logs"] == "No resources found\n"
    outsider = client.tokens.issue(client.outsider, audience=SERVER_APP)
    refused = await run(MANAGED, "kubectl get nodes", outsider)
    assert (refused["exitCode"], "Forbidden" in refused["logs"]) == (1, True)
    assert (await client.refused("POST", f"{PLAIN}/runCommand", {"command": "helm ls"}))[0] == 501
    assert (await client.refused("GET", f"{PLAIN}/commandResults/none"))[0] == 404


async def test_deleting_a_group_deletes_its_clusters_first(client: ArmClient) -> None:
    accepted = await client.send("DELETE", GROUP)
    assert accepted.status == 202
    url = accepted.headers["location"]
    assert (await client.send("GET", url)).status == 202
    assert (await client.get(GROUP))["properties"]["provisioningState"] == "Deleting"
    assert (await client.refused("PUT", GROUP, {"location": "westeurope"}))[:2] == (409, "ResourceGroupBeingDeleted")
    client.clock.advance(LONG)
    assert (await client.send("GET", url)).status == 200
    assert (await client.refused("GET", GROUP))[:2] == (404, "ResourceGroupNotFound")
    assert (await client.refused("GET", PLAIN))[0] == 404


async def test_an_altered_operation_url_is_refused(client: ArmClient) -> None:
    url = (await client.send("POST", f"{PLAIN}/stop")).headers["azure-asyncoperation"]
    assert (await client.send("GET", url)).status == 200
    for name in ("t", "c", "s", "h"):
        broken = url.replace(f"&{name}=", f"&{name}=x")
        assert (await client.refused("GET", broken))[0] == 403
    head, _, query = url.partition("?")
    assert (await client.refused("GET", f"{head[:-4]}0000?{query}"))[0] == 404


async def test_the_status_of_a_creation_names_its_stages_since_2025(client: ArmClient) -> None:
    pool = {"name": "system", "mode": "System"}
    sent = {"location": "westeurope", "properties": {"dnsPrefix": "new", "agentPoolProfiles": [pool]}}
    made = await client.send("PUT", cluster_id("new"), sent)
    older = await client.send("PUT", f"{cluster_id('older')}?api-version=2024-02-01", sent)
    seen, seen_before = [], set()
    while (word := await client.status_of(made)) != "Succeeded":
        seen += [word] if word not in seen else []
        seen_before.add(await client.status_of(older))
        client.clock.advance(timedelta(seconds=10))
    assert tuple(seen) == CREATION_WORDS
    assert seen_before <= {"InProgress", "Succeeded"}


async def test_the_api_server_of_a_free_cluster_is_down_during_the_upgrade_from_legacy(client: ArmClient) -> None:
    changed = await client.change("old", aadProfile={"managed": True, "adminGroupObjectIDs": [ADMINS]})
    client.clock.advance(timedelta(seconds=60))
    assert not client.server("old").reachable
    await client.finish(changed)
    assert client.server("old").reachable
    assert (await client.refused("POST", f"{cluster_id('old')}/resetAADProfile", {}))[2] == (
        "Operation 'resetAADProfile' is not allowed for managed AAD enabled cluster."
    )


async def test_providers_and_features_are_registered(client: ArmClient) -> None:
    providers = f"{SCOPE}/providers"
    assert (await client.get(f"{providers}/Microsoft.Compute"))["registrationState"] == "Registered"
    assert (await client.get(f"{providers}/microsoft.keyvault"))["registrationState"] == "NotRegistered"
    assert (
        body(await client.send("POST", f"{providers}/Microsoft.KeyVault/register"))["registrationState"] == "Registered"
    )
    assert (await client.refused("GET", f"{providers}/Contoso.Odd"))[1] == "InvalidResourceNamespace"
    feature = f"{providers}/Microsoft.Features/providers/Microsoft.ContainerService/features/AutomaticSKUPreview"
    assert (await client.get(feature))["properties"]["state"] == "NotRegistered"
    await client.send("POST", f"{feature}/register")
    assert (await client.get(feature))["properties"]["state"] == "Registered"


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
async def test_properties_of_the_wrong_type_get_400(client: ArmClient, properties: Any) -> None:
    held = await client.get(PLAIN)
    assert (await client.refused("PUT", PLAIN, {**held, "properties": {**held["properties"], **properties}}))[0] == 400


async def test_an_unknown_property_gets_a_501_that_names_it(client: ArmClient) -> None:
    held = await client.get(PLAIN)
    odd = {**held, "properties": {**held["properties"], "oddThing": 1}}
    status, code, words = await client.refused("PUT", PLAIN, odd)
    assert (status, code) == (501, "SandboxNotModelled")
    assert "properties.oddThing" in words
    status, _, words = await client.refused("PUT", f"{PLAIN}/agentPools/apps", {"properties": {"colour": "red"}})
    assert (status, "agentPoolProfiles.colour" in words) == (501, True)
