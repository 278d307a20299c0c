"""A world that is imported from the output of Azure and Graph describes the same fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from azure_sandbox.arm.state import ChildResource
from azure_sandbox.server import Sandbox
from azure_sandbox.world.importing.files import import_files
from azure_sandbox.world.model import World, WorldError
from tests.support.azure_documents import ADMINS, SUBSCRIPTION, TENANT, WORLD, documents, world, written_to

VOLATILE = frozenset(
    {"eTag", "createdOn", "updatedOn", "createdBy", "updatedBy", "createdDateTime", "renewedDateTime", "resourceUID"}
    | {"modifiedDateTime", "createdUsing", "scheduleInfo", "accountEnabled", "systemData"}
)


def steady(value: Any) -> Any:
    """Return a document without the parts that each start generates anew."""
    if isinstance(value, dict):
        return {key: steady(it) for key, it in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return sorted(
            (steady(it) for it in value), key=lambda it: str(it.get("id", it)) if isinstance(it, dict) else ""
        )
    return value


async def test_responses_of_a_fleet_import_as_the_same_fleet(tmp_path: Path) -> None:
    first = Sandbox(world(WORLD))
    found = await documents(first)
    notes: list[str] = []
    made = World.model_validate(import_files(written_to(tmp_path, found), operator="deployer", tell=notes.append))
    second = Sandbox(made)
    second.operator.principal.graph_permissions = first.operator.principal.graph_permissions  # no file has them
    again = await documents(second)
    assert set(again) == set(found)
    for name, document in found.items():
        assert steady(again[name]["value"]) == steady(document["value"]), name
    (note,) = notes
    assert note.startswith("deployer: no file has its Graph permissions; it gets Group.ReadWrite.All")


async def test_an_exported_world_gives_the_same_answers(tmp_path: Path) -> None:
    first = Sandbox(world(WORLD))
    file = tmp_path / "out.yaml"
    file.write_text(first.export())
    second = Sandbox(file)
    found, again = await documents(first), await documents(second)
    assert set(again) == set(found)
    for name, document in found.items():
        assert steady(again[name]["value"]) == steady(document["value"]), name
    assert YAML(typ="safe").load(second.export()) == YAML(typ="safe").load(first.export())


def test_an_exported_world_has_the_child_resources_of_clusters(tmp_path: Path) -> None:
    first = Sandbox(world(WORLD))
    key, cluster = next(iter(first.arm.state.clusters.items()))
    for kind in ("jwtAuthenticators", "managedNamespaces"):
        cluster.children[kind, "one"] = ChildResource(name="One", document={"properties": {"of": kind}})
    file = tmp_path / "out.yaml"
    file.write_text(first.export())
    assert Sandbox(file).arm.state.clusters[key].children == cluster.children


CLUSTER = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/Shop/providers/Microsoft.ContainerService/managedClusters/one"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
SHOWN = {"id": CLUSTER, "location": "westeurope", "dnsPrefix": "one", "agentPoolProfiles": [], "enableRbac": True}
POOL = {  # az aks nodepool list
    "id": f"{CLUSTER}/agentPools/system",
    "name": "system",
    "type": "Microsoft.ContainerService/managedClusters/agentPools",
    "count": 3,
    "mode": "System",
    "osSku": "AzureLinux",
    "resourceGroup": "Shop",
}
ACCOUNT = {"id": SUBSCRIPTION, "name": "Production", "tenantId": TENANT, "isDefault": True, "state": "Enabled"}
PERSON = {
    "id": "AAAA0000-0000-4000-8000-000000000001",
    "displayName": "Carol",
    "userPrincipalName": "carol@corp.example",
}
APPLICATION = {
    "id": "aaaa0000-0000-4000-8000-000000000002",
    "appId": "aaaa0000-0000-4000-8000-00000000000a",
    "displayName": "fleet",
    "servicePrincipalType": "Application",
}
GROUP = {
    "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#groups/$entity",
    "id": ADMINS,
    "displayName": "adm",
}


def assignment(principal: str, scope: str, role: str = READER, **more: Any) -> dict[str, Any]:
    """Return a role assignment as `az role assignment list --all` prints it."""
    name = f"0a2b7dc5-8eb4-4970-9418-{principal[-12:]}"
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "name": name,
        "principalId": principal,
        "principalName": more.get("called", ""),
        "principalType": more.get("kind", "User"),
        "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        "roleDefinitionName": more.get("named", "Reader"),
        "scope": scope,
        "condition": more.get("condition"),
    }


def made(folder: Path, found: dict[str, Any], **more: Any) -> tuple[Sandbox, list[str]]:
    notes: list[str] = []
    return Sandbox(World.model_validate(import_files(written_to(folder, found), tell=notes.append, **more))), notes


def test_output_of_az_is_imported_with_users_and_assignments(tmp_path: Path) -> None:
    lock = {"id": f"{CLUSTER}/providers/Microsoft.Authorization/locks/keep", "level": "CanNotDelete", "name": "keep"}
    sandbox, notes = made(
        tmp_path,
        {
            "clusters": [SHOWN],
            "pools": [POOL],
            "accounts": [ACCOUNT],
            "users": [PERSON],
            "apps": [APPLICATION],
            "group": GROUP,
            "adm.members": [{"@odata.type": "#microsoft.graph.user", **PERSON}],
            f"{ADMINS}.owners": [{"@odata.type": "#microsoft.graph.servicePrincipal", **APPLICATION}],
            "roles": [
                assignment(PERSON["id"], CLUSTER),
                assignment("cccc0000-0000-4000-8000-000000000003", f"/subscriptions/{SUBSCRIPTION}", called="dave@x.y"),
                assignment(APPLICATION["id"], "/providers/Microsoft.Management/managementGroups/root"),
            ],
            "locks": [lock],
        },
        operator="fleet",
    )
    assert [it.partition(":")[0] for it in notes] == ["fleet"]
    (cluster,) = sandbox.arm.state.clusters.values()
    assert cluster.pools[0]["osSKU"] == "AzureLinux"
    assert len(cluster.server.machines.wanted()) == 3
    group = sandbox.directory.group(ADMINS)
    assert group is not None
    assert (group.members, group.owners) == ({PERSON["id"].lower()}, {APPLICATION["id"]})
    assert sandbox.operator.principal.app_id == APPLICATION["appId"]
    assert sandbox.arm.state.subscription(SUBSCRIPTION).name == "Production"
    held = {(it.principal[:4], it.scope.rpartition("/")[2]) for it in sandbox.arm.state.access.all()}
    assert held == {("aaaa", "one"), ("cccc", SUBSCRIPTION), ("aaaa", SUBSCRIPTION)}
    assert [it.name for it in sandbox.arm.state.locks.values()] == ["keep"]
    assert sandbox.directory.tenant.id == TENANT


def test_parts_that_cannot_be_imported_are_reported(tmp_path: Path) -> None:
    other = "/subscriptions/0b7d5c1e-0000-4e89-9c64-d8a1b5e7f302"
    policy = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/policyAssignments/p"
    conditional = {"id": "x", "displayName": "c", "state": "enabled", "conditions": {}, "sessionControls": {"a": 1}}
    sandbox, notes = made(
        tmp_path,
        {
            "clusters": [SHOWN | {"agentPoolProfiles": [{"name": "system", "count": 1, "mode": "System"}]}],
            "pools": [POOL | {"id": f"{CLUSTER[:-3]}gone/agentPools/system"}],
            "members": [{"@odata.type": "#microsoft.graph.user", **PERSON}, {"@odata.type": "#microsoft.graph.device"}],
            "roles": [
                assignment(PERSON["id"], other),
                assignment(PERSON["id"], CLUSTER, "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", named="Blob Owner"),
                assignment(PERSON["id"], CLUSTER, condition="@Resource"),
            ],
            "policies": [{"id": policy, "policyDefinitionId": "/x/policyDefinitions/mine", "scope": other}],
            "conditional": [conditional],
        },
    )
    assert not list(sandbox.arm.state.policies)
    for words in (
        "pools.json: item 1: left out, no file has its cluster gone",
        "members.json: item 1: the group of this member is unknown; call the file GROUP.members.json",
        "members.json: item 2: left out, the sandbox does not model #microsoft.graph.device",
        f"roles.json: item 1: left out, no file has the subscription of its scope {other}",
        "roles.json: item 2: left out, unknown role 'Blob Owner'; import the output of az role definition list",
        "roles.json: item 3: left out, the sandbox does not model conditions of role assignments",
        "policies.json: item 1: left out, the sandbox does not know the definition /x/policyDefinitions/mine",
        "sessionControls in a Conditional Access policy",
    ):
        assert any(words in it for it in notes), (words, notes)


@pytest.mark.parametrize(
    ("found", "operator", "words"),
    [
        ({"x.members": [PERSON]}, "", "x.members.json: no group in the files has this name"),
        ({"users": [PERSON]}, "fleet", "--as fleet: no imported service principal has this name"),
        ({"apps": [{"id": "1", "appId": "2", "web": {}}]}, "", r"item 1 \(1\) is of an unknown shape"),
    ],
)
def test_contradictory_files_are_one_clear_error(
    tmp_path: Path, found: dict[str, Any], operator: str, words: str
) -> None:
    with pytest.raises(WorldError, match=words):
        made(tmp_path, {"clusters": [SHOWN], **found}, operator=operator)
