"""The schema of world files, worlds from the output of az, and the export of a running world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no type hints
import pytest
from ruamel.yaml import YAML

from azure_sandbox.server import Sandbox
from azure_sandbox.world.importing.files import import_files
from azure_sandbox.world.importing.spelling import raw
from azure_sandbox.world.model import WORLDS, World, WorldError, load_world, schema

ROOT = Path(__file__).resolve().parents[2]
ID = "/subscriptions/0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302/resourcegroups/shop/providers/Microsoft.ContainerService/"
GROUP = "2d1f6b0e-7c55-4d0a-9a4e-1c3b5d7f9e21"
SHOWN = {  # as `az aks show -o json` prints it
    "id": f"{ID}managedClusters/shop-01",
    "name": "shop-01",
    "location": "northeurope",
    "resourceGroup": "shop",
    "type": "Microsoft.ContainerService/ManagedClusters",
    "tags": {"env": "prod"},
    "sku": {"name": "Base", "tier": "Standard"},
    "identity": {"type": "SystemAssigned", "principalId": "x", "tenantId": "6f0c2a51-9b1e-4c7d-8a33-2f5e9d4b7c10"},
    "aadProfile": {
        "adminGroupObjectIDs": [GROUP],
        "adminUsers": None,
        "clientAppId": None,
        "enableAzureRbac": True,
        "managed": True,
        "tenantId": "6f0c2a51-9b1e-4c7d-8a33-2f5e9d4b7c10",
    },
    "agentPoolProfiles": [
        {
            "name": "system",
            "count": 3,
            "mode": "System",
            "osDiskSizeGb": 64,
            "osSku": "AzureLinux",
            "vmSize": "Standard_D4s_v5",
        }
    ],
    "currentKubernetesVersion": "1.31.8",
    "kubernetesVersion": "1.31",
    "disableLocalAccounts": True,
    "enableRbac": True,
    "fqdn": "shop-abc.hcp.northeurope.azmk8s.io",
    "dnsPrefix": "shop",
    "nodeResourceGroup": "MC_shop",
    "powerState": {"code": "Running"},
    "provisioningState": "Updating",
    "someFutureThing": {"a": 1},
}


def written(folder: Path, document: object, name: str = "mine.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(document))
    return file


def test_the_schema_in_the_documentation_is_up_to_date() -> None:
    held = json.loads((ROOT / "docs" / "reference" / "world.schema.json").read_text())
    assert held == schema(), "generate it again: aks-entra-sandbox world schema -o docs/reference/world.schema.json"


@pytest.mark.parametrize("file", sorted(WORLDS.glob("*.yaml")), ids=lambda it: it.stem)
def test_every_built_in_world_meets_the_schema_and_starts(file: Path) -> None:
    document = json.loads(json.dumps(YAML(typ="safe").load(file.read_text()), default=str))
    jsonschema.validate(document, schema())
    assert Sandbox(file).arm.state.clusters


def test_names_that_az_respells_get_arms_spelling() -> None:
    properties = raw(SHOWN)["properties"]
    assert properties["enableRBAC"] is True
    assert properties["aadProfile"] == {
        "adminGroupObjectIDs": [GROUP],
        "enableAzureRBAC": True,
        "managed": True,
        "tenantID": "6f0c2a51-9b1e-4c7d-8a33-2f5e9d4b7c10",
    }
    assert properties["agentPoolProfiles"][0]["osDiskSizeGB"] == 64
    assert "resourceGroup" not in properties


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: [it], lambda it: {"value": [it]}])
def test_the_output_of_az_becomes_a_world(tmp_path: Path, wrap: Any) -> None:
    world = World.model_validate(import_files([written(tmp_path, wrap(SHOWN))]))
    sandbox = Sandbox(world)
    (cluster,) = sandbox.arm.state.clusters.values()
    assert cluster.properties["fqdn"] == "shop-abc.hcp.northeurope.azmk8s.io"
    assert cluster.properties["currentKubernetesVersion"] == "1.31.8"
    assert cluster.properties["someFutureThing"] == {"a": 1}
    assert (cluster.properties["disableLocalAccounts"], cluster.state) == (True, "Succeeded")
    assert sandbox.directory.tenant.id == "6f0c2a51-9b1e-4c7d-8a33-2f5e9d4b7c10"
    group = sandbox.directory.group(GROUP)
    assert group is not None
    assert sandbox.operator.principal.id in group.members
    assert len(cluster.server.machines.wanted()) == 3


def test_raw_resources_and_groups_are_imported_too(tmp_path: Path) -> None:
    resource = raw(SHOWN)
    group = {"id": GROUP, "displayName": "platform-admins", "securityEnabled": True}
    files = [written(tmp_path, resource), written(tmp_path, [group], "groups.json")]
    world = World.model_validate(import_files(files))
    assert [it.name for it in world.groups] == ["platform-admins"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[]", "the file is empty"),
        ('{"id": "x"}', r"odd.json: item 1 \(x\) is of an unknown shape; supported: clusters"),
        ("[1]", "item 1 is not an object"),
        ('[{"id": "/subscriptions/s/resourceGroups/g", "location": "westeurope"}]', "holds a managed cluster"),
        ('{"value": [], "nextLink": "https://x"}', r"the list is incomplete \(nextLink\)"),
    ],
)
def test_a_file_without_clusters_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "odd.json"
    file.write_text(content)
    with pytest.raises(WorldError, match=words):
        import_files([file])
    with pytest.raises(WorldError, match="No such file"):
        import_files([tmp_path / "none.json"])


@pytest.mark.parametrize("name", ["demo", "situations"])
def test_an_exported_world_starts_the_same_world(tmp_path: Path, name: str) -> None:
    first = Sandbox(Path(name))
    file = tmp_path / "out.yaml"
    file.write_text(first.export())
    second = Sandbox(file)
    assert load_world(file).version == 1
    assert set(second.arm.state.clusters) == set(first.arm.state.clusters)
    for key, cluster in first.arm.state.clusters.items():
        other = second.arm.state.clusters[key]
        assert other.document == cluster.document, key
        assert (other.state, other.server.fqdn) == (cluster.state, cluster.server.fqdn)
        assert other.server.blueprint.workloads == cluster.server.blueprint.workloads
    assert {it.id for it in second.directory.every_group()} == {it.id for it in first.directory.every_group()}
    assert second.operator.secret == first.operator.secret
    kept = {(it.scope, it.principal, it.role.name) for it in first.arm.state.access.all()}
    assert {(it.scope, it.principal, it.role.name) for it in second.arm.state.access.all()} == kept
    assert set(second.arm.state.locks) == set(first.arm.state.locks)
    assert set(second.arm.state.policies) == set(first.arm.state.policies)
