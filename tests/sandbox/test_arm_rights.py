"""Roles, assignments, permissions and locks: what opens a scope, and what closes it."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.roles import ROLES, find
from azure_sandbox.arm.spec import ClusterSpec
from tests.sandbox.arm_desk import ADMINS, ALICE, GROUP, OPERATOR, OUTSIDER, SCOPE, Desk, cluster_id

CLUSTER = cluster_id("shop-01")
NAME = "0a2b7dc5-8eb4-4970-9418-694f83a6c164"
ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"
LOCKS = "providers/Microsoft.Authorization/locks"
AKS = "Microsoft.ContainerService/managedClusters"


@pytest.fixture(name="desk")
def a_desk() -> Desk:
    return Desk(ClusterSpec(name="shop-01", identity="managed", admin_groups=(ADMINS,)))


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
def test_data_actions_too(role: str, action: str, allowed: bool) -> None:  # a table
    found = find(role) or find(f"Azure Kubernetes Service {role}")
    assert found is not None
    assert found.allows(f"{AKS}/{action}", data=True) is allowed


async def test_roles_are_found_by_name_and_id(desk: Desk) -> None:
    listed = await desk.get(f"{CLUSTER}/providers/Microsoft.Authorization/roleDefinitions?$filter=roleName eq 'Reader'")
    (reader,) = listed["value"]
    assert reader["properties"]["permissions"][0]["actions"] == ["*/read"]
    assert (await desk.get(reader["id"]))["name"] == reader["name"]
    everything = await desk.get("/providers/Microsoft.Authorization/roleDefinitions")
    assert len(everything["value"]) == len(ROLES)
    assert (await desk.refused("GET", f"/providers/Microsoft.Authorization/roleDefinitions/{NAME}"))[0] == 404


async def test_an_assignment_is_made_seen_and_removed(desk: Desk) -> None:
    url = f"{CLUSTER}/{ASSIGNMENTS}/{NAME}"
    made = await desk.send("PUT", url, assignment(OUTSIDER, principalType="ServicePrincipal"))
    assert made.status == 201
    assert isinstance(made.body, dict)
    assert made.body["properties"]["scope"] == CLUSTER
    assert made.body["properties"]["principalType"] == "ServicePrincipal"
    assert (await desk.send("PUT", url, assignment(OUTSIDER))).status == 200
    desk.speaker = desk.outsider
    assert (await desk.send("GET", CLUSTER)).status == 200
    desk.speaker = desk.operator
    assert (await desk.send("DELETE", url)).status == 200
    assert (await desk.send("DELETE", url)).status == 204
    desk.speaker = desk.outsider
    assert (await desk.send("GET", CLUSTER)).status == 403


async def test_assignments_are_refused_in_azures_words(desk: Desk) -> None:
    url, other = f"{CLUSTER}/{ASSIGNMENTS}/{NAME}", f"{CLUSTER}/{ASSIGNMENTS}/{NAME[:-1]}5"
    nobody = "12345678-0000-4000-8000-000000000000"
    status, code, message = await desk.refused("PUT", url, assignment(nobody, principalType="Group"))
    assert (status, code) == (400, "PrincipalNotFound")
    assert message.startswith("Principal 12345678000040008000000000000000 does not exist in the directory")
    status, code, message = await desk.refused("PUT", url, assignment(ADMINS, principalType="User"))
    assert (status, code) == (400, "UnmatchedPrincipalType")
    assert "specified PrinciaplType 'User'" in message
    assert (await desk.send("PUT", url, assignment(OUTSIDER))).status == 201
    status, code, message = await desk.refused("PUT", other, assignment(OUTSIDER))
    assert (status, code) == (409, "RoleAssignmentExists")
    assert message.endswith("is 0a2b7dc58eb449709418694f83a6c164.")
    assert (await desk.refused("PUT", url, assignment(ALICE)))[1] == "RoleAssignmentUpdateNotPermitted"
    assert (await desk.refused("PUT", f"{CLUSTER}/{ASSIGNMENTS}/short", assignment(ALICE)))[0] == 400
    nowhere = f"{cluster_id('nope')}/{ASSIGNMENTS}/{NAME}"
    assert (await desk.refused("PUT", nowhere, assignment(ALICE)))[0] == 404
    unknown = {"properties": {"principalId": ALICE, "roleDefinitionId": f"/x/{NAME}"}}
    assert (await desk.refused("PUT", other, unknown))[1] == "RoleDefinitionDoesNotExist"


async def test_assignments_are_listed_by_filter(desk: Desk) -> None:
    desk.arm.assign(CLUSTER, ADMINS, "Reader")
    desk.arm.assign(GROUP, ALICE, "Contributor")

    async def roles(scope: str, filter_: str) -> set[str]:
        found = await desk.get(f"{scope}/{ASSIGNMENTS}?$filter={filter_}")
        return {it["properties"]["principalId"] for it in found["value"]}

    assert await roles(CLUSTER, "atScope()") == {ADMINS, ALICE, OPERATOR}
    assert await roles(GROUP, "atScope()") == {ALICE, OPERATOR}
    assert await roles(GROUP, "") == {ADMINS, ALICE, OPERATOR}
    assert await roles(GROUP, f"principalId eq '{ALICE}'") == {ALICE}
    assert await roles(CLUSTER, f"atScope() and assignedTo('{ALICE}')") == {ADMINS, ALICE}
    assert (await desk.send("GET", f"{GROUP}/{ASSIGNMENTS}?$filter=something eq 'x'")).status == 501


async def test_a_namespace_is_a_scope_of_its_own(desk: Desk) -> None:
    scope = f"{CLUSTER}/namespaces/shop"
    made = await desk.send("PUT", f"{scope}/{ASSIGNMENTS}/{NAME}", assignment(OUTSIDER))
    assert made.status == 201
    desk.speaker = desk.outsider
    assert (await desk.send("GET", CLUSTER)).status == 403


async def test_everybody_may_read_their_own_permissions(desk: Desk) -> None:
    url = f"{GROUP}/providers/Microsoft.ContainerService//managedClusters/shop-01/providers/Microsoft.Authorization"
    (owner,) = (await desk.get(f"{url}/permissions"))["value"]
    assert owner["actions"] == ["*"]
    desk.speaker = desk.outsider
    assert (await desk.get(f"{url}/permissions"))["value"] == []


async def test_a_read_only_lock_stops_writes_and_actions(desk: Desk) -> None:
    desk.arm.add_lock(GROUP, "hands-off", "ReadOnly")
    assert (await desk.send("GET", CLUSTER)).status == 200
    for method, path in (
        ("PUT", CLUSTER),
        ("POST", f"{CLUSTER}/rotateClusterCertificates"),
        ("POST", f"{CLUSTER}/listClusterAdminCredential"),
    ):
        assert await desk.refused(method, path, {}) == (
            409,
            "ScopeLocked",
            (
                f"The scope '{CLUSTER}' cannot perform write operation because following scope(s) are locked: "
                f"'{GROUP}'. Please remove the lock and try again."
            ),
        )
    assert (await desk.refused("DELETE", CLUSTER))[1] == "ScopeLocked"
    assert (await desk.send("DELETE", f"{GROUP}/{LOCKS}/hands-off")).status == 200
    assert (await desk.send("DELETE", CLUSTER)).status == 202


async def test_a_delete_lock_stops_only_deletions(desk: Desk) -> None:
    made = await desk.send("PUT", f"{CLUSTER}/{LOCKS}/keep", {"properties": {"level": "CanNotDelete", "notes": "mine"}})
    assert made.status == 201
    assert (await desk.refused("DELETE", CLUSTER))[1] == "ScopeLocked"
    assert (await desk.refused("DELETE", GROUP))[1] == "ScopeLocked"
    assert (await desk.send("POST", f"{CLUSTER}/listClusterUserCredential")).status == 200
    (shown,) = (await desk.get(f"{SCOPE}/{LOCKS}"))["value"]
    assert shown["id"] == f"{CLUSTER}/{LOCKS}/keep"
    assert shown["properties"] == {"level": "CanNotDelete", "notes": "mine"}
    assert (await desk.get(f"{GROUP}/{LOCKS}?$filter=atScope()"))["value"] == []
    assert (await desk.send("GET", f"{CLUSTER}/{LOCKS}/none")).status == 404
    assert (await desk.refused("PUT", f"{CLUSTER}/{LOCKS}/x", {"properties": {"level": "Maybe"}}))[0] == 400


async def test_a_lock_on_the_node_group_makes_a_rotation_fail(desk: Desk) -> None:
    before = await desk.held("shop-01")
    desk.arm.add_lock(f"{SCOPE}/resourceGroups/MC_shop-weu_shop-01_westeurope", "keep", "CanNotDelete")
    started = await desk.send("POST", f"{CLUSTER}/rotateClusterCertificates")
    assert started.status == 202
    desk.clock.advance(desk.clock.real(3000))
    polled = (await desk.send("GET", started.headers["azure-asyncoperation"])).body
    assert isinstance(polled, dict)
    assert polled["status"] == "Failed"
    assert polled["error"]["code"] == "ScopeLocked"
    assert (await desk.get(CLUSTER))["properties"]["provisioningState"] == "Failed"
    assert desk.server("shop-01").reachable
    assert await desk.held("shop-01") == before
