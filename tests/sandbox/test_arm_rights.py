"""Role definitions, role assignments, permissions, locks and deny assignments."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.authorization.roles import ROLES, find
from azure_sandbox.arm.containerservice.spec import ClusterSpec
from tests.support.arm_client import ADMINS, ALICE, GROUP, OPERATOR, OUTSIDER, SCOPE, ArmClient, cluster_id

CLUSTER = cluster_id("shop-01")
NAME = "0a2b7dc5-8eb4-4970-9418-694f83a6c164"
ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"
LOCKS = "providers/Microsoft.Authorization/locks"
AKS = "Microsoft.ContainerService/managedClusters"


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01", identity="managed", admin_groups=(ADMINS,)))


def role_id(name: str) -> str:
    role = find(name)
    assert role is not None
    return f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/{role.id}"


def assignment(principal: str, role: str = "Reader", **more: Any) -> dict[str, Any]:
    return {"properties": {"principalId": principal, "roleDefinitionId": role_id(role), **more}}


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("Owner", "Microsoft.Authorization/roleAssignments/write", True),
        ("Contributor", f"{AKS}/write", True),
        ("Contributor", "Microsoft.Authorization/roleAssignments/write", False),
        ("Contributor", "Microsoft.Authorization/locks/delete", False),
        ("Reader", f"{AKS}/read", True),
        ("Reader", f"{AKS}/listClusterUserCredential/action", False),
        ("User Access Administrator", "microsoft.authorization/ROLEASSIGNMENTS/write", True),
        ("Azure Kubernetes Service Cluster User Role", f"{AKS}/listClusterUserCredential/action", True),
        ("Azure Kubernetes Service Cluster User Role", f"{AKS}/listClusterAdminCredential/action", False),
        ("Azure Kubernetes Service Contributor Role", f"{AKS}/rotateClusterCertificates/action", False),
    ],
)
def test_roles_allow_what_azure_says(role: str, action: str, allowed: bool) -> None:  # a table
    found = find(role)
    assert found is not None
    assert found.allows(action) is allowed


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("Reader", "pods/read", False),
        ("RBAC Reader", "pods/read", True),
        ("RBAC Reader", "secrets/read", False),
        ("RBAC Reader", "nodes/read", False),
        ("RBAC Writer", "secrets/write", True),
        ("RBAC Writer", "rbac.authorization.k8s.io/roles/write", False),
        ("RBAC Admin", "namespaces/write", False),
        ("RBAC Admin", "*", False),
        ("RBAC Cluster Admin", "*", True),
    ],
)
def test_roles_allow_the_data_actions_that_azure_says(role: str, action: str, allowed: bool) -> None:  # a table
    found = find(role) or find(f"Azure Kubernetes Service {role}")
    assert found is not None
    assert found.allows(f"{AKS}/{action}", data=True) is allowed


async def test_roles_are_found_by_name_and_id(client: ArmClient) -> None:
    listed = await client.get(
        f"{CLUSTER}/providers/Microsoft.Authorization/roleDefinitions?$filter=roleName eq 'Reader'"
    )
    (reader,) = listed["value"]
    assert reader["properties"]["permissions"][0]["actions"] == ["*/read"]
    assert (await client.get(reader["id"]))["name"] == reader["name"]
    everything = await client.get("/providers/Microsoft.Authorization/roleDefinitions")
    assert len(everything["value"]) == len(ROLES)
    assert (await client.refused("GET", f"/providers/Microsoft.Authorization/roleDefinitions/{NAME}"))[0] == 404


async def test_a_role_assignment_is_created_takes_effect_and_is_deleted(client: ArmClient) -> None:
    url = f"{CLUSTER}/{ASSIGNMENTS}/{NAME}"
    made = await client.send("PUT", url, assignment(OUTSIDER, principalType="ServicePrincipal"))
    assert made.status == 201
    assert isinstance(made.body, dict)
    assert made.body["properties"]["scope"] == CLUSTER
    assert made.body["properties"]["principalType"] == "ServicePrincipal"
    assert (await client.send("PUT", url, assignment(OUTSIDER))).status == 200
    client.caller = client.outsider
    assert (await client.send("GET", CLUSTER)).status == 200
    client.caller = client.operator
    assert (await client.send("DELETE", url)).status == 200
    assert (await client.send("DELETE", url)).status == 204
    client.caller = client.outsider
    assert (await client.send("GET", CLUSTER)).status == 403


async def test_invalid_role_assignments_are_refused_in_azures_words(client: ArmClient) -> None:
    url, other = f"{CLUSTER}/{ASSIGNMENTS}/{NAME}", f"{CLUSTER}/{ASSIGNMENTS}/{NAME[:-1]}5"
    nobody = "12345678-0000-4000-8000-000000000000"
    status, code, message = await client.refused("PUT", url, assignment(nobody, principalType="Group"))
    assert (status, code) == (400, "PrincipalNotFound")
    assert message.startswith("Principal 12345678000040008000000000000000 does not exist in the directory")
    status, code, message = await client.refused("PUT", url, assignment(ADMINS, principalType="User"))
    assert (status, code) == (400, "UnmatchedPrincipalType")
    assert "specified PrinciaplType 'User'" in message
    assert (await client.send("PUT", url, assignment(OUTSIDER))).status == 201
    status, code, message = await client.refused("PUT", other, assignment(OUTSIDER))
    assert (status, code) == (409, "RoleAssignmentExists")
    assert message.endswith("is 0a2b7dc58eb449709418694f83a6c164.")
    assert (await client.refused("PUT", url, assignment(ALICE)))[1] == "RoleAssignmentUpdateNotPermitted"
    assert (await client.refused("PUT", f"{CLUSTER}/{ASSIGNMENTS}/short", assignment(ALICE)))[0] == 400
    nowhere = f"{cluster_id('nope')}/{ASSIGNMENTS}/{NAME}"
    assert (await client.refused("PUT", nowhere, assignment(ALICE)))[0] == 404
    unknown = {"properties": {"principalId": ALICE, "roleDefinitionId": f"/x/{NAME}"}}
    assert (await client.refused("PUT", other, unknown))[1] == "RoleDefinitionDoesNotExist"


async def test_role_assignments_are_listed_by_filter(client: ArmClient) -> None:
    client.arm.assign(CLUSTER, ADMINS, "Reader")
    client.arm.assign(GROUP, ALICE, "Contributor")

    async def roles(scope: str, filter_: str) -> set[str]:
        found = await client.get(f"{scope}/{ASSIGNMENTS}?$filter={filter_}")
        return {it["properties"]["principalId"] for it in found["value"]}

    assert await roles(CLUSTER, "atScope()") == {ADMINS, ALICE, OPERATOR}
    assert await roles(GROUP, "atScope()") == {ALICE, OPERATOR}
    assert await roles(GROUP, "") == {ADMINS, ALICE, OPERATOR}
    assert await roles(GROUP, f"principalId eq '{ALICE}'") == {ALICE}
    assert await roles(CLUSTER, f"atScope() and assignedTo('{ALICE}')") == {ADMINS, ALICE}
    assert (await client.send("GET", f"{GROUP}/{ASSIGNMENTS}?$filter=something eq 'x'")).status == 501


async def test_a_namespace_is_a_scope(client: ArmClient) -> None:
    scope = f"{CLUSTER}/namespaces/shop"
    made = await client.send("PUT", f"{scope}/{ASSIGNMENTS}/{NAME}", assignment(OUTSIDER))
    assert made.status == 201
    client.caller = client.outsider
    assert (await client.send("GET", CLUSTER)).status == 403


async def test_every_caller_may_read_their_own_permissions(client: ArmClient) -> None:
    url = f"{GROUP}/providers/Microsoft.ContainerService//managedClusters/shop-01/providers/Microsoft.Authorization"
    (owner,) = (await client.get(f"{url}/permissions"))["value"]
    assert owner["actions"] == ["*"]
    client.caller = client.outsider
    assert (await client.get(f"{url}/permissions"))["value"] == []


async def test_a_read_only_lock_stops_writes_and_actions(client: ArmClient) -> None:
    client.arm.add_lock(GROUP, "hands-off", "ReadOnly")
    assert (await client.send("GET", CLUSTER)).status == 200
    for method, path in (
        ("PUT", CLUSTER),
        ("POST", f"{CLUSTER}/rotateClusterCertificates"),
        ("POST", f"{CLUSTER}/listClusterAdminCredential"),
    ):
        assert await client.refused(method, path, {}) == (
            409,
            "ScopeLocked",
            (
                f"The scope '{CLUSTER}' cannot perform write operation because following scope(s) are locked: "
                f"'{GROUP}'. Please remove the lock and try again."
            ),
        )
    assert (await client.refused("DELETE", CLUSTER))[1] == "ScopeLocked"
    assert (await client.send("DELETE", f"{GROUP}/{LOCKS}/hands-off")).status == 200
    assert (await client.send("DELETE", CLUSTER)).status == 202


async def test_a_delete_lock_stops_only_deletions(client: ArmClient) -> None:
    made = await client.send(
        "PUT", f"{CLUSTER}/{LOCKS}/keep", {"properties": {"level": "CanNotDelete", "notes": "mine"}}
    )
    assert made.status == 201
    assert (await client.refused("DELETE", CLUSTER))[1] == "ScopeLocked"
    assert (await client.refused("DELETE", GROUP))[1] == "ScopeLocked"
    assert (await client.send("POST", f"{CLUSTER}/listClusterUserCredential")).status == 200
    (shown,) = (await client.get(f"{SCOPE}/{LOCKS}"))["value"]
    assert shown["id"] == f"{CLUSTER}/{LOCKS}/keep"
    assert shown["properties"] == {"level": "CanNotDelete", "notes": "mine"}
    assert (await client.get(f"{GROUP}/{LOCKS}?$filter=atScope()"))["value"] == []
    assert (await client.send("GET", f"{CLUSTER}/{LOCKS}/none")).status == 404
    assert (await client.refused("PUT", f"{CLUSTER}/{LOCKS}/x", {"properties": {"level": "Maybe"}}))[0] == 400


async def test_a_lock_on_the_node_group_makes_a_rotation_fail(client: ArmClient) -> None:
    before = await client.held("shop-01")
    client.arm.add_lock(f"{SCOPE}/resourceGroups/MC_shop-weu_shop-01_westeurope", "keep", "CanNotDelete")
    started = await client.send("POST", f"{CLUSTER}/rotateClusterCertificates")
    assert started.status == 202
    client.clock.advance(client.clock.real(3000))
    polled = (await client.send("GET", started.headers["azure-asyncoperation"])).body
    assert isinstance(polled, dict)
    assert polled["status"] == "Failed"
    assert polled["error"]["code"] == "ScopeLocked"
    assert (await client.get(CLUSTER))["properties"]["provisioningState"] == "Failed"
    assert client.server("shop-01").reachable
    assert await client.held("shop-01") == before


DENIALS = "providers/Microsoft.Authorization/denyAssignments"
DENIAL_NAME = "1c3d7a64-6dc9-4f1f-b34c-addc11ea1531"
EVERYONE = {"id": "00000000-0000-0000-0000-000000000000", "type": "SystemDefined"}


def denial(*actions: str, exclude: str = "", **more: Any) -> dict[str, Any]:
    excluded = [{"id": exclude, "type": "User"}] if exclude else []
    permissions = [{"actions": list(actions), "notActions": [], "dataActions": [], "notDataActions": []}]
    properties = {"denyAssignmentName": "no", "permissions": permissions, "principals": [EVERYONE]}
    return {"properties": {**properties, "excludePrincipals": excluded, **more}}


async def test_a_deny_assignment_overrides_every_role(client: ArmClient) -> None:
    """The form is that of Azure PowerShell's recording of 2026: everyone, with excluded principals."""
    here, above = f"{CLUSTER}/{DENIALS}/{DENIAL_NAME}", f"{SCOPE}/{DENIALS}/{DENIAL_NAME}"
    credential = f"{CLUSTER}/listClusterAdminCredential"
    made = await client.send("PUT", above, denial(f"{AKS}/listClusterAdminCredential/action"))
    assert made.status == 201
    assert isinstance(made.body, dict)
    assert made.body["properties"]["scope"] == SCOPE
    assert made.body["type"] == "Microsoft.Authorization/denyAssignments"
    status, code, text = await client.refused("POST", credential)
    assert (status, code) == (403, "DenyAssignmentAuthorizationFailed")
    assert "the access is denied because of the deny assignment with name 'no'" in text
    (shown,) = (await client.get(f"{CLUSTER}/{DENIALS}?$filter=atScope()"))["value"]
    assert shown["id"] == above
    assert (await client.send("GET", above)).body == shown
    assert (await client.send("DELETE", above)).status == 200
    assert (await client.send("DELETE", above)).status == 204
    assert (await client.refused("GET", above))[1] == "DenyAssignmentNotFound"
    assert (await client.send("POST", credential)).status == 200

    await client.send("PUT", above, denial("*", doNotApplyToChildScopes=True))
    assert (await client.send("POST", credential)).status == 200
    await client.send("PUT", here, denial("*/write", "*/action", exclude=OPERATOR))
    assert (await client.send("POST", credential)).status == 200
    await client.send("PUT", here, denial("*/action"))
    assert (await client.refused("POST", credential))[0] == 403
    assert (await client.refused("GET", f"{CLUSTER}/{DENIALS}?$filter=x%20eq%20'y'"))[0] == 501
    assert (await client.refused("PUT", f"{GROUP}x/{DENIALS}/a", denial("*")))[0] == 404
    assert (await client.refused("PUT", here, denial("*", principals="all")))[0] == 400
