"""Managed clusters: what a PUT makes of what was sent, what it refuses, and how operations run and end."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.spec import ClusterSpec, PoolSpec
from tests.sandbox.arm_desk import ADMINS, GROUP, LONG, OTHERS, SCOPE, TENANT, Desk, cluster_id

NEW: dict[str, Any] = {
    "location": "westeurope",
    "properties": {"dnsPrefix": "new", "agentPoolProfiles": [{"name": "system", "mode": "System", "count": 2}]},
}
MANAGED = {"managed": True, "adminGroupObjectIDs": [ADMINS], "tenantID": TENANT}


@pytest.fixture(name="desk")
def a_desk() -> Desk:
    return Desk(
        ClusterSpec(name="plain", nodes=2, tags={"env": "prod"}),
        ClusterSpec(name="legacy", identity="legacy"),
        ClusterSpec(name="guarded", identity="managed", admin_groups=(ADMINS,)),
        ClusterSpec(name="norbac", kubernetes_rbac=False),
        ClusterSpec(name="old", version="1.24.9"),
    )


def body(reply: Any) -> Any:
    return reply.body


async def test_a_cluster_is_created_while_one_waits(desk: Desk) -> None:
    made = await desk.send("PUT", cluster_id("new"), NEW)
    assert made.status == 201
    assert body(made)["properties"]["provisioningState"] == "Creating"
    assert "location" not in made.headers
    assert not desk.server("new").reachable
    assert (await desk.refused("PUT", cluster_id("new"), NEW))[:2] == (409, "OperationNotAllowed")
    await desk.finish(made)
    held = await desk.get(cluster_id("new"))
    assert held["properties"]["provisioningState"] == "Succeeded"
    assert held["properties"]["identityProfile"]["kubeletidentity"]["objectId"]
    assert held["id"].startswith(f"{SCOPE}/resourcegroups/shop-weu/")
    assert desk.server("new").reachable
    nodes = await desk.get(f"{SCOPE}/resourcegroups/MC_shop-weu_new_westeurope")
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
async def test_what_cannot_be_a_cluster_is_refused(desk: Desk, sent: object, code: str) -> None:
    status, refusal, _ = await desk.refused("PUT", cluster_id("new"), sent)
    assert (status, refusal) == (400, code)
    assert (await desk.send("GET", cluster_id("new"))).status == 404


async def test_entra_comes_on_and_the_answer_shows_it_at_once(desk: Desk) -> None:
    changed = await desk.change("plain", aadProfile=MANAGED)
    assert changed.status == 200
    assert body(changed)["properties"]["provisioningState"] == "Updating"
    assert body(changed)["properties"]["agentPoolProfiles"][0]["provisioningState"] == "Updating"
    assert body(changed)["properties"]["aadProfile"] == {
        "managed": True,
        "adminGroupObjectIDs": [ADMINS],
        "adminUsers": None,
        "tenantID": TENANT,
    }
    status, code, message = await desk.refused("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    assert (status, code) == (409, "OperationNotAllowed")
    assert message.startswith(
        "Operation is not allowed because there's an in progress update managed cluster operation"
    )
    await desk.finish(changed)


async def test_legacy_ids_are_gone_in_the_answer_to_the_upgrade(desk: Desk) -> None:
    before = (await desk.get(cluster_id("legacy")))["properties"]["aadProfile"]
    assert set(before) == {"adminGroupObjectIDs", "adminUsers", "clientAppID", "serverAppID", "tenantID"}
    changed = await desk.change("legacy", aadProfile=MANAGED)
    assert set(body(changed)["properties"]["aadProfile"]) == {
        "managed",
        "adminGroupObjectIDs",
        "adminUsers",
        "tenantID",
    }


async def test_entra_is_a_one_way_street(desk: Desk) -> None:
    held = await desk.get(cluster_id("guarded"))
    for entra, path in (
        (None, "aadProfile"),
        ({"clientAppID": "a", "serverAppID": "b", "tenantID": TENANT}, "aadProfile.managed"),
        ({"managed": False}, "aadProfile.managed"),
    ):
        sent = {**held, "properties": {**held["properties"], "aadProfile": entra}}
        assert await desk.refused("PUT", cluster_id("guarded"), sent) == (
            400,
            "PropertyChangeNotAllowed",
            f"Changing property '{path}' is not allowed.",
        )
    mixed = {**MANAGED, "serverAppID": "b"}
    sent = {**held, "properties": {**held["properties"], "aadProfile": mixed}}
    assert (await desk.refused("PUT", cluster_id("guarded"), sent))[0] == 400
    left_out = await desk.change("guarded", aadProfile=None)
    assert body(left_out)["properties"]["aadProfile"]["adminGroupObjectIDs"] == [ADMINS]


async def test_groups_and_tenant_are_taken_as_they_come(desk: Desk) -> None:
    wrong = {**MANAGED, "adminGroupObjectIDs": ["no-such-group"], "tenantID": "no-such-tenant"}
    changed = await desk.change("plain", aadProfile=wrong)
    assert changed.status == 200
    assert body(changed)["properties"]["aadProfile"]["adminGroupObjectIDs"] == ["no-such-group"]


async def test_local_accounts_need_entra_since_1_25(desk: Desk) -> None:
    reply = await desk.change("plain", disableLocalAccounts=True)
    assert reply.status == 400
    assert body(reply)["code"] == "BadRequest"  # AKS's own envelope: bare
    assert body(reply)["message"] == (
        "Since kubernetes version 1.25, disableLocalAccounts can only be set on Azure AD integration enabled cluster. "
        "Please integrate your cluster with AAD."
    )
    assert "x-ms-failure-cause" not in reply.headers
    assert (await desk.change("old", disableLocalAccounts=True)).status == 200
    assert (await desk.change("guarded", disableLocalAccounts=True)).status == 200


async def test_a_cluster_without_kubernetes_rbac_cannot_be_integrated(desk: Desk) -> None:
    assert (await desk.change("norbac", aadProfile=MANAGED)).status == 400
    assert (await desk.change("norbac", enableRBAC=True)).status == 400


async def test_the_immutable_stays(desk: Desk) -> None:
    pools = (await desk.get(cluster_id("plain")))["properties"]["agentPoolProfiles"]
    for change, target in (
        ({"dnsPrefix": "other"}, "dnsPrefix"),
        ({"nodeResourceGroup": "other"}, "nodeResourceGroup"),
        ({"servicePrincipalProfile": {"clientId": "other"}}, "servicePrincipalProfile.clientId"),
        ({"agentPoolProfiles": [{**pools[0], "vmSize": "Standard_D2s_v3"}]}, "properties.vmSize"),
        ({"enableRBAC": False}, "enableRBAC"),
    ):
        reply = await desk.change("plain", **change)
        assert body(reply)["code"] == "PropertyChangeNotAllowed", change
        assert body(reply)["target"] == target
    assert (await desk.change("plain", agentPoolProfiles=[{**pools[0], "name": "other"}])).status == 400
    assert (await desk.change("plain", kubernetesVersion="1.32.9")).status == 400


async def test_what_nobody_here_knows_is_kept_bit_by_bit_where_it_stands(desk: Desk) -> None:
    future = {"mode": "Bright", "nested": [1, {"two": None}], "empty": {}}
    assert (await desk.change("plain", futureThing=future)).status == 501
    assert (await desk.change("plain", apiServerAccessProfile={"futureThing": future})).status == 501
    deep = {"loadBalancerProfile": {"managedOutboundIPs": {"count": 1, "futureThing": future}}}
    refused = await desk.change("plain", networkProfile=deep)
    assert refused.status == 501
    assert "properties.networkProfile.loadBalancerProfile.managedOutboundIPs.futureThing" in str(refused.body)
    held = await desk.get(cluster_id("plain"))
    assert (await desk.send("PUT", cluster_id("plain"), {**held, "futureThing": future})).status == 501
    (plain,) = [it for it in desk.arm.state.clusters.values() if it.name == "plain"]
    plain.properties["futureThing"] = future  # as in a world of somebody's own documents
    again = await desk.change("plain", aadProfile=MANAGED)
    assert body(again)["properties"]["futureThing"] == future
    assert body(again)["tags"] == {"env": "prod"}


async def test_a_put_without_tags_drops_them_and_a_patch_sets_only_them(desk: Desk) -> None:
    held = await desk.get(cluster_id("plain"))
    del held["tags"]
    await desk.finish(await desk.send("PUT", cluster_id("plain"), held))
    assert "tags" not in await desk.get(cluster_id("plain"))
    patched = await desk.send("PATCH", cluster_id("plain"), {"tags": {"a": "b"}})
    assert body(patched)["tags"] == {"a": "b"}
    assert (await desk.refused("PATCH", cluster_id("plain"), {"tags": {}}))[0] == 409
    desk.clock.advance(LONG)
    assert (await desk.refused("PATCH", cluster_id("plain"), {"sku": {}}))[0] == 400


async def test_etags_guard_a_write(desk: Desk) -> None:
    held = await desk.get(cluster_id("plain"))
    etag = held["eTag"]
    stale = {"If-Match": '"something else"'}
    assert (await desk.refused("PUT", cluster_id("plain"), held, **stale))[:2] == (412, "PreconditionFailed")
    assert (await desk.refused("PUT", cluster_id("new"), NEW, **{"If-Match": "*"}))[2].startswith("Resource not found")
    assert (await desk.refused("PUT", cluster_id("plain"), held, **{"If-None-Match": "*"}))[0] == 412
    assert (await desk.refused("PUT", cluster_id("plain"), held, **{"If-None-Match": "x"}))[0] == 400
    both = {"If-Match": "*", "If-None-Match": "*"}
    assert (await desk.refused("PUT", cluster_id("plain"), held, **both))[0] == 400
    done = await desk.send("PUT", cluster_id("plain"), held, **{"If-Match": f'"{etag}"'})
    assert done.status == 200
    assert body(done)["eTag"] != etag
    assert (await desk.send("PUT", cluster_id("new"), NEW, **{"If-None-Match": "*"})).status == 201
    shown = await desk.get(f"{cluster_id('plain')}?api-version=2023-10-02-preview")
    assert not {"eTag", "kind"} & set(shown)


async def test_an_operation_is_polled_by_its_own_url_only(desk: Desk) -> None:
    started = await desk.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    assert (started.status, started.body) == (202, None)
    assert (await desk.get(cluster_id("plain")))["properties"]["provisioningState"] == "RotatingClusterCertificates"
    url = started.headers["azure-asyncoperation"]
    assert (await desk.refused("GET", url.partition("&")[0]))[1] == "InvalidAsyncOperationSignature"
    assert (await desk.send("GET", started.headers["location"])).status == 202
    await desk.finish(started)
    polled = body(await desk.send("GET", url))
    assert set(polled) == {"name", "status", "startTime", "endTime"}
    assert len(polled["endTime"].partition(".")[2]) == len("1234567Z")
    result = await desk.send("GET", started.headers["location"])
    assert (result.status, result.body) == (204, None)
    assert result.headers["location"] == started.headers["location"]
    desk.speaker = desk.outsider
    assert (await desk.refused("GET", url))[1] == "AuthorizationFailed"


async def test_at_another_pace_clients_are_told_when_to_ask_again() -> None:
    desk = Desk(ClusterSpec(name="plain"))
    real = await desk.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates")
    assert not [it for it in real.headers if "retry" in it]
    desk.clock.pace = 100
    hurried = await desk.send("GET", real.headers["azure-asyncoperation"])
    assert hurried.headers["x-ms-retry-after-ms"] == "300"


async def test_a_cluster_stops_and_starts(desk: Desk) -> None:
    await desk.finish(await desk.send("POST", f"{cluster_id('plain')}/stop"))
    held = await desk.get(cluster_id("plain"))
    assert held["properties"]["powerState"] == {"code": "Stopped"}
    assert not desk.server("plain").reachable
    status, _, message = await desk.refused("POST", f"{cluster_id('plain')}/stop")
    assert status == 400
    assert "Power State(Stopped), stopping cannot be performed" in message
    await desk.finish(await desk.send("POST", f"{cluster_id('plain')}/rotateClusterCertificates"))
    assert not desk.server("plain").reachable
    await desk.finish(await desk.send("POST", f"{cluster_id('plain')}/start"))
    assert desk.server("plain").reachable


async def test_an_abort_leaves_what_was_done_and_says_canceled(desk: Desk) -> None:
    assert (await desk.refused("POST", f"{cluster_id('plain')}/abort"))[0] == 409
    changed = await desk.change("plain", aadProfile=MANAGED)
    aborted = await desk.send("POST", f"{cluster_id('plain')}/abort")
    assert aborted.status == 202
    assert await desk.status_of(changed) == "Canceled"
    await desk.finish(aborted)
    held = await desk.get(cluster_id("plain"))
    assert held["properties"]["provisioningState"] == "Canceled"
    assert held["properties"]["aadProfile"]["managed"] is True
    assert desk.server("plain").regime.identity == "none"


async def test_a_deleted_cluster_is_gone_with_its_name_and_its_nodes(desk: Desk) -> None:
    fqdn = desk.server("plain").fqdn
    gone = await desk.send("DELETE", cluster_id("plain"))
    assert (gone.status, gone.body) == (202, None)
    await desk.finish(gone)
    assert (await desk.send("GET", cluster_id("plain"))).status == 404
    assert desk.arm.clusters.for_host(fqdn) is None
    assert (await desk.send("GET", f"{SCOPE}/resourceGroups/MC_shop-weu_plain_westeurope")).status == 404
    assert (await desk.send("DELETE", cluster_id("plain"))).status == 204


async def test_a_pool_is_read_labelled_and_scaled_on_its_own(desk: Desk) -> None:
    pools = f"{cluster_id('plain')}/agentPools"
    (pool,) = (await desk.get(pools))["value"]
    assert pool["type"] == "Microsoft.ContainerService/managedClusters/agentPools"
    cluster_tag, pool_tag = (await desk.get(cluster_id("plain")))["eTag"], pool["properties"]["eTag"]
    sent = {"properties": {**pool["properties"], "count": 3, "nodeLabels": {"a": "b"}}}
    changed = await desk.send("PUT", f"{pools}/nodepool1", sent)
    assert body(changed)["properties"]["provisioningState"] == "Updating"
    await desk.finish(changed)
    held = await desk.get(cluster_id("plain"))
    assert held["eTag"] == cluster_tag
    assert held["properties"]["agentPoolProfiles"][0]["eTag"] != pool_tag
    assert len(desk.server("plain").machines.wanted()) == 3
    assert (await desk.send("GET", f"{pools}/none")).status == 404


def test_a_world_may_start_from_azures_own_document() -> None:
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
    desk = Desk(ClusterSpec(name="mine", document=raw))
    server = desk.arm.clusters.for_host("MINE-abc.hcp.northeurope.azmk8s.io")
    assert server is not None
    assert server.regime.azure_rbac
    assert server.regime.tenant == TENANT
    assert server.blueprint.version == "1.31.8"


def test_a_world_that_cannot_be_says_why() -> None:
    desk = Desk(ClusterSpec(name="plain"))
    with pytest.raises(ValueError, match="there are two"):
        desk.arm.add_cluster(SCOPE.rpartition("/")[2], "shop-weu", ClusterSpec(name="PLAIN"))
    with pytest.raises(ValueError, match="no resource group nope"):
        desk.arm.add_cluster(SCOPE.rpartition("/")[2], "nope", ClusterSpec(name="x"))
    with pytest.raises(ValueError, match=r"Since kubernetes version 1\.25"):
        desk.arm.add_cluster(SCOPE.rpartition("/")[2], "shop-weu", ClusterSpec(name="x", local_accounts=False))
    with pytest.raises(ValueError, match="no role"):
        desk.arm.assign(GROUP, ADMINS, "Emperor")
    pool = PoolSpec(name="np", count=2, mode="User")
    with pytest.raises(ValueError, match="at least one system pool"):
        desk.arm.add_cluster(SCOPE.rpartition("/")[2], "shop-weu", ClusterSpec(name="x", pools=(pool,)))
