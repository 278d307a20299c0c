"""The front door of management.azure.com: token, api-version, role; and what every answer carries."""

from __future__ import annotations

from datetime import timedelta

import pytest

from azure_sandbox.arm.spec import ClusterSpec
from tests.sandbox.arm_desk import GROUP, OUTSIDER, SCOPE, SUBSCRIPTION, VERSION, Desk, cluster_id

CLUSTER = cluster_id("shop-01")
READ = "Microsoft.ContainerService/managedClusters/read"


@pytest.fixture(name="desk")
def a_desk() -> Desk:
    return Desk(ClusterSpec(name="shop-01"))


async def test_without_a_token_nothing_is_answered(desk: Desk) -> None:
    reply = await desk.raw("GET", f"{CLUSTER}?api-version={VERSION}")
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


async def test_a_token_for_another_audience_or_an_expired_one_is_refused(desk: Desk) -> None:
    other = desk.tokens.issue(desk.operator, audience="https://graph.microsoft.com")
    reply = await desk.raw("GET", f"{CLUSTER}?api-version={VERSION}", Authorization=f"Bearer {other}")
    assert (reply.status, reply.body["error"]["code"]) == (401, "InvalidAuthenticationToken")  # type: ignore[call-overload,index]
    old = desk.tokens.issue(desk.operator, audience="https://management.azure.com")
    desk.clock.advance(timedelta(hours=3))
    reply = await desk.raw("GET", f"{CLUSTER}?api-version={VERSION}", Authorization=f"Bearer {old}")
    assert (reply.status, reply.body["error"]["code"]) == (401, "ExpiredAuthenticationToken")  # type: ignore[call-overload,index]


async def test_a_subscription_of_another_tenant_wants_its_own_issuer(desk: Desk) -> None:
    desk.arm.add_subscription("99999999-0000-4000-8000-000000000000", "theirs", "77777777-0000-4000-8000-000000000000")
    status, code, _ = await desk.refused("GET", "/subscriptions/99999999-0000-4000-8000-000000000000")
    assert (status, code) == (401, "InvalidAuthenticationTokenTenant")


async def test_every_request_names_an_api_version(desk: Desk) -> None:
    token = desk.tokens.issue(desk.operator, audience="https://management.azure.com")
    reply = await desk.raw("GET", CLUSTER, Authorization=f"Bearer {token}")
    assert (reply.status, reply.body["error"]["code"]) == (400, "MissingApiVersionParameter")  # type: ignore[call-overload,index]


async def test_who_holds_no_role_is_told_which_action_over_which_scope(desk: Desk) -> None:
    desk.speaker = desk.outsider
    assert await desk.refused("GET", CLUSTER) == (
        403,
        "AuthorizationFailed",
        (
            f"The client 'outsider-app' with object id '{OUTSIDER}' does not have authorization to perform action "
            f"'{READ}' over scope '{CLUSTER}' or the scope is invalid. If access was recently granted, please refresh "
            "your credentials."
        ),
    )


async def test_a_role_reaches_down_and_never_up_or_aside(desk: Desk) -> None:
    desk.arm.add_resource_group(SUBSCRIPTION, "shop-weu-2", "westeurope")
    desk.arm.assign(GROUP, OUTSIDER, "Reader")
    desk.speaker = desk.outsider
    assert (await desk.send("GET", CLUSTER.lower())).status == 200
    assert (await desk.send("GET", GROUP)).status == 200
    assert (await desk.refused("GET", f"{SCOPE}/resourceGroups/shop-weu-2"))[0] == 403
    assert (await desk.refused("PUT", CLUSTER, {}))[0] == 403


async def test_a_group_in_the_token_carries_the_role(desk: Desk) -> None:
    desk.arm.assign(GROUP, "dddddddd-0000-4000-8000-000000000001", "Reader")
    desk.speaker = desk.alice
    assert (await desk.send("GET", CLUSTER)).status == 200


async def test_unknown_names_have_azures_own_404s(desk: Desk) -> None:
    assert await desk.refused("GET", cluster_id("nope")) == (
        404,
        "ResourceNotFound",
        (
            "The Resource 'Microsoft.ContainerService/managedClusters/nope' under resource group 'shop-weu' was not "
            "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        ),
    )
    assert (await desk.refused("GET", f"{SCOPE}/resourceGroups/nope"))[:2] == (404, "ResourceGroupNotFound")
    assert (await desk.refused("GET", "/subscriptions/nope"))[:2] == (404, "SubscriptionNotFound")


async def test_what_is_not_modelled_says_so(desk: Desk) -> None:
    assert (await desk.send("GET", f"{SCOPE}/providers/Microsoft.Storage/storageAccounts")).status == 501
    status, _, message = await desk.refused("GET", f"{CLUSTER}?$expand=everything")
    assert status == 501
    assert "$expand" in message


async def test_answers_carry_ids_and_echo_the_clients(desk: Desk) -> None:
    correlation = {"x-ms-correlation-request-id": "c-1", "x-ms-client-request-id": "r-1"}
    reply = await desk.send("GET", CLUSTER, **correlation)
    assert reply.headers["x-ms-correlation-request-id"] == "c-1"
    assert reply.headers["x-ms-client-request-id"] == "r-1"
    assert reply.headers["x-ms-request-id"]
    assert reply.headers["content-type"] == "application/json"


async def test_lists_show_what_one_may_read_page_by_page() -> None:
    from azure_sandbox.arm.service import ArmSettings  # noqa: PLC0415  # one test pages

    desk = Desk(*(ClusterSpec(name=f"c-{number}") for number in range(5)), settings=ArmSettings(page_size=2))
    names: list[str] = []
    target = f"{SCOPE}/providers/Microsoft.ContainerService/managedClusters"
    for _ in range(3):
        page = await desk.get(target)
        names += [it["name"] for it in page["value"]]
        target = page.get("nextLink", "")
    assert names == [f"c-{number}" for number in range(5)]
    assert not target
    desk.arm.assign(cluster_id("c-3"), OUTSIDER, "Reader")
    desk.speaker = desk.outsider
    page = await desk.get(f"{SCOPE}/providers/Microsoft.ContainerService/managedClusters")
    assert [it["name"] for it in page["value"]] == ["c-3"]
    listed = await desk.get("/subscriptions")
    assert [it["displayName"] for it in listed["value"]] == ["prod-eu"]


async def test_resource_groups_come_and_go(desk: Desk) -> None:
    pay = f"{SCOPE}/resourcegroups/pay-weu"
    assert (await desk.send("HEAD", pay)).status == 404
    made = await desk.send("PUT", pay, {"location": "West Europe", "tags": {"env": "prod"}})
    assert made.status == 201
    assert isinstance(made.body, dict)
    assert made.body["location"] == "westeurope"
    assert (await desk.send("PUT", pay, {"location": "westeurope"})).status == 200
    assert (await desk.refused("PUT", pay, {"location": "eastus"}))[:2] == (409, "InvalidResourceGroupLocation")
    assert (await desk.refused("PUT", pay, {"location": "atlantis"}))[1] == "LocationNotAvailableForResourceGroup"
    names = {it["name"] for it in (await desk.get(f"{SCOPE}/resourcegroups"))["value"]}
    assert names == {"shop-weu", "MC_shop-weu_shop-01_westeurope", "pay-weu"}
    assert (await desk.send("DELETE", pay)).status == 200
    assert (await desk.refused("DELETE", pay))[1] == "ResourceGroupNotFound"
