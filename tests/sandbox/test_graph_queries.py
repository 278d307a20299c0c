"""Graph's queries ($search, $count, $expand, comparisons), $batch, the replication of every write, and throttling."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.identity_client import DOMAIN, IdentityClient

EVENTUAL = {"ConsistencyLevel": "eventual"}
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"


def new_client(replication: float = 0.0, **world: Any) -> IdentityClient:
    return IdentityClient(
        {
            "users": [{"name": "Alice Adams", "upn": ALICE}, {"name": "Bob Brown", "upn": BOB}],
            "groups": [
                {"name": "aks-admins", "members": [ALICE, BOB], "owners": [BOB], "description": "break glass"},
                {"name": "aksReaders 2", "members": ["aks-admins"]},
                {"name": "sales"},
            ],
            **world,
        },
        replication=replication,
    )


async def names(client: IdentityClient, query: str, **headers: str) -> list[str]:
    return [it["displayName"] for it in (await client.get(f"/groups?{query}", **headers))["value"]]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ('"displayName:aks"', ["aks-admins", "aksReaders 2"]),
        ('"displayName:readers"', ["aksReaders 2"]),
        ('"displayName:ks"', []),
        ('"displayName:aks" AND "description:glass"', ["aks-admins"]),
        ('"displayName:sales" OR "displayName:admins"', ["aks-admins", "sales"]),
    ],
)
async def test_a_search_matches_the_start_of_words(search: str, found: list[str]) -> None:
    assert await names(new_client(), f"$search={quote(search)}", **EVENTUAL) == found


async def test_a_search_needs_the_header() -> None:
    client = new_client()
    query = f"/groups?$search={quote(chr(34) + 'displayName:aks' + chr(34))}"
    assert (await client.error("GET", query))[1] == "Request_UnsupportedQuery"
    assert (await client.error("GET", "/groups?$search=aks", **EVENTUAL))[0] == 400
    unknown = quote('"mail:x"')
    assert (await client.error("GET", f"/groups?$search={unknown}", **EVENTUAL))[0] == 501


@pytest.mark.parametrize(
    ("clause", "advanced", "found"),
    [
        ("displayName ge 'b'", False, ["sales"]),
        ("displayName lt 'aksr'", False, ["aks-admins"]),
        ("endswith(displayName,'2')", True, ["aksReaders 2"]),
        ("not startswith(displayName,'aks')", True, ["sales"]),
        ("createdDateTime ge 2020-01-01T00:00:00Z", False, ["aks-admins", "aksReaders 2", "sales"]),
        ("createdDateTime lt 2020-01-01", False, []),
        ("groupTypes/any(c:c eq 'Unified')", False, []),
    ],
)
async def test_a_filter_selects_groups(clause: str, advanced: bool, found: list[str]) -> None:
    query = f"$filter={quote(clause)}"
    if advanced:
        assert (await new_client().error("GET", f"/groups?{query}"))[1] == "Request_UnsupportedQuery"
        assert await names(new_client(), f"{query}&$count=true", **EVENTUAL) == found
    else:
        assert await names(new_client(), query) == found


async def test_a_count_is_plain_text_and_needs_the_header() -> None:
    client = new_client()
    assert (await client.error("GET", "/groups/$count"))[0] == 400
    assert await client.get("/groups/$count", **EVENTUAL) == "3"
    assert await client.get(f"/groups/{client.id('aks-admins')}/members/$count", **EVENTUAL) == "2"
    assert await client.get("/users/$count", **EVENTUAL) == "2"


async def test_members_and_owners_can_be_expanded() -> None:
    client = new_client()
    path = f"/groups/{client.id('aks-admins')}"
    group = await client.get(f"{path}?$expand=members($select=id,displayName),owners&$select=id")
    assert {it["displayName"] for it in group["members"]} == {"Alice Adams", "Bob Brown"}
    assert [it["displayName"] for it in group["owners"]] == ["Bob Brown"]
    assert set(group["members"][0]) == {"@odata.type", "id", "displayName"}
    listed = (await client.get("/groups?$expand=members"))["value"]
    assert [len(it["members"]) for it in listed] == [2, 1, 0]
    assert (await client.error("GET", f"{path}?$expand=members($filter=x)"))[0] == 501
    assert (await client.error("GET", "/groups?$expand=members&$count=true", **EVENTUAL))[0] == 400


async def test_a_list_can_be_sorted() -> None:
    client = new_client()
    assert await names(client, "$orderby=displayName%20desc") == ["sales", "aksReaders 2", "aks-admins"]
    filtered = "$filter=securityEnabled%20eq%20true&$orderby=displayName"
    assert (await client.error("GET", f"/groups?{filtered}"))[1] == "Request_UnsupportedQuery"
    assert len(await names(client, f"{filtered}&$count=true", **EVENTUAL)) == 3


# -- $batch


async def test_a_batch_answers_each_request_unless_its_dependency_failed() -> None:
    client = new_client()
    new = {"displayName": "new", "mailEnabled": False, "mailNickname": "new", "securityEnabled": True}
    json = {"Content-Type": "application/json"}
    entries = [
        {"id": "1", "method": "GET", "url": f"/groups/{client.id('sales')}?$select=displayName"},
        {"id": "2", "method": "POST", "url": "/groups", "headers": json, "body": new},
        {"id": "3", "method": "GET", "url": "/groups/11111111-2222-4333-8444-555555555555", "dependsOn": ["2"]},
        {"id": "4", "method": "GET", "url": "/groups", "dependsOn": ["3"]},
        {"id": "5", "method": "GET", "url": "/groups/$count", "headers": EVENTUAL},
    ]
    answer = (await client.post("/$batch", {"requests": entries}, 200))["responses"]
    assert [(it["id"], it["status"]) for it in answer] == [("1", 200), ("2", 201), ("3", 404), ("4", 424), ("5", 200)]
    assert answer[0]["body"]["displayName"] == "sales"
    assert answer[4]["body"] == "4"


@pytest.mark.parametrize(
    "requests",
    [
        [],
        "x",
        [{"id": "1", "method": "GET", "url": "/groups"}] * 2,
        [{"id": str(it), "method": "GET", "url": "/groups"} for it in range(21)],
        [{"id": "1", "method": "GET"}],
        [{"id": "1", "method": "GET", "url": "/groups", "dependsOn": ["2"]}],
    ],
)
async def test_a_malformed_batch_is_refused(requests: Any) -> None:
    assert (await new_client().error("POST", "/$batch", {"requests": requests}))[0] == 400


# -- replication and throttling


async def test_reads_see_a_rename_and_a_deletion_later() -> None:
    client = new_client(replication=5)
    path = f"/groups/{client.id('sales')}"
    await client.send("PATCH", path, {"displayName": "retail"})
    assert (await client.get(path))["displayName"] == "sales"
    assert (await client.get(path.replace("/groups", "/directoryObjects")))["displayName"] == "sales"
    client.later(seconds=5)
    assert (await client.get(path))["displayName"] == "retail"
    assert (await client.send("DELETE", path)).status == 204
    assert (await client.get(path))["displayName"] == "retail"
    assert "retail" in await names(client, "$top=10")
    assert (await client.error("PATCH", path, {"displayName": "x"}))[0] == 404  # writes see the present state
    client.later(seconds=5)
    assert (await client.error("GET", path))[0] == 404
    await client.send("POST", f"/directory/deletedItems/{client.id('sales')}/restore")
    assert (await client.error("GET", path))[0] == 404
    client.later(seconds=5)
    assert (await client.get(path))["displayName"] == "retail"


async def test_reads_see_owners_and_members_later() -> None:
    client = new_client(replication=5)
    group = client.id("sales")
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{client.id(ALICE)}"}
    for relation in ("owners", "members"):
        assert (await client.send("POST", f"/groups/{group}/{relation}/$ref", reference)).status == 204
    assert (await client.get(f"/groups/{group}/members"))["value"] == []
    client.later(seconds=5)
    for relation in ("owners", "members"):
        assert len((await client.get(f"/groups/{group}/{relation}"))["value"]) == 1


async def test_throttling_is_off_by_default() -> None:
    client = new_client(graphThrottling=True)
    path = "/identity/conditionalAccess/policies"
    await client.get(path)
    refused = await client.send("GET", path)
    assert isinstance(refused.body, dict)
    assert (refused.status, refused.body["error"]["code"]) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"] == "1"
    client.later(seconds=1)
    await client.get(path)
    off = new_client()
    for _ in range(3):
        await off.get(path)
