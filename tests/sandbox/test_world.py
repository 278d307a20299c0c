"""World files: what they build, and the errors for wrong ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from multidict import CIMultiDict

from azure_sandbox.arm.service import Arm
from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.http import Request, split_path
from azure_sandbox.server import Sandbox
from azure_sandbox.world.build import Names, Operator, build_arm, build_directory
from azure_sandbox.world.model import World, WorldError, builtin_world, load_world, raw_document

CLUSTERS = "Microsoft.ContainerService/managedClusters"


def build(world: World) -> tuple[Directory, Names, Arm, Operator]:
    clock = Clock()
    directory, names = build_directory(world, clock)
    arm = Arm(directory, Tokens(directory), clock)
    return directory, names, arm, build_arm(world, arm, directory, names)


def write(folder: Path, text: str) -> Path:
    file = folder / "world.yaml"
    file.write_text(text)
    return file


def test_the_default_world_has_an_operator_and_an_empty_subscription() -> None:
    directory, _, _, operator = build(builtin_world())
    assert operator.tenant_id == directory.tenant.id
    assert operator.subscription_id
    assert "Group.ReadWrite.All" in operator.principal.graph_permissions
    assert not directory.groups()


def test_ids_are_stable_and_secrets_are_new() -> None:
    first, second = build(builtin_world())[3], build(builtin_world())[3]
    assert first.principal.app_id == second.principal.app_id
    assert first.subscription_id == second.subscription_id
    assert first.secret != second.secret


def test_the_demo_world_matches_its_comments() -> None:
    world = load_world(Path("demo"))
    directory, names, _, operator = build(world)
    assert operator.principal.display_name == "operator"
    admins = directory.group(names.resolve("aks-admins", ""))
    assert admins is not None
    assert {it.display_name for it in directory.members_of(admins)} == {
        "Alice Adams",
        "Bob Brown",
        "Dana Diaz",
        "operator",
    }
    assert [it.display_name for it in directory.deleted_groups()] == ["ops-admins"]
    clusters = {it.name: it for group in world.subscriptions[0].resource_groups for it in group.clusters}
    assert {name for name, it in clusters.items() if it.tags["ring"] == "canary"} == {"shop-02", "pay-02"}
    assert clusters["pay-02"].created == datetime(2024, 5, 11, tzinfo=UTC)
    assert len(clusters) == 7
    assert not directory.groups_of(operator.principal.id) - {admins.id}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("version: 2\n", 1, "version: Input should be 1"),
        (
            "version: 1\ntenants_: []\n",
            2,
            "tenants_: unknown key; allowed here: aksServer, conditionalAccess, controlPlane, customRoles, durations",
        ),
        (
            "version: 1\nusers:\n  - {name: A, mail: b}\n",
            3,
            "users.0.mail: unknown key; allowed here: device, enabled, id, ip, mfa, name",
        ),
        ("version: 1\nusers:\n  - {name: A}\n", 3, "users.0.upn: Field required"),
        ("version: 1\ngroups:\n  - {name: g,\n     id: x}\n", 4, "groups.0.id: 'x' is not a GUID; write one"),
        ("version: 1\nservicePrincipals: [{name: p, graphPermissions: [All]}]\n", 2, "unknown Graph permissions: All"),
        ("version: 1\nversion: 1\n", 2, "not YAML: found duplicate key"),
        ("version: [\n", 2, "not YAML"),
        (
            "version: 1\ndurations: {repair: 5}\n",
            2,
            "durations: unknown operations: repair; there are abort, azure-rbac",
        ),
        ("version: 1\ndurations:\n  rotate: -1\n", 3, "durations.rotate: Input should be greater than or equal to 0"),
    ],
)
def test_an_error_in_a_world_file_names_the_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(WorldError) as caught:
        load_world(file)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["- 1\n", "version: 1\nfolder: x\n"])
def test_a_file_that_is_not_a_world_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorldError, match=r"world\.yaml: "):
        load_world(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"no\.yaml: No such file"):
        load_world(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("operator: nobody", "operator: no object is called 'nobody'"),
        ("operator: u\nusers: [{name: u, upn: u@x}]", "operator: `servicePrincipals` has no 'u'"),
        ("groups: [{name: g, members: [x]}]", "group g: members: no object is called 'x'"),
        ("users: [{name: u, upn: a@x}, {name: v, upn: A@x}]", "two users have the UPN A@x"),
        (
            "users: [{name: u, upn: a@x}, {name: u, upn: b@x}]\ngroups: [{name: g, members: [u]}]",
            "2 objects are called 'u'",
        ),
        ("subscriptions: [{name: s, tenant: other}]", "`tenants` has no tenant 'other'"),
        ("subscriptions: [{name: s, roleAssignments: [{principal: operator, role: King}]}]", "King"),
        (
            "subscriptions: [{name: s, resourceGroups: [{name: g, clusters: [{name: c, document: no.json}]}]}]",
            "cluster c: document ",
        ),
    ],
)
def test_a_world_with_a_contradiction_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(WorldError) as caught:
        build(load_world(write(tmp_path, f"version: 1\n{text}\n")))
    assert words in str(caught.value)


def test_a_cluster_can_start_from_a_raw_document_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "raw.json").write_text(json.dumps({"properties": {"futureThing": 1}}))
    (tmp_path / "list.json").write_text("[]")
    clusters = "[{name: a, document: raw.json}, {name: b, document: {x: 1}}, {name: c}, {name: d, document: list.json}]"
    world = load_world(
        write(
            tmp_path, f"version: 1\nsubscriptions: [{{name: s, resourceGroups: [{{name: g, clusters: {clusters}}}]}}]\n"
        )
    )
    a, b, c, d = world.subscriptions[0].resource_groups[0].clusters
    assert raw_document(world, a) == {"properties": {"futureThing": 1}}
    assert raw_document(world, b) == {"x": 1}
    assert raw_document(world, c) is None
    with pytest.raises(WorldError, match="is not a JSON object"):
        raw_document(world, d)


def test_a_world_can_have_an_expired_secret_and_a_second_tenant(tmp_path: Path) -> None:
    text = """\
version: 1
tenants: [{name: fabrikam.onmicrosoft.com, id: 66666666-7777-4888-8999-000000000000}]
servicePrincipals: [{name: late, secret: old, secretExpired: true}]
operator: late
subscriptions: [{name: far, tenant: fabrikam.onmicrosoft.com}]
"""
    directory, _, _, operator = build(load_world(write(tmp_path, text)))
    assert operator.secret == "old"
    assert operator.principal.secrets == ()
    assert directory.find_tenant("FABRIKAM.onmicrosoft.com") is not directory.tenant


async def test_a_world_sets_the_durations_of_operations(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """\
version: 1
durations: {tags: 20}
subscriptions: [{name: s, resourceGroups: [{name: g, clusters: [{name: a}]}]}]
""",
    )
    now = datetime.now(UTC)
    clock = Clock(pace=10, source=lambda: now)
    sandbox = Sandbox(file, clock=clock)
    path = f"/subscriptions/{sandbox.operator.subscription_id}/resourceGroups/g/providers/{CLUSTERS}/a"
    token = sandbox.tokens.issue(sandbox.operator.principal, audience="https://management.azure.com")

    async def state(method: str, body: bytes = b"") -> str:
        request = Request(
            method=method,
            host="management.azure.com",
            path=split_path(path),
            raw_path=path,
            query={"api-version": "2026-08-01"},
            headers=CIMultiDict(Authorization=f"Bearer {token}"),
            body=body,
            now=clock.now(),
        )
        document = (await sandbox.arm.router.dispatch(request)).body
        assert isinstance(document, dict)
        return str(document["properties"]["provisioningState"])

    assert await state("PATCH", b'{"tags": {"a": "b"}}') == "Updating"
    clock.advance(timedelta(seconds=1.9))
    assert await state("GET") == "Updating"
    clock.advance(timedelta(seconds=0.2))
    assert await state("GET") == "Succeeded"
