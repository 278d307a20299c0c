"""The front door of management.azure.com: its checks of token, api-version and rights, and the headers of an answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from tests.support.arm_client import GROUP, OUTSIDER, SCOPE, SUBSCRIPTION, VERSION, ArmClient, cluster_id

CLUSTER = cluster_id("shop-01")
READ = "Microsoft.ContainerService/managedClusters/read"


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01"))


async def test_a_request_without_a_token_is_refused(client: ArmClient) -> None:
    reply = await client.raw("GET", f"{CLUSTER}?api-version={VERSION}")
    assert reply.status == 401
    assert reply.body == {
        "error": {
            "code": "AuthenticationFailed",
            "message": "Authentication failed. The 'Authorization' header is missing.",
        }
    }
    assert reply.headers["www-authenticate"].startswith(
        'Bearer authorization_uri="https://login.microsoftonline.com/11111111-'
    )


async def test_a_token_for_another_audience_or_an_expired_one_is_refused(client: ArmClient) -> None:
    other = client.tokens.issue(client.operator, audience="https://graph.microsoft.com")
    reply = await client.raw("GET", f"{CLUSTER}?api-version={VERSION}", Authorization=f"Bearer {other}")
    assert (reply.status, reply.body["error"]["code"]) == (401, "InvalidAuthenticationToken")  # type: ignore[call-overload,index]
    old = client.tokens.issue(client.operator, audience="https://management.azure.com")
    client.clock.advance(timedelta(hours=3))
    reply = await client.raw("GET", f"{CLUSTER}?api-version={VERSION}", Authorization=f"Bearer {old}")
    assert (reply.status, reply.body["error"]["code"]) == (401, "ExpiredAuthenticationToken")  # type: ignore[call-overload,index]


async def test_a_subscription_of_another_tenant_refuses_the_issuer(client: ArmClient) -> None:
    client.arm.add_subscription(
        "99999999-0000-4000-8000-000000000000", "theirs", "77777777-0000-4000-8000-000000000000"
    )
    status, code, _ = await client.refused("GET", "/subscriptions/99999999-0000-4000-8000-000000000000")
    assert (status, code) == (401, "InvalidAuthenticationTokenTenant")


async def test_a_request_without_an_api_version_is_refused(client: ArmClient) -> None:
    token = client.tokens.issue(client.operator, audience="https://management.azure.com")
    reply = await client.raw("GET", CLUSTER, Authorization=f"Bearer {token}")
    assert (reply.status, reply.body["error"]["code"]) == (400, "MissingApiVersionParameter")  # type: ignore[call-overload,index]


async def test_a_caller_without_a_role_is_told_the_missing_action_and_scope(client: ArmClient) -> None:
    client.caller = client.outsider
    assert await client.refused("GET", CLUSTER) == (
        403,
        "AuthorizationFailed",
        (
            f"The client 'outsider-app' with object id '{OUTSIDER}' does not have authorization to perform action "
            f"'{READ}' over scope '{CLUSTER}' or the scope is invalid. If access was recently granted, please refresh "
            "your credentials."
        ),
    )


async def test_a_role_applies_below_its_scope_and_nowhere_else(client: ArmClient) -> None:
    client.arm.add_resource_group(SUBSCRIPTION, "shop-weu-2", "westeurope")
    client.arm.assign(GROUP, OUTSIDER, "Reader")
    client.caller = client.outsider
    assert (await client.send("GET", CLUSTER.lower())).status == 200
    assert (await client.send("GET", GROUP)).status == 200
    assert (await client.refused("GET", f"{SCOPE}/resourceGroups/shop-weu-2"))[0] == 403
    assert (await client.refused("PUT", CLUSTER, {}))[0] == 403


async def test_a_role_of_a_group_in_the_token_counts(client: ArmClient) -> None:
    client.arm.assign(GROUP, "dddddddd-0000-4000-8000-000000000001", "Reader")
    client.caller = client.alice
    assert (await client.send("GET", CLUSTER)).status == 200


async def test_unknown_names_get_azures_404s(client: ArmClient) -> None:
    assert await client.refused("GET", cluster_id("nope")) == (
        404,
        "ResourceNotFound",
        (
            "The Resource 'Microsoft.ContainerService/managedClusters/nope' under resource group 'shop-weu' was not "
            "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        ),
    )
    assert (await client.refused("GET", f"{SCOPE}/resourceGroups/nope"))[:2] == (404, "ResourceGroupNotFound")
    assert (await client.refused("GET", "/subscriptions/nope"))[:2] == (404, "SubscriptionNotFound")


async def test_a_route_or_option_that_is_not_modelled_gets_a_501_that_names_it(client: ArmClient) -> None:
    assert (await client.send("GET", f"{SCOPE}/providers/Microsoft.Storage/storageAccounts")).status == 501
    status, _, message = await client.refused("GET", f"{CLUSTER}?$expand=everything")
    assert status == 501
    assert "$expand" in message


async def test_answers_carry_request_ids_and_echo_the_clients_ids(client: ArmClient) -> None:
    correlation = {"x-ms-correlation-request-id": "c-1", "x-ms-client-request-id": "r-1"}
    reply = await client.send("GET", CLUSTER, **correlation)
    assert reply.headers["x-ms-correlation-request-id"] == "c-1"
    assert reply.headers["x-ms-client-request-id"] == "r-1"
    assert reply.headers["x-ms-request-id"]
    assert reply.headers["content-type"] == "application/json"


async def test_a_list_shows_what_the_caller_may_read_in_pages() -> None:
    from azure_sandbox.arm.service import ArmSettings  # noqa: PLC0415  # one test pages

    client = ArmClient(*(ClusterSpec(name=f"c-{number}") for number in range(5)), settings=ArmSettings(page_size=2))
    names: list[str] = []
    target = f"{SCOPE}/providers/Microsoft.ContainerService/managedClusters"
    for _ in range(4):  # the last page with members names another one, which is empty
        page = await client.get(target)
        names += [it["name"] for it in page["value"]]
        target = page.get("nextLink", "")
    assert names == [f"c-{number}" for number in range(5)]
    assert not target
    client.arm.assign(cluster_id("c-3"), OUTSIDER, "Reader")
    client.caller = client.outsider
    page = await client.get(f"{SCOPE}/providers/Microsoft.ContainerService/managedClusters")
    assert [it["name"] for it in page["value"]] == ["c-3"]
    listed = await client.get("/subscriptions")
    assert [it["displayName"] for it in listed["value"]] == ["prod-eu"]


async def test_resource_groups_are_created_changed_and_deleted(client: ArmClient) -> None:
    pay = f"{SCOPE}/resourcegroups/pay-weu"
    assert (await client.send("HEAD", pay)).status == 404
    made = await client.send("PUT", pay, {"location": "West Europe", "tags": {"env": "prod"}})
    assert made.status == 201
    assert isinstance(made.body, dict)
    assert made.body["location"] == "westeurope"
    assert (await client.send("PUT", pay, {"location": "westeurope"})).status == 200
    assert (await client.refused("PUT", pay, {"location": "eastus"}))[:2] == (409, "InvalidResourceGroupLocation")
    assert (await client.refused("PUT", pay, {"location": "atlantis"}))[1] == "LocationNotAvailableForResourceGroup"
    names = {it["name"] for it in (await client.get(f"{SCOPE}/resourcegroups"))["value"]}
    assert names == {"shop-weu", "MC_shop-weu_shop-01_westeurope", "pay-weu"}
    assert (await client.send("DELETE", pay)).status == 202
    assert (await client.send("DELETE", pay)).status == 202
    assert (await client.get(pay))["properties"]["provisioningState"] == "Deleting"
    client.clock.advance(timedelta(seconds=15))
    assert (await client.refused("DELETE", pay))[1] == "ResourceGroupNotFound"
