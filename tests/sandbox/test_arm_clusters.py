"""Managed clusters: how a PUT completes what was sent, what it refuses, and how operations run and end."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec, PoolSpec
from tests.support.arm_client import ADMINS, GROUP, LONG, OTHERS, SCOPE, TENANT, ArmClient, cluster_id

NEW: dict[str, Any] = {
    "location": "westeurope",
    "properties": {"dnsPrefix": "new", "agentPoolProfiles": [{"name": "system", "mode": "System", "count": 2}]},
}
MANAGED = {"managed": True, "adminGroupObjectIDs": [ADMINS], "tenantID": TENANT}


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(
        ClusterSpec(name="plain", nodes=2, tags={"env": "prod"}),
        ClusterSpec(name="legacy", identity="legacy"),
        ClusterSpec(name="guarded", identity="managed", admin_groups=(ADMINS,)),
        ClusterSpec(name="norbac", kubernetes_rbac=False),
        ClusterSpec(name="old", version="1.24.9"),
    )


def body(reply: Any) -> Any:
    return reply.body


async def test_a_cluster_is_created_by_a_long_running_operation(client: ArmClient) -> None:
    made = await client.send("PUT", cluster_id("new"), NEW)
    assert made.status == 201
    assert body(made)["properties"]["provisioningState"] == "Creating"
    assert "location" not in made.headers
    assert not client.server("new").reachable
    assert (await client.refused("PUT", cluster_id("new"), NEW))[:2] == (409, "OperationNotAllowed")
    await client.finish(made)
    held = await client.get(cluster_id("new"))
    assert held["properties"]["provisioningState"] == "Succeeded"
    assert held["properties"]["identityProfile"]["kubeletidentity"]["objectId"]
    assert held["id"].startswith(f"{SCOPE}/resourcegroups/shop-weu/")
    assert client.server("new").reachable
    nodes = await client.get(f"{SCOPE}/resourcegroups/MC_shop-weu_new_westeurope")
    assert nodes["managedBy"] == held["id"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({**NEW, "location": ""}, "LocationRequired"),
        ({**NEW, "properties": {**NEW["properties"], "dnsPrefix": ""}}, "InvalidParameter"),
        ({**NEW, "properties": {"dnsPrefix": "new"}}, "InvalidParameter"),
        ({**NEW, "properties": {**NEW["properties"], "disableLocalAccounts": True}}, "BadRequest"),
        ({**NEW, "properties": {**NEW["properties"], "aadProfile": MANAGED, "enableRBAC": False}}, "BadRequest"),
    ],
)
async def test_an_invalid_new_cluster_is_refused(client: ArmClient, sent: object, code: str) -> None:
    status, refusal, _ = await client.refused("PUT", cluster_id("new"), sent)
    assert (status, refusal) == (400, code)
    assert (await client.send("GET", cluster_id("new"))).status == 404


async def test_the_answer_shows_entra_as_soon_as_the_update_starts(client: ArmClient) -> None:
    changed = await client.change("plain", aadProfile=MANAGED)
    assert changed.status == 200
    assert body(changed)["properties"]["provisioningState"] == "Updating"
    assert body(changed)["properties"]["agentPoolProfiles"][0]["provisioningState"] == "Updating"
    assert body(changed)["properties"]["aadProfile"] == {
        "managed": True,
        "adminGroupObjectIDs": [ADMINS],
        "adminUsers": None,
        "tenantID": TENANT,
    }
    status, code, message = await client.refused("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    assert (status, code) == (409, "OperationNotAllowed")
    assert message.startswith(
        "Operation is not allowed because there's an in progress update managed cluster operation"
    )
    await client.finish(changed)


async def test_the_answer_to_an_upgrade_from_legacy_has_no_legacy_ids(client: ArmClient) -> None:
    before = (await client.get(cluster_id("legacy")))["properties"]["aadProfile"]
    assert set(before) == {"adminGroupObjectIDs", "adminUsers", "clientAppID", "serverAppID", "tenantID"}
    changed = await client.change("legacy", aadProfile=MANAGED)
    assert set(body(changed)["properties"]["aadProfile"]) == {
        "managed",
        "adminGroupObjectIDs",
        "adminUsers",
        "tenantID",
    }


async def test_entra_cannot_be_disabled_or_downgraded(client: ArmClient) -> None:
    held = await client.get(cluster_id("guarded"))
    for entra, path in (
        (None, "aadProfile"),
        ({"clientAppID": "a", "serverAppID": "b", "tenantID": TENANT}, "aadProfile.managed"),
        ({"managed": False}, "aadProfile.managed"),
    ):
        sent = {**held, "properties": {**held["properties"], "aadProfile": entra}}
        assert await client.refused("PUT", cluster_id("guarded"), sent) == (
            400,
            "PropertyChangeNotAllowed",
            f"Changing property '{path}' is not allowed.",
        )
    mixed = {**MANAGED, "serverAppID": "b"}
    sent = {**held, "properties": {**held["properties"], "aadProfile": mixed}}
    assert (await client.refused("PUT", cluster_id("guarded"), sent))[0] == 400
    left_out = await client.change("guarded", aadProfile=None)
    assert body(left_out)["properties"]["aadProfile"]["adminGroupObjectIDs"] == [ADMINS]


async def test_aks_does_not_check_that_groups_and_tenant_exist(client: ArmClient) -> None:
    wrong = {**MANAGED, "adminGroupObjectIDs": ["no-such-group"], "tenantID": "no-such-tenant"}
    changed = await client.change("plain", aadProfile=wrong)
    assert changed.status == 200
    assert body(changed)["properties"]["aadProfile"]["adminGroupObjectIDs"] == ["no-such-group"]


async def test_local_accounts_need_entra_since_1_25(client: ArmClient) -> None:
    reply = await client.change("plain", disableLocalAccounts=True)
    assert reply.status == 400
    assert body(reply)["code"] == "BadRequest"  # AKS answers a bare error, without the envelope
    assert body(reply)["message"] == (
        "Since kubernetes version 1.25, disableLocalAccounts can only be set on Azure AD integration enabled cluster. "
        "Please integrate your cluster with AAD."
    )
    assert "x-ms-failure-cause" not in reply.headers
    assert (await client.change("old", disableLocalAccounts=True)).status == 200
    assert (await client.change("guarded", disableLocalAccounts=True)).status == 200


async def test_a_cluster_without_kubernetes_rbac_cannot_be_integrated(client: ArmClient) -> None:
    assert (await client.change("norbac", aadProfile=MANAGED)).status == 400
    assert (await client.change("norbac", enableRBAC=True)).status == 400


async def test_a_change_of_an_immutable_property_is_refused(client: ArmClient) -> None:
    pools = (await client.get(cluster_id("plain")))["properties"]["agentPoolProfiles"]
    for change, target in (
        ({"dnsPrefix": "other"}, "dnsPrefix"),
        ({"nodeResourceGroup": "other"}, "nodeResourceGroup"),
        ({"servicePrincipalProfile": {"clientId": "other"}}, "servicePrincipalProfile.clientId"),
        ({"agentPoolProfiles": [{**pools[0], "vmSize": "Standard_D2s_v3"}]}, "properties.vmSize"),
        ({"enableRBAC": False}, "enableRBAC"),
    ):
        reply = await client.change("plain", **change)
        assert body(reply)["code"] == "PropertyChangeNotAllowed", change
        assert body(reply)["target"] == target
    assert (await client.change("plain", agentPoolProfiles=[{**pools[0], "name": "other"}])).status == 400
    assert (await client.change("plain", kubernetesVersion="1.32.9")).status == 400


async def test_an_unknown_property_is_refused_in_a_request_and_kept_in_a_resource(client: ArmClient) -> None:
    future = {"mode": "Bright", "nested": [1, {"two": None}], "empty": {}}
    assert (await client.change("plain", futureThing=future)).status == 501
    assert (await client.change("plain", apiServerAccessProfile={"futureThing": future})).status == 501
    deep = {"loadBalancerProfile": {"managedOutboundIPs": {"count": 1, "futureThing": future}}}
    refused = await client.change("plain", networkProfile=deep)
    assert refused.status == 501
    assert "properties.networkProfile.loadBalancerProfile.managedOutboundIPs.futureThing" in str(refused.body)
    held = await client.get(cluster_id("plain"))
    assert (await client.send("PUT", cluster_id("plain"), {**held, "futureThing": future})).status == 501
    (plain,) = [it for it in client.arm.state.clusters.values() if it.name == "plain"]
    plain.properties["futureThing"] = future  # as in a world that was imported from Azure's documents
    again = await client.change("plain", aadProfile=MANAGED)
    assert body(again)["properties"]["futureThing"] == future
    assert body(again)["tags"] == {"env": "prod"}


async def test_a_put_without_tags_removes_them_and_a_patch_sets_only_tags(client: ArmClient) -> None:
    held = await client.get(cluster_id("plain"))
    del held["tags"]
    await client.finish(await client.send("PUT", cluster_id("plain"), held))
    assert "tags" not in await client.get(cluster_id("plain"))
    patched = await client.send("PATCH", cluster_id("plain"), {"tags": {"a": "b"}})
    assert body(patched)["tags"] == {"a": "b"}
    assert (await client.refused("PATCH", cluster_id("plain"), {"tags": {}}))[0] == 409
    client.clock.advance(LONG)
    assert (await client.refused("PATCH", cluster_id("plain"), {"sku": {}}))[0] == 400


async def test_etags_guard_a_write(client: ArmClient) -> None:
    held = await client.get(cluster_id("plain"))
    etag = held["eTag"]
    stale = {"If-Match": '"something else"'}
    assert (await client.refused("PUT", cluster_id("plain"), held, **stale))[:2] == (412, "PreconditionFailed")
    assert (await client.refused("PUT", cluster_id("new"), NEW, **{"If-Match": "*"}))[2].startswith(
        "Resource not found"
    )
    assert (await client.refused("PUT", cluster_id("plain"), held, **{"If-None-Match": "*"}))[0] == 412
    assert (await client.refused("PUT", cluster_id("plain"), held, **{"If-None-Match": "x"}))[0] == 400
    both = {"If-Match": "*", "If-None-Match": "*"}
    assert (await client.refused("PUT", cluster_id("plain"), held, **both))[0] == 400
    done = await client.send("PUT", cluster_id("plain"), held, **{"If-Match": f'"{etag}"'})
    assert done.status == 200
    assert body(done)["eTag"] != etag
    assert (await client.send("PUT", cluster_id("new"), NEW, **{"If-None-Match": "*"})).status == 201
    shown = await client.get(f"{cluster_id('plain')}?api-version=2023-10-01")
    assert not {"eTag", "kind"} & set(shown)


async def test_an_operation_can_be_polled_only_at_its_signed_url(client: ArmClient) -> None:
    started = await client.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    assert started.status == 202
    assert body(started)["properties"]["provisioningState"] == "RotatingClusterCertificates"
    assert {it["provisioningState"] for it in body(started)["properties"]["agentPoolProfiles"]} == {"Succeeded"}
    assert (await client.get(cluster_id("plain")))["properties"]["provisioningState"] == "RotatingClusterCertificates"
    url = started.headers["azure-asyncoperation"]
    assert (await client.refused("GET", url.partition("&")[0]))[1] == "InvalidAsyncOperationSignature"
    assert (await client.send("GET", started.headers["location"])).status == 202
    await client.finish(started)
    polled = body(await client.send("GET", url))
    assert set(polled) == {"name", "status", "startTime", "endTime"}
    assert len(polled["endTime"].partition(".")[2]) == len("1234567Z")
    result = await client.send("GET", started.headers["location"])
    assert (result.status, result.body) == (204, None)
    assert result.headers["location"] == started.headers["location"]
    client.caller = client.outsider
    assert (await client.refused("GET", url))[1] == "AuthorizationFailed"


async def test_at_another_pace_answers_say_when_to_poll_again() -> None:
    client = ArmClient(ClusterSpec(name="plain"))
    real = await client.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    assert not [it for it in real.headers if "retry" in it]
    client.clock.pace = 100
    hurried = await client.send("GET", real.headers["azure-asyncoperation"])
    assert hurried.headers["x-ms-retry-after-ms"] == "300"


async def test_a_cluster_stops_and_starts(client: ArmClient) -> None:
    await client.finish(await client.send("POST", f"{cluster_id('plain')}/stop"))
    held = await client.get(cluster_id("plain"))
    assert held["properties"]["powerState"] == {"code": "Stopped"}
    assert not client.server("plain").reachable
    status, _, message = await client.refused("POST", f"{cluster_id('plain')}/stop")
    assert status == 400
    assert "Power State(Stopped), stopping cannot be performed" in message
    await client.finish(await client.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates"))
    assert not client.server("plain").reachable
    await client.finish(await client.send("POST", f"{cluster_id('plain')}/start"))
    assert client.server("plain").reachable


async def test_an_abort_undoes_nothing_and_leaves_the_state_canceled(client: ArmClient) -> None:
    assert (await client.refused("POST", f"{cluster_id('plain')}/abort"))[0] == 409
    changed = await client.change("plain", aadProfile=MANAGED)
    aborted = await client.send("POST", f"{cluster_id('plain')}/abort")
    assert aborted.status == 202
    assert await client.status_of(changed) == "Canceled"
    await client.finish(aborted)
    held = await client.get(cluster_id("plain"))
    assert held["properties"]["provisioningState"] == "Canceled"
    assert held["properties"]["aadProfile"]["managed"] is True
    assert client.server("plain").regime.identity == "none"


async def test_a_deletion_removes_the_cluster_its_host_name_and_its_node_group(client: ArmClient) -> None:
    fqdn = client.server("plain").fqdn
    gone = await client.send("DELETE", cluster_id("plain"))
    assert (gone.status, gone.body) == (202, None)
    await client.finish(gone)
    assert (await client.send("GET", cluster_id("plain"))).status == 404
    assert client.arm.clusters.for_host(fqdn) is None
    assert (await client.send("GET", f"{SCOPE}/resourceGroups/MC_shop-weu_plain_westeurope")).status == 404
    assert (await client.send("DELETE", cluster_id("plain"))).status == 204


async def test_a_pool_is_read_labelled_and_scaled_by_its_own_resource(client: ArmClient) -> None:
    pools = f"{cluster_id('plain')}/agentPools"
    (pool,) = (await client.get(pools))["value"]
    assert pool["type"] == "Microsoft.ContainerService/managedClusters/agentPools"
    cluster_tag, pool_tag = (await client.get(cluster_id("plain")))["eTag"], pool["properties"]["eTag"]
    sent = {"properties": {**pool["properties"], "count": 3, "nodeLabels": {"a": "b"}}}
    changed = await client.send("PUT", f"{pools}/nodepool1", sent)
    assert body(changed)["properties"]["provisioningState"] == "Updating"
    await client.finish(changed)
    held = await client.get(cluster_id("plain"))
    assert held["eTag"] == cluster_tag
    assert held["properties"]["agentPoolProfiles"][0]["eTag"] != pool_tag
    assert len(client.server("plain").machines.wanted()) == 3
    assert (await client.send("GET", f"{pools}/none")).status == 404


def test_a_world_can_give_a_cluster_as_azures_document() -> None:
    raw = {
        "id": "whatever",
        "location": "northeurope",
        "tags": {"a": "b"},
        "properties": {
            "provisioningState": "Failed",
            "currentKubernetesVersion": "1.31.8",
            "kubernetesVersion": "1.31",
            "fqdn": "mine-abc.hcp.northeurope.azmk8s.io",
            "futureThing": {"x": 1},
            "aadProfile": {"managed": True, "adminGroupObjectIDs": [OTHERS], "enableAzureRBAC": True},
            "agentPoolProfiles": [{"name": "np", "count": 1, "mode": "System", "osDiskSizeGB": 30}],
        },
    }
    client = ArmClient(ClusterSpec(name="mine", document=raw))
    server = client.arm.clusters.for_host("MINE-abc.hcp.northeurope.azmk8s.io")
    assert server is not None
    assert server.regime.azure_rbac
    assert server.regime.tenant == TENANT
    assert server.blueprint.version == "1.31.8"


def test_an_invalid_cluster_in_a_world_is_an_error_that_says_why() -> None:
    client = ArmClient(ClusterSpec(name="plain"))
    with pytest.raises(ValueError, match="there are two"):
        client.arm.add_cluster(SCOPE.rpartition("/")[2], "shop-weu", ClusterSpec(name="PLAIN"))
    with pytest.raises(ValueError, match="no resource group nope"):
        client.arm.add_cluster(SCOPE.rpartition("/")[2], "nope", ClusterSpec(name="x"))
    with pytest.raises(ValueError, match=r"Since kubernetes version 1\.25"):
        client.arm.add_cluster(SCOPE.rpartition("/")[2], "shop-weu", ClusterSpec(name="x", local_accounts=False))
    with pytest.raises(ValueError, match="no role"):
        client.arm.assign(GROUP, ADMINS, "Emperor")
    pool = PoolSpec(name="np", count=2, mode="User")
    with pytest.raises(ValueError, match="at least one system pool"):
        client.arm.add_cluster(SCOPE.rpartition("/")[2], "shop-weu", ClusterSpec(name="x", pools=(pool,)))


async def test_an_automatic_cluster_has_entra_and_its_hosted_system_pool_is_not_listed(client: ArmClient) -> None:
    hosted = {"dnsPrefix": "auto", "hostedSystemProfile": {"enabled": True}}
    sent = {"location": "westus3", "sku": {"name": "Automatic", "tier": "Standard"}, "properties": hosted}
    made = await client.send("PUT", cluster_id("auto"), sent)
    assert made.status == 201
    assert "eTag" not in body(made)  # a creating PUT never carries one
    await client.finish(made)
    shown = await client.get(cluster_id("auto"))
    assert shown["eTag"]
    assert shown["kind"] == "Automatic"
    assert shown["properties"]["aadProfile"]["enableAzureRBAC"] is True
    assert shown["properties"]["disableLocalAccounts"] is True
    assert "agentPoolProfiles" not in shown["properties"]
    listed = await client.get(f"{cluster_id('auto')}/agentPools")
    assert listed == {"value": []}
    missing = await client.send("GET", f"{cluster_id('auto')}/agentPools/none")
    assert (missing.status, body(missing)["subcode"]) == (404, "GetAgentPool_NotFound_HCPServerError")


async def test_the_signing_keys_of_service_accounts_rotate_as_recorded(client: ArmClient) -> None:
    started = await client.send("POST", f"{cluster_id('plain')}/rotateServiceAccountSigningKeys")
    assert started.status == 202
    assert body(started)["properties"]["provisioningState"] == "RotatingServiceAccountSigningKeysExternal"
    await client.finish(started)
    assert (await client.send("GET", started.headers["location"])).status == 204
