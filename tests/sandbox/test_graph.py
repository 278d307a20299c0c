"""graph.microsoft.com: groups, their members and owners, the permissions that requests need, and refusals."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from multidict import CIMultiDict

from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory, Group, ServicePrincipal, Tenant, User
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.http import Reply, Request, split_path
from azure_sandbox.graph.service import HOST, Graph

ROOT = "https://graph.microsoft.com/v1.0"
OPERATOR = "aaaaaaaa-0000-4000-8000-000000000002"
ALICE = "bbbbbbbb-0000-4000-8000-000000000001"
BOB = "bbbbbbbb-0000-4000-8000-000000000002"
NOBODY = "dddddddd-0000-4000-8000-000000000009"
EVERYTHING = frozenset({"Group.ReadWrite.All", "User.Read.All", "Application.Read.All"})
NEW = {"displayName": "aks admins", "mailEnabled": False, "mailNickname": "aks-admins", "securityEnabled": True}


class GraphClient:
    """Graph over a small directory, and an application that calls it with the permissions that a test chooses."""

    def __init__(self, permissions: frozenset[str] = EVERYTHING, *, replication: float = 0.0) -> None:
        self.clock = Clock()
        tenant = Tenant(id="11111111-2222-4333-8444-555555555555", domain="contoso.onmicrosoft.com")
        self.directory = Directory(tenant, clock=self.clock, replication=replication)
        self.operator = ServicePrincipal(
            id=OPERATOR,
            app_id="aaaaaaaa-0000-4000-8000-000000000001",
            display_name="operator",
            graph_permissions=permissions,
        )
        self.alice = User(id=ALICE, upn="alice@contoso.onmicrosoft.com", display_name="Alice Adams")
        self.bob = User(id=BOB, upn="bob@contoso.onmicrosoft.com", display_name="Bob Brown", enabled=False)
        for principal in (self.operator, self.alice, self.bob):
            self.directory.add(principal)
        self.tokens = Tokens(self.directory)
        self.graph = Graph(self.directory, self.tokens)
        self.caller: ServicePrincipal | User = self.operator

    async def send(self, method: str, target: str, body: object = None, **headers: str) -> Reply:
        parts = urlsplit(target.removeprefix(f"https://{HOST}"))
        token = self.tokens.issue(self.caller, audience="https://graph.microsoft.com")
        return await self.graph.handle(
            Request(
                method=method,
                host=HOST,
                path=split_path(parts.path),
                raw_path=target,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers=CIMultiDict({"Authorization": f"Bearer {token}", **headers}),
                body=b"" if body is None else json.dumps(body).encode(),
                now=self.clock.now(),
            )
        )

    async def get(self, path: str, **headers: str) -> Any:
        reply = await self.send("GET", f"/v1.0{path}", **headers)
        assert reply.status == 200, reply
        return reply.body

    async def post(self, path: str, body: object, status: int = 201) -> Any:
        reply = await self.send("POST", f"/v1.0{path}", body)
        assert reply.status == status, reply
        return reply.body

    async def refused(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        """Return the status and message of a refusal, after checking its envelope and ids."""
        reply = await self.send(method, f"/v1.0{path}", body, **headers)
        assert isinstance(reply.body, dict), reply
        error = reply.body["error"]
        assert error["code"]
        assert error["innerError"]["request-id"] == reply.headers["request-id"]
        return reply.status, error["message"]

    async def names(self, path: str) -> list[str]:
        return [it["displayName"] for it in (await self.get(path))["value"]]


def reference(object_id: str) -> dict[str, str]:
    return {"@odata.id": f"{ROOT}/directoryObjects/{object_id}"}


@pytest.fixture
def client() -> GraphClient:
    return GraphClient()


async def test_a_group_is_created_read_changed_and_deleted(client: GraphClient) -> None:
    created = await client.post("/groups", {**NEW, "description": "all clusters"})
    assert created["@odata.context"] == f"{ROOT}/$metadata#groups/$entity"
    assert created["securityIdentifier"].startswith("S-1-12-1-")
    assert created["groupTypes"] == []
    path = f"/groups/{created['id']}"
    assert (await client.get(path))["description"] == "all clusters"
    assert set(await client.get(f"{path}?$select=id,displayName")) == {"@odata.context", "id", "displayName"}
    assert (await client.send("PATCH", f"/v1.0{path}", {"displayName": "admins"})).status == 204
    assert await client.names("/groups") == ["admins"]
    assert (await client.refused("PATCH", path, {"mailEnabled": True}))[0] == 400
    assert (await client.send("DELETE", f"/v1.0{path}")).status == 204
    assert (await client.refused("GET", path))[0] == 404
    deleted = await client.get(f"/directory/deletedItems/{created['id']}")
    assert deleted["deletedDateTime"] is not None
    assert await client.names("/directory/deletedItems/microsoft.graph.group") == ["admins"]
    assert (await client.send("POST", f"/v1.0/directory/deletedItems/{created['id']}/restore")).status == 200
    assert (await client.get(path))["deletedDateTime"] is None


async def test_a_deleted_group_is_removed_after_30_days(client: GraphClient) -> None:
    created = await client.post("/groups", NEW)
    await client.send("DELETE", f"/v1.0/groups/{created['id']}")
    client.clock.advance(timedelta(days=30))
    assert (await client.refused("GET", f"/directory/deletedItems/{created['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"displayName": None}, "A value is required for property 'displayName'"),
        ({"displayName": "x" * 257}, "Invalid value specified for property 'displayName'"),
        ({"mailNickname": "aks admins"}, "Invalid value specified for property 'mailNickname'"),
        ({"mailNickname": "n" * 65}, "Invalid value specified for property 'mailNickname'"),
        ({"mailNickname": "ä"}, "Invalid value specified for property 'mailNickname'"),
        ({"securityEnabled": "yes"}, "Invalid value specified for property 'securityEnabled'"),
        ({"securityEnabled": False}, "does not currently support writes of mail-enabled groups"),
        ({"mailEnabled": True}, "does not currently support writes of mail-enabled groups"),
        ({"colour": "blue"}, "Invalid property 'colour'"),
        ({"members@odata.bind": [f"{ROOT}/users/{ALICE}"] * 2}, "duplicate values"),
        ({"members@odata.bind": ["alice"]}, "Invalid object reference"),
    ],
)
async def test_graph_refuses_an_invalid_group(client: GraphClient, change: dict[str, Any], words: str) -> None:
    status, message = await client.refused("POST", "/groups", {**NEW, **change})
    assert status == 400
    assert words in message
    assert not client.directory.groups()


async def test_members_and_owners_are_bound_at_creation(client: GraphClient) -> None:
    bound = {"members@odata.bind": [f"{ROOT}/users/{ALICE}"], "owners@odata.bind": [f"{ROOT}/users/{BOB}"]}
    created = await client.post("/groups", {**NEW, **bound})
    members = (await client.get(f"/groups/{created['id']}/members"))["value"]
    assert [(it["@odata.type"], it["id"]) for it in members] == [("#microsoft.graph.user", ALICE)]
    assert [it["id"] for it in (await client.get(f"/groups/{created['id']}/owners"))["value"]] == [BOB]
    unknown = {"members@odata.bind": [f"{ROOT}/directoryObjects/{NOBODY}"]}
    assert (await client.refused("POST", "/groups", {**NEW, **unknown}))[0] == 404


async def test_an_upsert_by_unique_name_creates_once(client: GraphClient) -> None:
    path, prefer = "/v1.0/groups(uniqueName='aks-admins')", {"Prefer": "create-if-missing"}
    assert (await client.send("PATCH", path, NEW)).status == 404
    first = await client.send("PATCH", path, {**NEW, "members@odata.bind": [f"{ROOT}/users/{ALICE}"]}, **prefer)
    assert first.status == 201
    assert isinstance(first.body, dict)
    again = {**NEW, "displayName": "renamed", "members@odata.bind": [f"{ROOT}/users/{ALICE}"]}
    assert (await client.send("PATCH", path, again, **prefer)).status == 204
    found = await client.get("/groups(uniqueName='aks-admins')")
    assert (found["id"], found["displayName"], found["uniqueName"]) == (first.body["id"], "renamed", "aks-admins")
    assert (await client.refused("GET", "/groups(uniqueName='other')"))[0] == 404
    status, message = await client.refused("POST", "/groups", {**NEW, "uniqueName": "aks-admins"})
    assert (status, "uniqueName already exists" in message) == (400, True)


async def test_members_are_added_and_removed(client: GraphClient) -> None:
    outer, inner = [await client.post("/groups", {**NEW, "displayName": name}) for name in ("outer", "inner")]
    path = f"/groups/{outer['id']}/members"
    await client.post(f"{path}/$ref", reference(inner["id"]), 204)
    await client.post(f"/groups/{inner['id']}/members/$ref", reference(ALICE), 204)
    await client.post(f"/groups/{inner['id']}/members/$ref", reference(OPERATOR), 204)
    status, message = await client.refused("POST", f"{path}/$ref", reference(inner["id"]))
    assert (status, message) == (
        400,
        "One or more added object references already exist for the following modified properties: 'members'.",
    )
    assert (await client.refused("POST", f"{path}/$ref", reference(NOBODY)))[0] == 404
    assert [it["id"] for it in (await client.get(path))["value"]] == [inner["id"]]
    everyone = await client.get(f"/groups/{outer['id']}/transitiveMembers")
    assert {it["id"] for it in everyone["value"]} == {inner["id"], ALICE, OPERATOR}
    people = await client.get(f"/groups/{outer['id']}/transitiveMembers/microsoft.graph.user")
    assert [it["userPrincipalName"] for it in people["value"]] == [client.alice.upn]
    assert (await client.get(f"/groups/{outer['id']}/transitiveMembers/graph.group?$select=id"))["value"] == [
        {"@odata.type": "#microsoft.graph.group", "id": inner["id"]}
    ]
    assert await client.get(f"/groups/{outer['id']}/transitiveMembers/$count", ConsistencyLevel="eventual") == "3"
    assert (await client.refused("GET", f"/groups/{outer['id']}/transitiveMembers/$count"))[0] == 400
    assert (await client.refused("GET", f"/groups/{outer['id']}/members/graph.device"))[0] == 501
    checked = await client.post(f"/users/{ALICE}/checkMemberGroups", {"groupIds": [outer["id"], NOBODY]}, 200)
    assert checked["value"] == [outer["id"]]
    held = await client.post(f"/directoryObjects/{ALICE}/getMemberGroups", {"securityEnabledOnly": True}, 200)
    assert set(held["value"]) == {outer["id"], inner["id"]}
    assert await client.names(f"/users/{ALICE}/memberOf") == ["inner"]
    assert set(await client.names(f"/users/{ALICE}/transitiveMemberOf")) == {"outer", "inner"}
    leave = f"/v1.0/groups/{inner['id']}/members/{ALICE}/$ref"
    assert (await client.send("DELETE", leave)).status == 204
    assert (await client.send("DELETE", leave)).status == 404


async def test_owners_are_added_and_the_last_one_cannot_be_removed(client: GraphClient) -> None:
    path = f"/groups/{(await client.post('/groups', NEW))['id']}/owners"
    await client.post(f"{path}/$ref", reference(ALICE), 204)
    await client.post(f"{path}/$ref", reference(BOB), 204)
    assert (await client.refused("POST", f"{path}/$ref", reference(BOB)))[0] == 400
    assert (await client.send("DELETE", f"/v1.0{path}/{BOB}/$ref")).status == 204
    assert (await client.refused("DELETE", f"{path}/{ALICE}/$ref"))[0] == 400


@pytest.mark.parametrize(
    ("clause", "found"),
    [
        ("displayName eq 'o''neil & sons'", ["O'Neil & Sons"]),
        ("displayName eq 'aks' and mailNickname eq 'aks-2'", ["aks"]),
        ("startswith(displayName,'AKS')", ["aks", "aks", "aks-admins"]),
        ("displayName in ('aks-admins', 'nothing')", ["aks-admins"]),
        ("(mailNickname eq 'aks-1' or mailNickname eq 'aks-3') and securityEnabled eq true", ["aks", "aks-admins"]),
        ("uniqueName eq null and startswith(mailNickname,'aks-1')", ["aks"]),
    ],
)
async def test_a_filter_selects_groups(client: GraphClient, clause: str, found: list[str]) -> None:
    for name, nickname in (("aks", "aks-1"), ("aks", "aks-2"), ("aks-admins", "aks-3"), ("O'Neil & Sons", "oneil")):
        await client.post("/groups", {**NEW, "displayName": name, "mailNickname": nickname})
    quoted = clause.replace("&", "%26").replace(" ", "%20")
    assert await client.names(f"/groups?$filter={quoted}") == found


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("$filter=displayName%20equals%20'x'", 501),
        ("$filter=displayName%20eq%20x", 400),
        ("$filter=displayName%20eq%20'x'%20and", 400),
        ("$filter=colour%20eq%20'x'", 400),
        ("$filter=displayName%20ne%20'x'", 400),
        ("$filter=endswith(displayName,'x')", 400),
        ("$expand=appRoleAssignments", 501),
        ("$search=%22displayName:x%22", 400),
        ("$select=colour", 400),
        ("$top=0", 400),
        ("$top=1000", 400),
        ("$skiptoken=x", 400),
        ("$count=true", 400),
        ("$orderby=colour", 501),
        ("format=json", 501),
    ],
)
async def test_an_unknown_query_option_is_refused(client: GraphClient, query: str, status: int) -> None:
    await client.post("/groups", NEW)
    assert (await client.refused("GET", f"/groups?{query}"))[0] == status


async def test_advanced_queries_need_their_header(client: GraphClient) -> None:
    for name in ("a", "b", "c"):
        await client.post("/groups", {**NEW, "displayName": name})
    eventual = {"ConsistencyLevel": "eventual"}
    counted = await client.get(
        "/groups?$count=true&$filter=displayName%20ne%20'b'&$orderby=displayName%20desc", **eventual
    )
    assert counted["@odata.count"] == 2
    assert [it["displayName"] for it in counted["value"]] == ["c", "a"]


async def test_pages_follow_the_next_link(client: GraphClient) -> None:
    for number in range(5):
        await client.post("/groups", {**NEW, "displayName": f"g{number}"})
    link, seen = f"{ROOT}/groups?$top=2&$select=displayName", []
    while link:
        reply = await client.send("GET", link)
        assert isinstance(reply.body, dict)
        seen += [it["displayName"] for it in reply.body["value"]]
        link = reply.body.get("@odata.nextLink", "")
    assert seen == [f"g{number}" for number in range(5)]


async def test_users_and_service_principals_are_found_by_each_of_their_names(client: GraphClient) -> None:
    assert (await client.get(f"/users/{client.alice.upn}"))["id"] == ALICE
    assert "accountEnabled" not in await client.get(f"/users/{ALICE}")
    assert (await client.get(f"/users/{BOB}?$select=accountEnabled"))["accountEnabled"] is False
    assert await client.names(f"/users?$filter=userPrincipalName%20eq%20'{client.bob.upn}'") == ["Bob Brown"]
    app = client.operator.app_id
    for path in (f"?$filter=appId%20eq%20'{app}'", f"?$filter=servicePrincipalNames/any(c:c%20eq%20'{app}')"):
        assert [it["id"] for it in (await client.get(f"/servicePrincipals{path}"))["value"]] == [OPERATOR]
    assert (await client.get(f"/servicePrincipals(appId='{app}')"))["id"] == OPERATOR
    assert (await client.get(f"/servicePrincipals/{OPERATOR}"))["servicePrincipalNames"] == [app]
    for path in ("/users/nobody", f"/servicePrincipals/{ALICE}", f"/servicePrincipals(appId='{NOBODY}')"):
        assert (await client.refused("GET", path))[0] == 404
    found = await client.post("/directoryObjects/getByIds", {"ids": [ALICE, NOBODY, OPERATOR], "types": ["user"]}, 200)
    assert [it["id"] for it in found["value"]] == [ALICE]
    assert (await client.get(f"/directoryObjects/{OPERATOR}"))["@odata.type"] == "#microsoft.graph.servicePrincipal"


async def test_me_is_for_users_only(client: GraphClient) -> None:
    assert (await client.refused("GET", "/me"))[0] == 400
    client.caller = client.alice
    assert (await client.get("/me"))["userPrincipalName"] == client.alice.upn
    mine = await client.post("/groups", NEW)
    assert [it["id"] for it in (await client.get(f"/groups/{mine['id']}/owners"))["value"]] == [ALICE]
    assert (await client.send("DELETE", f"/v1.0/groups/{mine['id']}")).status == 204


async def test_a_write_is_visible_after_the_replication_delay() -> None:
    client = GraphClient(replication=5)
    created = await client.post("/groups", {**NEW, "members@odata.bind": [f"{ROOT}/users/{ALICE}"]})
    path = f"/groups/{created['id']}"
    assert await client.refused("GET", path) == (
        404,
        f"Resource '{created['id']}' does not exist or one of its queried reference-property objects are not present.",
    )
    assert await client.names("/groups") == []
    client.clock.advance(timedelta(seconds=5))
    assert await client.names(f"{path}/members") == ["Alice Adams"]
    await client.post(f"{path}/members/$ref", reference(OPERATOR), 204)
    assert await client.names(f"{path}/members") == ["Alice Adams"]
    client.clock.advance(timedelta(seconds=5))
    assert await client.names(f"{path}/members") == ["operator", "Alice Adams"]


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        (set(), set()),
        ({"GroupMember.Read.All"}, {"read"}),
        ({"Group.Read.All"}, {"read", "deleted"}),
        ({"Group.Create"}, {"create"}),
        ({"GroupMember.ReadWrite.All"}, {"read", "join"}),
        ({"Group.ReadWrite.All"}, {"read", "deleted", "create", "join", "rename"}),
        ({"User.Read.All"}, {"users"}),
        ({"Application.Read.All"}, {"apps"}),
        ({"Directory.Read.All"}, {"read", "deleted", "users", "apps"}),
    ],
)
async def test_each_request_needs_one_of_its_documented_permissions(permissions: set[str], allowed: set[str]) -> None:
    client = GraphClient(frozenset(permissions))
    now = client.clock.now()
    group = Group(id=NOBODY, display_name="g", mail_nickname="g", created_at=now, visible_at=now)
    client.directory.add(group)
    calls = {
        "read": ("GET", f"/groups/{NOBODY}", None),
        "deleted": ("GET", "/directory/deletedItems/microsoft.graph.group", None),
        "create": ("POST", "/groups", NEW),
        "join": ("POST", f"/groups/{NOBODY}/members/$ref", reference(ALICE)),
        "rename": ("PATCH", f"/groups/{NOBODY}", {"displayName": "h"}),
        "users": ("GET", f"/users/{ALICE}", None),
        "apps": ("GET", f"/servicePrincipals/{OPERATOR}", None),
    }
    done = set()
    for name, (method, path, body) in calls.items():
        reply = await client.send(method, f"/v1.0{path}", body)
        if reply.status == 403:
            assert isinstance(reply.body, dict)
            assert reply.body["error"]["code"] == "Authorization_RequestDenied"
        else:
            assert reply.status < 300, reply
            done.add(name)
    assert done == allowed


async def test_binding_principals_needs_the_right_to_read_them() -> None:
    client = GraphClient(frozenset({"Group.Create"}))
    bound = {"owners@odata.bind": [f"{ROOT}/users/{ALICE}"]}
    assert (await client.refused("POST", "/groups", {**NEW, **bound}))[0] == 403


async def test_a_member_of_an_unreadable_type_shows_only_its_id() -> None:
    client = GraphClient(frozenset({"GroupMember.Read.All"}))
    now = client.clock.now()
    group = Group(id=NOBODY, display_name="g", mail_nickname="g", created_at=now, visible_at=now, members={ALICE})
    client.directory.add(group)
    shown = (await client.get(f"/groups/{NOBODY}/members"))["value"][0]
    assert (shown["id"], shown["displayName"]) == (ALICE, None)
    assert (await client.refused("GET", f"/groups/{NOBODY}/members?$filter=accountEnabled%20eq%20true"))[0] == 403


async def test_a_role_assignable_group_needs_another_permission(client: GraphClient) -> None:
    wanted = {**NEW, "isAssignableToRole": True}
    assert (await client.refused("POST", "/groups", wanted))[0] == 403
    above = GraphClient(EVERYTHING | {"RoleManagement.ReadWrite.Directory"})
    assert (await above.post("/groups", wanted))["isAssignableToRole"] is True


async def test_a_token_for_another_audience_is_refused(client: GraphClient) -> None:
    stolen = client.tokens.issue(client.operator, audience="https://management.azure.com")
    status, message = await client.refused("GET", "/groups", Authorization=f"Bearer {stolen}")
    assert (status, message) == (401, "Access token validation failure. Invalid audience.")
    assert (await client.refused("GET", "/groups", Authorization=""))[0] == 401


async def test_a_malformed_body_and_an_unknown_route_are_refused(client: GraphClient) -> None:
    assert (await client.refused("POST", "/groups", ["a list"]))[0] == 400
    assert (await client.refused("GET", "/domains"))[0] == 501
