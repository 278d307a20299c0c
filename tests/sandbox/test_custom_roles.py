"""Custom roles: they are created, assigned, changed, refused and deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from tests.support.arm_client import ADMINS, GROUP, OUTSIDER, SCOPE, ArmClient, cluster_id

ROLES = Path(__file__).parents[2] / "deployments" / "roles"
CLUSTER = cluster_id("shop-01")
ID = "7b0c1f5e-3a52-4a0b-9d55-0f6f3f0a1c01"
DEFINITIONS = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions"
ROLE = f"{DEFINITIONS}/{ID}"
HELD = f"{SCOPE}/providers/Microsoft.Authorization/roleAssignments/0a2b7dc5-8eb4-4970-9418-694f83a6c164"
AKS = "Microsoft.ContainerService/managedClusters"


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01", identity="managed", admin_groups=(ADMINS,), azure_rbac=True))


def definition(name: str = "Rotator", *actions: str, scopes: tuple[str, ...] = (SCOPE,), **lists: Any) -> Any:
    permission = {"actions": list(actions) or [f"{AKS}/read"], **lists}
    return {
        "properties": {
            "roleName": name,
            "type": "CustomRole",
            "description": "",
            "permissions": [permission],
            "assignableScopes": list(scopes),
        }
    }


def assigned() -> Any:
    return {"properties": {"principalId": OUTSIDER, "roleDefinitionId": ROLE}}


@pytest.mark.parametrize("file", ["look.json", "migrate.json", "access-granter.json"])
async def test_the_role_files_of_the_deployments_define_working_roles(client: ArmClient, file: str) -> None:
    role = json.loads((ROLES / file).read_text(encoding="utf-8"))
    lists = {name: role[name[0].upper() + name[1:]] for name in ("notActions", "dataActions", "notDataActions")}
    made = await client.send("PUT", ROLE, definition(role["Name"], *role["Actions"], **lists))
    assert made.status == 201, made
    assert (await client.send("PUT", HELD, assigned())).status == 201
    client.caller = client.outsider
    assert (await client.send("GET", CLUSTER)).status == 200
    assert (await client.send("POST", f"{CLUSTER}/listClusterUserCredential")).status == 200
    (held,) = (await client.get(f"{CLUSTER}/providers/Microsoft.Authorization/permissions"))["value"]
    assert held["actions"] == role["Actions"]
    rotating = await client.send("POST", f"{CLUSTER}/rotateClusterCertificates")
    assert rotating.status == (202 if file == "migrate.json" else 403)
    assert (await client.refused("DELETE", CLUSTER))[:2] == (403, "AuthorizationFailed")


async def test_a_changed_role_definition_takes_effect_in_its_assignments(client: ArmClient) -> None:
    await client.send("PUT", ROLE, definition())
    await client.send("PUT", HELD, assigned())
    client.caller = client.outsider
    assert (await client.send("POST", f"{CLUSTER}/stop")).status == 403
    client.caller = client.operator
    await client.send("PUT", ROLE, definition("Stopper", f"{AKS}/*", notActions=[f"{AKS}/start/action"]))
    client.caller = client.outsider
    assert (await client.send("POST", f"{CLUSTER}/stop")).status == 202
    assert (await client.send("POST", f"{CLUSTER}/start")).status == 403
    client.caller = client.operator
    (shown,) = (await client.get(f"{DEFINITIONS}?$filter=roleName eq 'stopper'"))["value"]
    assert shown["properties"]["type"] == "CustomRole"
    assert shown["properties"]["assignableScopes"] == [SCOPE]


async def test_data_actions_give_access_to_the_cluster_and_not_to_arm(client: ArmClient) -> None:
    granted: dict[str, Any] = {
        "actions": [],
        "dataActions": [f"{AKS}/*/read"],
        "notDataActions": [f"{AKS}/secrets/read"],
    }
    made = await client.send("PUT", ROLE, definition("Onlooker", **granted))
    assert made.status == 201, made
    await client.send("PUT", HELD, assigned())
    token = client.entra(client.outsider)
    assert (await client.kube("shop-01", "GET", "/api/v1/pods", token=token)).status == 200
    assert (await client.kube("shop-01", "GET", "/api/v1/secrets", token=token)).status == 403
    assert (await client.kube("shop-01", "POST", "/api/v1/namespaces", {}, token=token)).status == 403
    client.caller = client.outsider
    assert (await client.send("GET", CLUSTER)).status == 403


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (definition("Reader"), (409, "RoleDefinitionWithSameNameExists")),
        (definition("R", f"{AKS}/rotateClusterCertificate/action"), (400, "InvalidActionOrNotAction")),
        (definition("R", "Contoso.Things/read"), (400, "InvalidActionOrNotAction")),
        (definition("R", f"{AKS}/nothing/*"), (400, "InvalidActionOrNotAction")),
        (definition("R", dataActions=["pods/read"]), (400, "InvalidDataActionOrNotDataAction")),
        (definition("R", scopes=("/",)), (400, "InvalidRoleDefinition")),
        (definition("R", scopes=()), (400, "InvalidRoleDefinition")),
        (definition("R", scopes=("/subscriptions/<subscription id>",)), (403, "LinkedAuthorizationFailed")),
        (definition("R", scopes=(SCOPE, "/subscriptions/none")), (403, "LinkedAuthorizationFailed")),
        ({"properties": {"roleName": "R", "permissions": [], "assignableScopes": [SCOPE]}}, (400, "InvalidRole")),
        ({"properties": {"roleName": 1}}, (400, "InvalidRoleDefinition")),
        ({"properties": {"roleName": "R", "condition": "x"}}, (501, "SandboxNotModelled")),
    ],
)
async def test_an_invalid_role_definition_is_refused(client: ArmClient, body: Any, expected: tuple[int, str]) -> None:
    status, code, _ = await client.refused("PUT", ROLE, body)
    assert (status, code[: len(expected[1])]) == expected


async def test_a_role_is_limited_to_its_scopes_and_cannot_be_deleted_while_assigned(client: ArmClient) -> None:
    await client.send("PUT", ROLE, definition(scopes=(GROUP,)))
    assert (await client.refused("PUT", HELD, assigned()))[:2] == (404, "RoleDefinitionDoesNotExist")
    narrow = HELD.replace(SCOPE, GROUP)
    assert (await client.send("PUT", narrow, assigned())).status == 201
    assert (await client.get(f"{DEFINITIONS}?$filter=type eq 'CustomRole'"))["value"] == []
    below = await client.get(f"{DEFINITIONS}?$filter=atScopeAndBelow() and type eq 'CustomRole'")
    assert [it["name"] for it in below["value"]] == [ID]
    status, code, words = await client.refused("DELETE", ROLE)
    assert (status, code) == (400, "RoleDefinitionHasAssignments")
    assert words.startswith("There are existing role assignments referencing role")
    await client.send("DELETE", narrow)
    assert (await client.send("DELETE", ROLE)).status == 200
    assert (await client.send("DELETE", ROLE)).status == 204
    assert (await client.send("GET", ROLE)).status == 404


async def test_defining_a_role_needs_the_right_at_every_assignable_scope(client: ArmClient) -> None:
    client.arm.assign(SCOPE, OUTSIDER, "Contributor")
    client.caller = client.outsider
    assert (await client.refused("PUT", ROLE, definition()))[:2] == (403, "AuthorizationFailed")
    client.arm.assign(GROUP, OUTSIDER, "User Access Administrator")
    there = ROLE.replace(SCOPE, GROUP)
    assert (await client.refused("PUT", there, definition(scopes=(GROUP, SCOPE))))[:2] == (
        403,
        "LinkedAuthorizationFailed",
    )
    assert (await client.send("PUT", there, definition(scopes=(GROUP,)))).status == 201
    reader = f"{DEFINITIONS}/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    client.caller = client.operator
    assert (await client.refused("PUT", reader, definition()))[0] == 400
    assert (await client.refused("DELETE", reader))[0] == 400
