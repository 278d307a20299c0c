"""JWT authenticators and managed namespaces of a cluster, as they were recorded, and who may read them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.front.http import Reply
from tests.support.arm_client import LONG, ArmClient, cluster_id

PREVIEW = "?api-version=2026-08-02-preview"
GITHUB = {
    "issuer": {"url": "https://token.actions.githubusercontent.com", "audiences": ["https://github.com/myorg"]},
    "claimMappings": {"username": {"expression": "claims.sub"}},
}
QUOTA = {"cpuRequest": "500m", "cpuLimit": "800m", "memoryRequest": "1Gi", "memoryLimit": "2Gi"}


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(
        ClusterSpec(name="shop-01", identity="managed", local_accounts=False),
        ClusterSpec(name="shop-02", children={"jwtAuthenticators": {"github": GITHUB}}),
    )


def body(reply: Reply) -> Any:
    return reply.body


async def test_a_jwt_authenticator_is_written_settles_and_is_deleted(client: ArmClient) -> None:
    every = f"{cluster_id('shop-01')}/jwtAuthenticators"
    one = f"{every}/github{PREVIEW}"
    assert await client.get(every + PREVIEW) == {"value": []}
    assert (await client.refused("GET", one))[:2] == (404, "NotFound")
    made = await client.send("PUT", one, {"properties": GITHUB})
    assert (made.status, body(made)["properties"]["provisioningState"]) == (201, "Creating")
    assert "azure-asyncoperation" not in made.headers
    client.clock.advance(LONG)
    assert (await client.get(one))["properties"] == {"provisioningState": "Succeeded", **GITHUB}
    again = await client.send("PUT", one, {"properties": GITHUB})
    assert (again.status, body(again)["properties"]["provisioningState"]) == (200, "Updating")
    page = await client.get(every + PREVIEW)
    assert [it["name"] for it in page["value"]] == ["github"]
    assert (await client.get(page["nextLink"]))["value"] == []
    gone = await client.send("DELETE", one)
    assert gone.status == 202
    await client.finish(gone)
    assert (await client.send("DELETE", one)).status == 204
    assert (await client.get(f"{cluster_id('shop-02')}/jwtAuthenticators{PREVIEW}"))["value"][0]["name"] == "github"


@pytest.mark.parametrize(
    "properties",
    [
        {"claimMappings": GITHUB["claimMappings"]},
        {**GITHUB, "issuer": {"url": "http://insecure", "audiences": ["a"]}},
        {**GITHUB, "issuer": {"url": "https://issuer"}},
        {"issuer": GITHUB["issuer"]},
        None,
    ],
)
async def test_a_jwt_authenticator_needs_an_issuer_and_a_user_name(client: ArmClient, properties: object) -> None:
    path = f"{cluster_id('shop-01')}/jwtAuthenticators/github{PREVIEW}"
    assert (await client.refused("PUT", path, {"properties": properties}))[:2] == (400, "BadRequest")


async def test_a_managed_namespace_hands_out_the_user_kubeconfig(client: ArmClient) -> None:
    every = f"{cluster_id('shop-01')}/managedNamespaces"
    assert (await client.refused("GET", f"{every}/pay"))[:2] == (404, "ResourceNotFound")
    sent = {"location": "westeurope", "properties": {"labels": {}, "defaultResourceQuota": QUOTA}}
    reply = await client.send("PUT", f"{every}/pay", sent)
    made = body(reply)
    portal = (await client.get(cluster_id("shop-01")))["properties"]["azurePortalFQDN"]
    assert made["properties"] == {
        "provisioningState": "Creating",
        "defaultResourceQuota": QUOTA,
        "portalFqdn": portal,
    }
    await client.finish(reply)
    assert made["systemData"]["createdByType"] == "Application"
    again = await client.send("PUT", f"{every}/pay", sent)
    changed = body(again)
    await client.finish(again)
    assert changed["eTag"] != made["eTag"]
    assert changed["systemData"]["createdAt"] == made["systemData"]["createdAt"]
    (held,) = (await client.get(every))["value"]
    assert held["name"] == "pay"
    answer = body(await client.send("POST", f"{every}/pay/listCredential"))
    assert b"kubelogin" in base64.b64decode(answer["kubeconfigs"][0]["value"])
    assert (await client.refused("POST", f"{every}/other/listCredential"))[:2] == (404, "ResourceNotFound")
    assert (await client.send("DELETE", f"{every}/pay")).status == 202


async def test_without_the_right_neither_is_shown(client: ArmClient) -> None:
    client.caller = client.outsider
    for kind in (f"jwtAuthenticators{PREVIEW}", "managedNamespaces"):
        status, code, message = await client.refused("GET", f"{cluster_id('shop-01')}/{kind}")
        assert (status, code) == (403, "AuthorizationFailed")
        assert f"managedClusters/{kind.partition('?')[0]}/read" in message


async def test_a_running_operation_refuses_a_write_of_a_child(client: ArmClient) -> None:
    running = await client.change("shop-01", disableLocalAccounts=False)
    path = f"{cluster_id('shop-01')}/managedNamespaces/pay"
    assert (await client.refused("PUT", path, {"properties": {}}))[:2] == (409, "OperationNotAllowed")
    await client.finish(running)
    assert (await client.send("PUT", path, {"properties": {}})).status == 201
