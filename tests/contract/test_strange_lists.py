"""Lists that lead to other hosts or have no end: a token goes to its own host only, and an endless list is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import pytest
from azure.core.pipeline.transport import HttpRequest

from aks_entra.adapters.graph.client import OwnHost
from aks_entra.adapters.http import retry_after
from aks_entra.adapters.http.network import Web, leads_to
from aks_entra.adapters.http.paging import MOST, PageTrail
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.wiring import Session
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, SUBSCRIPTION, Opener, cluster

ARM, GRAPH, API = "management.azure.com", "graph.microsoft.com", "*.azmk8s.io"
GUARDED: Final = cluster("guarded")
JSON: Final = {"Content-Type": "application/json"}
Read = Callable[[Session], Awaitable[Any]]


async def _clusters(session: Session) -> list[Any]:
    return [one async for one in session.ports.arm.list_clusters(SUBSCRIPTION)]


async def _nodes(session: Session) -> Any:
    return await session.ports.kubernetes.nodes(await session.ports.arm.cluster(GUARDED))


ARM_LISTS: dict[str, tuple[str, Read]] = {
    "subscriptions": ("/subscriptions$", lambda session: session.ports.arm.subscription_ids()),
    "a subscription by its name": ("/subscriptions$", lambda session: session.ports.arm.subscription_id("prod-eu")),
    "clusters": ("/managedClusters$", _clusters),
    "permissions": ("/permissions$", lambda session: session.ports.arm.missing_permissions(GUARDED, ("a/read",))),
    "locks": ("/locks$", lambda session: session.ports.arm.locks(GUARDED, "")),
    "role assignments": ("/roleAssignments$", lambda session: session.ports.arm.is_cluster_admin(GUARDED, ADMINS)),
    "grants": ("/roleAssignments$", lambda session: session.access.roles.grants(SUBSCRIPTION)),
    "roles held": ("/roleAssignments$", lambda session: session.access.roles.held(GUARDED, None)),
    "windows": ("/maintenanceConfigurations$", lambda session: session.ports.arm.maintenance_windows(GUARDED)),
    "policies": ("/policyAssignments$", lambda session: session.ports.arm.policies(GUARDED)),
    "the activity log": ("/eventtypes/management/values$", lambda session: session.ports.arm.handed_out(GUARDED)),
}
GRAPH_LISTS: dict[str, tuple[str, Read]] = {
    "groups of a name": ("/v1.0/groups$", lambda session: session.ports.directory.groups_named("aks-admins")),
    "who is eligible": (
        "/eligibilityScheduleInstances$",
        lambda session: session.ports.directory.group(ADMINS, prover=""),
    ),
    "Conditional Access policies": (
        "/conditionalAccess/policies$",
        lambda session: session.access.policies.named("none"),
    ),
}
ELSEWHERE: Final = (
    "https://{host}.example.org/next",
    "http://{host}/next",
    "https://{host}:8443/next",
    "https://{host}@example.org/next",
    "https://example.org/{host}",
)


async def refusal(reading: Awaitable[Any]) -> AksEntraError | None:
    """Return the error of a read. Returns None if it succeeds."""
    try:
        await reading
    except AksEntraError as error:
        return error
    return None


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_next_page_elsewhere_is_never_asked_for(box: Sandbox, opened: Opener, elsewhere: str) -> None:
    async with opened() as session:
        for lists, host, link in ((ARM_LISTS, ARM, "nextLink"), (GRAPH_LISTS, GRAPH, "@odata.nextLink")):
            for name, (path, read) in lists.items():
                body = {"value": [], link: elsewhere.format(host=host)}
                box.faults.add("GET", path, host=host, answer=Reply(200, body))
                error = await refusal(read(session))
                assert isinstance(error, Refused), name
                assert (error.code, error.remedy != "") == ("ForeignUrl", True), name
                assert f"a token for {host} is sent to no other host" in error.message, name
                assert box.faults.waiting == (), name


async def test_a_list_whose_next_page_is_itself_is_refused_after_two(box: Sandbox, opened: Opener) -> None:
    async with opened() as session:
        for lists, host, link in ((ARM_LISTS, ARM, "nextLink"), (GRAPH_LISTS, GRAPH, "@odata.nextLink")):
            for name, (path, read) in lists.items():
                again = f"https://{host}/subscriptions/{SUBSCRIPTION}{path.removesuffix('$')}?page=2"
                if host == GRAPH:
                    again = f"https://{host}{path.removesuffix('$')}?page=2"
                box.faults.add("GET", path, host=host, answer=Reply(200, {"value": [], link: again}), times=2)
                error = await refusal(read(session))
                assert isinstance(error, Refused), name
                assert error.code == "EndlessList", name
                assert "the same page comes again" in error.message, name
                assert box.faults.waiting == (), name


async def test_a_list_of_an_api_server_without_an_end_is_refused(box: Sandbox, opened: Opener) -> None:
    async with opened() as session:
        page = {"kind": "NodeList", "items": [], "metadata": {"continue": "again"}}
        box.faults.add("GET", "/api/v1/nodes$", host=API, answer=Reply(200, page), times=2)
        error = await refusal(_nodes(session))
    assert isinstance(error, Refused)
    assert error.code == "EndlessList"
    assert box.faults.waiting == ()


def test_a_list_with_ever_new_pages_ends_too() -> None:
    trail = PageTrail("list what there is")
    for page in range(MOST):
        trail.next(str(page))
    with pytest.raises(Refused, match=f"could not list what there is: .* more than {MOST} pages"):
        trail.next("one more")


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://management.azure.com/a", True),
        ("https://MANAGEMENT.azure.com:443/a", True),
        ("https://management.azure.com:444/a", False),
        ("https://management.azure.com:x/a", False),
        ("http://management.azure.com/a", False),
        ("https://a@management.azure.com/a", False),
        ("https://management.azure.com.example.org/a", False),
        ("https://[::1/a", False),
        ("//management.azure.com/a", False),
        ("", False),
    ],
)
def test_urls_of_arm_are_recognized(url: str, own: bool) -> None:
    assert leads_to(url, ARM) is own


async def test_the_transport_sends_a_token_to_no_other_host() -> None:
    web = Web(connect=1, read=1)
    try:
        request = HttpRequest("GET", "https://example.org/", headers={"Authorization": "Bearer a-token"})
        with pytest.raises(Refused, match=r"leads to https://example\.org"):
            await web.transport(ARM).send(request)
        with pytest.raises(Refused):
            await web.transport().send(request)
    finally:
        await web.close()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "600"}, retry_after.LONGEST),
        ({"Retry-After": "1e300"}, retry_after.LONGEST),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "5, 10"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Thu, 01 Jan 2099 00:00:00 GMT"}, retry_after.LONGEST),
        ({"Retry-After": "Thu, 01 Jan 1998 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "Mon, 23 Nov 2026 10:00:20 -0000", "Date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 20.0),
        ({"Retry-After": "Mon, 23 Nov 2026 10:00:20 GMT", "Date": "nonsense"}, None),
        ({"x-ms-retry-after-ms": "nan", "Retry-After": "7"}, 7.0),
        ({"x-ms-retry-after-ms": "999999999"}, retry_after.LONGEST),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-user-quota-resets-after": "00:00:05"}, 5.0),
        ({"x-ms-user-quota-resets-after": "00:01:05", "Retry-After": "7"}, 7.0),
        ({"x-ms-user-quota-resets-after": "99:00:00"}, retry_after.LONGEST),
        ({"x-ms-user-quota-resets-after": "soon"}, None),
        ({}, None),
    ],
)
def test_what_a_service_asks_to_wait_is_bounded(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after.asked(headers)
    if headers.get("Date") == "nonsense":
        assert found is not None
        assert 0 <= found <= retry_after.LONGEST
    else:
        assert found == seconds


@pytest.mark.parametrize(("after", "kept"), [(7.0, 7.0), (float("inf"), 600.0), (float("nan"), 600.0), (-1.0, 0.0)])
def test_an_error_never_asks_for_an_invalid_wait(after: float, kept: float) -> None:
    assert TryLater("later", after=after).after == kept


@pytest.mark.parametrize(
    ("asked", "slept"), [(600.0, 120.0), (float("inf"), 120.0), (float("nan"), 0.0), (-3.0, 0.0), (0.5, 0.5)]
)
async def test_azures_clients_sleep_no_longer_than_we_let_them_and_say_it(
    asked: float, slept: float, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[float] = []

    async def sleep(seconds: float) -> None:
        seen.append(seconds)

    web = Web(connect=1, read=1, sleep=sleep)
    try:
        with caplog.at_level(logging.WARNING):
            await web.transport(ARM).sleep(asked)
    finally:
        await web.close()
    assert seen == [slept]
    assert [one.getMessage() for one in caplog.records] == (
        ["management.azure.com asks to wait: waiting 120 s"] if slept == retry_after.LONGEST else []
    )


@pytest.mark.parametrize(("asked", "told"), [("600", "120"), ("nan", None), ("0.2", "1"), ("3", "3"), ("inf", None)])
async def test_graphs_client_gets_a_bounded_wait(asked: str, told: str | None) -> None:
    inner = httpx.MockTransport(lambda _: httpx.Response(429, headers={"Retry-After": asked}))
    transport = OwnHost(inner)
    answer = await transport.handle_async_request(httpx.Request("GET", "https://graph.microsoft.com/v1.0/me"))
    assert answer.headers.get("Retry-After") == told
    with pytest.raises(Refused, match=r"leads to https://example\.org"):
        await transport.handle_async_request(httpx.Request("GET", "https://example.org/"))
    await transport.aclose()


async def test_a_wait_without_bound_from_arm_does_not_stop_a_read(box: Sandbox, opened: Opener) -> None:
    throttled = {"error": {"code": "TooManyRequests", "message": "slow down"}}
    for said in ("nan", "-7", "soon"):
        box.faults.add("GET", "/locks$", host=ARM, answer=Reply(429, throttled, {"Retry-After": said}))
        async with opened() as session:
            assert await session.ports.arm.locks(GUARDED, "") == ()
    assert box.faults.waiting == ()


async def test_half_a_character_in_a_tag_is_shown_as_a_sign_for_one(box: Sandbox, opened: Opener) -> None:
    async with opened() as session:
        item = {
            "id": GUARDED.resource_id,
            "tags": {"a\ud800": "\udfff", "b": "\U0001f600"},
            "properties": {"aadProfile": {"managed": True}},
        }
        body = json.dumps({"value": [item]}).encode()  # ASCII: surrogates are escaped
        box.faults.add("GET", "/managedClusters$", host=ARM, answer=Reply(200, body, JSON))
        box.faults.add("GET", "/managedClusters/guarded$", host=ARM, answer=Reply(200, json.dumps(item).encode(), JSON))
        for posture in (*await _clusters(session), await session.ports.arm.cluster(GUARDED)):
            assert posture.tags == (("a\ufffd", "\ufffd"), ("b", "\U0001f600"))


@pytest.mark.parametrize(
    "item",
    [
        {"id": "/subscriptions/none"},
        {"name": "without an id"},
        {"id": GUARDED.resource_id, "tags": "none"},
        {"id": GUARDED.resource_id, "properties": {"agentPoolProfiles": [{"count": "many"}]}},
        {"id": GUARDED.resource_id, "properties": []},
    ],
)
async def test_a_cluster_with_an_invalid_document_is_named(box: Sandbox, opened: Opener, item: dict[str, Any]) -> None:
    async with opened() as session:
        box.faults.add("GET", "/managedClusters$", host=ARM, answer=Reply(200, {"value": [item]}))
        error = await refusal(_clusters(session))
    assert error is None or (isinstance(error, Rejected) and "a cluster in the list is malformed" in error.message)
    assert (error is None) is (item.get("properties") == [])
