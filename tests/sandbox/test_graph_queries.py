"""Graph's wider surface: $batch, $search, $count, $expand, comparisons, replication of every write, 429."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.sandbox.identity_desk import DOMAIN, Desk

EVENTUAL = {"ConsistencyLevel": "eventual"}
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"


def desk(replication: float = 0.0, **world: Any) -> Desk:
    return Desk(
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


async def names(at: Desk, query: str, **headers: str) -> list[str]:
    return [it["displayName"] for it in (await at.get(f"/groups?{query}", **headers))["value"]]


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
async def test_search_reads_words_from_their_start(search: str, found: list[str]) -> None:
    assert await names(desk(), f"$search={quote(search)}", **EVENTUAL) == found


async def test_search_is_an_advanced_query() -> None:
    at = desk()
    query = f"/groups?$search={quote(chr(34) + 'displayName:aks' + chr(34))}"
    assert (await at.error("GET", query))[1] == "Request_UnsupportedQuery"
    assert (await at.error("GET", "/groups?$search=aks", **EVENTUAL))[0] == 400
    unknown = quote('"mail:x"')
    assert (await at.error("GET", f"/groups?$search={unknown}", **EVENTUAL))[0] == 501


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
async def test_filters(clause: str, advanced: bool, found: list[str]) -> None:
    query = f"$filter={quote(clause)}"
    if advanced:
        assert (await desk().error("GET", f"/groups?{query}"))[1] == "Request_UnsupportedQuery"
        assert await names(desk(), f"{query}&$count=true", **EVENTUAL) == found
    else:
        assert await names(desk(), query) == found


async def test_counts_are_plain_text_and_need_the_header() -> None:
    at = desk()
    assert (await at.error("GET", "/groups/$count"))[0] == 400
    assert await at.get("/groups/$count", **EVENTUAL) == "3"
    assert await at.get(f"/groups/{at.id('aks-admins')}/members/$count", **EVENTUAL) == "2"
    assert await at.get("/users/$count", **EVENTUAL) == "2"


async def test_expanding_members_and_owners() -> None:
    at = desk()
    path = f"/groups/{at.id('aks-admins')}"
    group = await at.get(f"{path}?$expand=members($select=id,displayName),owners&$select=id")
    assert {it["displayName"] for it in group["members"]} == {"Alice Adams", "Bob Brown"}
    assert [it["displayName"] for it in group["owners"]] == ["Bob Brown"]
    assert set(group["members"][0]) == {"@odata.type", "id", "displayName"}
    listed = (await at.get("/groups?$expand=members"))["value"]
    assert [len(it["members"]) for it in listed] == [2, 1, 0]
    assert (await at.error("GET", f"{path}?$expand=members($filter=x)"))[0] == 501
    assert (await at.error("GET", "/groups?$expand=members&$count=true", **EVENTUAL))[0] == 400


async def test_sorting() -> None:
    at = desk()
    assert await names(at, "$orderby=displayName%20desc") == ["sales", "aksReaders 2", "aks-admins"]
    filtered = "$filter=securityEnabled%20eq%20true&$orderby=displayName"
    assert (await at.error("GET", f"/groups?{filtered}"))[1] == "Request_UnsupportedQuery"
    assert len(await names(at, f"{filtered}&$count=true", **EVENTUAL)) == 3


# -- $batch


async def test_a_batch_answers_each_and_stops_where_one_depends_on_a_failure() -> None:
    at = desk()
    new = {"displayName": "new", "mailEnabled": False, "mailNickname": "new", "securityEnabled": True}
    json = {"Content-Type": "application/json"}
    entries = [
        {"id": "1", "method": "GET", "url": f"/groups/{at.id('sales')}?$select=displayName"},
        {"id": "2", "method": "POST", "url": "/groups", "headers": json, "body": new},
        {"id": "3", "method": "GET", "url": "/groups/11111111-2222-4333-8444-555555555555", "dependsOn": ["2"]},
        {"id": "4", "method": "GET", "url": "/groups", "dependsOn": ["3"]},
        {"id": "5", "method": "GET", "url": "/groups/$count", "headers": EVENTUAL},
    ]
    answer = (await at.post("/$batch", {"requests": entries}, 200))["responses"]
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
async def test_a_batch_that_cannot_be_read(requests: Any) -> None:
    assert (await desk().error("POST", "/$batch", {"requests": requests}))[0] == 400


# -- replication and throttling


async def test_a_rename_and_a_deletion_are_seen_later() -> None:
    at = desk(replication=5)
    path = f"/groups/{at.id('sales')}"
    await at.send("PATCH", path, {"displayName": "retail"})
    assert (await at.get(path))["displayName"] == "sales"
    assert (await at.get(path.replace("/groups", "/directoryObjects")))["displayName"] == "sales"
    at.later(seconds=5)
    assert (await at.get(path))["displayName"] == "retail"
    assert (await at.send("DELETE", path)).status == 204
    assert (await at.get(path))["displayName"] == "retail"
    assert "retail" in await names(at, "$top=10")
    assert (await at.error("PATCH", path, {"displayName": "x"}))[0] == 404  # writes know better
    at.later(seconds=5)
    assert (await at.error("GET", path))[0] == 404
    await at.send("POST", f"/directory/deletedItems/{at.id('sales')}/restore")
    assert (await at.error("GET", path))[0] == 404
    at.later(seconds=5)
    assert (await at.get(path))["displayName"] == "retail"


async def test_owners_and_members_are_seen_later() -> None:
    at = desk(replication=5)
    group = at.id("sales")
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{at.id(ALICE)}"}
    for relation in ("owners", "members"):
        assert (await at.send("POST", f"/groups/{group}/{relation}/$ref", reference)).status == 204
    assert (await at.get(f"/groups/{group}/members"))["value"] == []
    at.later(seconds=5)
    for relation in ("owners", "members"):
        assert len((await at.get(f"/groups/{group}/{relation}"))["value"]) == 1


async def test_throttling_is_off_until_it_is_wished_for() -> None:
    at = desk(graphThrottling=True)
    path = "/identity/conditionalAccess/policies"
    await at.get(path)
    refused = await at.send("GET", path)
    assert isinstance(refused.body, dict)
    assert (refused.status, refused.body["error"]["code"]) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"] == "1"
    at.later(seconds=1)
    await at.get(path)
    off = desk()
    for _ in range(3):
        await off.get(path)
