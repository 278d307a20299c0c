"""`--state DIR`: keys, tokens, groups and clusters survive a restart; and which classes the codec creates."""

from __future__ import annotations

import json
import os
from collections import deque
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from multidict import CIMultiDict

from azure_sandbox.arm.api_versions import newest
from azure_sandbox.arm.state import ManagedCluster
from azure_sandbox.cluster.machines import Pool, namespace
from azure_sandbox.cluster.resources import RBAC_GROUP
from azure_sandbox.entra import pim
from azure_sandbox.entra.objects import Application, PasswordCredential
from azure_sandbox.entra.pim_state import ScheduleRequest
from azure_sandbox.entra.tokens import ARM_AUDIENCES
from azure_sandbox.faults.operations import OperationFault
from azure_sandbox.front.http import Reply, Request
from azure_sandbox.server import Sandbox
from azure_sandbox.state.codec import MOVED, PACKAGE, decode, encode
from azure_sandbox.state.folder import FILE, save
from azure_sandbox.world.model import World, WorldError

AUDIENCE = "https://management.azure.com"
ROTATE = "managedClusters/rotateClusterCertificates/action"


async def test_credentials_are_accepted_or_refused_after_a_restart_as_before(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with Sandbox(Path("demo"), state=folder, pace="instant") as first:
        token = first.tokens.issue(first.operator.principal, audience=AUDIENCE)
        bundle = (first.folder / "ca.pem").read_bytes()
        (cluster,) = [it for it in first.arm.state.clusters.values() if it.name == "pay-01"]
        static, etag = cluster.server.generation.token, cluster.etag
        members = next(it for it in first.directory.groups() if it.display_name == "aks-admins").members
        members.discard(first.operator.principal.id)
        cluster.server.renew(first.clock.now())
        renewed = cluster.server.generation.token
    async with Sandbox(state=folder) as second:
        assert second.tokens.verify(f"Bearer {token}", ARM_AUDIENCES).oid == first.operator.principal.id
        assert (second.folder / "ca.pem").read_bytes() == bundle
        assert second.environment["AZURE_CLIENT_SECRET"] == first.operator.secret
        (again,) = [it for it in second.arm.state.clusters.values() if it.name == "pay-01"]
        assert (again.server.generation.token, again.etag) == (renewed, etag)
        assert static != renewed
        assert len(again.server.retired) == 1
        group = next(it for it in second.directory.groups() if it.display_name == "aks-admins")
        assert second.operator.principal.id not in group.members
        assert second.folder == folder / "home"
    assert (folder / "home").is_dir()
    assert os.stat(folder / FILE).st_mode & 0o777 == 0o600  # noqa: PTH116  # the mode alone


def cluster_of(sandbox: Sandbox, name: str = "pay-01") -> ManagedCluster:
    (found,) = [it for it in sandbox.arm.state.clusters.values() if it.name == name]
    return found


async def asked(sandbox: Sandbox, method: str, target: str, body: object = None) -> Reply:
    """Return ARM's answer to the operator."""
    parts = urlsplit(target)
    token = sandbox.tokens.issue(sandbox.operator.principal, audience=AUDIENCE)
    return await sandbox.arm.router.dispatch(
        Request(
            method=method,
            host="management.azure.com",
            path=parts.path,
            raw_path=parts.path,
            query=dict(parse_qsl(parts.query)) | {"api-version": newest(parts.path, sandbox.clock.now().date())},
            headers=CIMultiDict({"authorization": f"Bearer {token}"}),
            body=json.dumps(body).encode() if body is not None else b"",
            now=sandbox.clock.now(),
        )
    )


def again(folder: Path, sandbox: Sandbox, pace: str = "by-hand") -> Sandbox:
    """Return a sandbox that starts from the state of another one, without a clean end of that one."""
    save(folder, sandbox)
    return Sandbox(state=folder, pace=pace)


async def status(sandbox: Sandbox, url: str) -> str:
    found = await asked(sandbox, "GET", url)
    assert isinstance(found.body, dict), found
    return str(found.body["status"])


async def test_a_rotation_continues_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    first = Sandbox(Path("demo"), pace="by-hand")
    one = cluster_of(first)
    before = one.server.generation
    started = await asked(first, "POST", f"{one.id}/rotateClusterCertificates")
    url = started.headers["azure-asyncoperation"]
    second = again(tmp_path / "s", first)
    two = cluster_of(second)
    assert (two.state, two.server.reachable) == ("RotatingClusterCertificates", False)
    assert (await asked(second, "POST", f"{two.id}/rotateClusterCertificates")).status == 409
    second.clock.advance(timedelta(minutes=13))  # of 25: new keys, some nodes
    renewed = two.server.generation
    assert renewed.token != before.token
    nodes = [it["metadata"]["uid"] for it in two.server.store.list(("", "nodes"))]
    third = again(tmp_path / "s", second)
    three = cluster_of(third)
    assert three.server.generation.token == renewed.token, "the keys were replaced only once"
    assert [it["metadata"]["uid"] for it in three.server.store.list(("", "nodes"))] == nodes
    assert await status(third, url) == "InProgress"
    third.clock.advance(timedelta(hours=1))
    assert await status(third, url) == "Succeeded"
    assert three.server.generation.token == renewed.token
    assert len(three.server.store.list(("", "nodes"))) == len(three.server.machines.wanted())
    last = third.arm.state.activity.all()[-1]
    assert (last.operation.partition("/")[2], last.status) == (ROTATE, "Succeeded")
    fourth = again(tmp_path / "s", third)
    assert await status(fourth, url) == "Succeeded"


@pytest.mark.parametrize(
    ("method", "below", "kind", "end"),
    [
        ("POST", "/stop", "Stopping", "Stopped"),
        ("DELETE", "", "Deleting", None),
        ("DELETE", "/agentPools/apps", "Deleting", "Running"),
        ("POST", "/agentPools/apps/upgradeNodeImageVersion", "UpgradingNodeImageVersion", "Running"),
        ("PATCH", "", "Updating", "Running"),
    ],
)
async def test_every_running_operation_continues_after_a_restart(
    tmp_path: Path, method: str, below: str, kind: str, end: str | None
) -> None:
    (tmp_path / "s").mkdir()
    world = World.model_validate(
        {
            "version": 1,
            "subscriptions": [
                {
                    "name": "s",
                    "resourceGroups": [
                        {"name": "g", "clusters": [{"name": "pay-01", "pools": [{"name": "system"}, {"name": "apps"}]}]}
                    ],
                }
            ],
        }
    )
    first = Sandbox(world, pace="by-hand")
    one = cluster_of(first)
    body = {"tags": {"a": "b"}} if method == "PATCH" else None
    url = (await asked(first, method, f"{one.id}{below}", body)).headers["azure-asyncoperation"]
    second = again(tmp_path / "s", first)
    two = cluster_of(second)
    assert kind in {two.state, *two.pool_states.values()}
    assert await status(second, url) == "InProgress"
    second.clock.advance(timedelta(hours=2))
    two.server.settle()
    if end is None:
        assert not second.arm.state.clusters
        return
    assert await status(second, url) == "Succeeded"
    assert two.properties["powerState"]["code"] == end


async def test_writes_to_a_cluster_and_to_arm_survive_a_restart(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    first = Sandbox(Path("demo"), pace="by-hand")
    one, now = cluster_of(first), first.clock.now()
    binding = {
        "metadata": {"name": "onlookers", "namespace": "web"},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": "x"}],
    }
    one.server.store.put(("", "namespaces"), namespace("web"), now)
    held = one.server.store.put((RBAC_GROUP, "rolebindings"), binding, now)
    one.server.store.delete((RBAC_GROUP, "clusterroles"), "", "view")
    assignment = f"{one.id}/providers/Microsoft.Authorization/roleAssignments/0a2b7dc5-8eb4-4970-9418-694f83a6c164"
    reader = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    group = next(iter(first.directory.every_group())).id
    sent = {"properties": {"principalId": group, "roleDefinitionId": reader}}
    assert (await asked(first, "PUT", assignment, sent)).status == 201
    lock = f"{one.node_group}/providers/Microsoft.Authorization/locks/keep"
    assert (await asked(first, "PUT", lock, {"properties": {"level": "ReadOnly"}})).status == 201
    home = f"/subscriptions/{one.subscription}"
    provider = f"{home}/providers/Microsoft.KeyVault"
    await asked(first, "POST", f"{provider}/register")
    team = f"{one.id}/managedNamespaces/team"
    assert (await asked(first, "PUT", team, {"properties": {"adoptionPolicy": "Never"}})).status == 201
    second = again(tmp_path / "s", first)
    two = cluster_of(second)
    store = two.server.store
    assert store.get((RBAC_GROUP, "rolebindings"), "web", "onlookers") == held
    assert store.get(("", "namespaces"), "", "web") is not None
    assert store.get((RBAC_GROUP, "clusterroles"), "", "view") is None
    assert store.get((RBAC_GROUP, "clusterroles"), "", "edit") is not None
    assert (two.etag, two.uid) == (one.etag, one.uid)
    assert (await asked(second, "GET", assignment)).body == (await asked(first, "GET", assignment)).body
    assert (await asked(second, "GET", lock)).status == 200
    assert (await asked(second, "GET", team)).body == (await asked(first, "GET", team)).body
    registered = (await asked(second, "GET", provider)).body
    assert isinstance(registered, dict)
    assert registered["registrationState"] == "Registered"


async def test_pim_policies_and_sign_ins_survive_a_restart(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    world = World.model_validate(
        {
            "version": 1,
            "users": [{"name": "Alice", "upn": "alice@contoso.onmicrosoft.com", "password": "alice-signs-in"}],
            "groups": [
                {
                    "name": "admins",
                    "eligible": [{"principal": "Alice"}],
                    "activation": [{"maximumDuration": "PT2H", "permanentEligibility": True}],
                }
            ],
            "conditionalAccess": [{"name": "mfa", "state": "reportOnly", "users": ["All"]}],
            "subscriptions": [{"name": "s"}],
        }
    )
    first = Sandbox(world)
    (alice,), (group,) = first.directory.users(), first.directory.every_group()
    asking = pim.Asking(id=alice.id, mfa=True)
    now = first.clock.now()
    request = ScheduleRequest(
        id="0a2b7dc5-8eb4-4970-9418-694f83a6c164",
        kind="assignment",
        group=group.id,
        principal=alice.id,
        access="member",
        action="selfActivate",
        status="",
        created=now,
        created_by=alice.id,
        justification="a node is gone",
        ticket={},
        schedule_info={"startDateTime": None, "expiration": {"type": "afterDuration", "duration": "PT1H"}},
    )
    pim.file(first.directory, request, asking)
    assert alice.id in group.seen_members(first.clock.now())
    form = urlencode(
        {
            "grant_type": "password",
            "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
            "scope": "https://management.azure.com/.default offline_access",
            "username": alice.upn,
            "password": "alice-signs-in",
        }
    )
    token = await first.entra.handle(
        Request(
            method="POST",
            host="login.microsoftonline.com",
            path=f"/{first.directory.tenant.id}/oauth2/v2.0/token",
            raw_path="",
            query={},
            headers=CIMultiDict({"content-type": "application/x-www-form-urlencoded"}),
            body=form.encode(),
            now=now,
        )
    )
    assert token.status == 200, token
    second = again(tmp_path / "s", first, "fast")
    (back,) = second.directory.every_group()
    assert alice.id in back.seen_members(second.clock.now())
    assert second.directory.pim.requests == first.directory.pim.requests
    assert second.directory.pim.schedules == first.directory.pim.schedules
    assert second.directory.pim.rules == first.directory.pim.rules
    assert second.directory.conditional.policies == first.directory.conditional.policies
    kept, before = encode(second.directory.sign_ins), encode(first.directory.sign_ins)
    assert kept == before
    assert alice.upn in json.dumps(kept)


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(WorldError, match="--state"):
        Sandbox(state=tmp_path)
    (tmp_path / FILE).write_text('{"version": 99}')
    with pytest.raises(WorldError, match="another version"):
        Sandbox(state=tmp_path)


def test_plain_data_is_decoded_unchanged() -> None:
    now = datetime.now(UTC)
    value = {
        "a": [1, 2.5, None, True, "x", {"b"}, frozenset({"c"}), (1, "d"), b"\x00\xff", now, timedelta(seconds=5)],
        ("k", 1): deque([1, 2], maxlen=5),
        "$": "a tag is data too",
    }
    assert decode(encode(value)) == value


def test_classes_of_moved_modules_are_still_decoded() -> None:
    fault = OperationFault(kind="slow-operation", operation="rotate", cluster="a", factor=20)
    earlier = json.dumps(encode(fault)).replace(OperationFault.__module__, f"{PACKAGE}operation_faults")
    assert OperationFault.__module__ not in earlier
    assert decode(json.loads(earlier)) == fault


@pytest.mark.parametrize("module", MOVED.values())
def test_the_new_place_of_each_moved_module_exists(module: str) -> None:
    assert import_module(PACKAGE + module).__name__ == PACKAGE + module


def test_only_classes_of_the_sandbox_are_decoded() -> None:
    with pytest.raises(ValueError, match="is not a class of the sandbox"):
        decode({"$": "os:system", "of": {}})
    with pytest.raises(TypeError, match="cannot be stored as JSON"):
        encode(object())


def test_a_field_that_an_earlier_version_did_not_store_has_its_default() -> None:
    pool = Pool(name="a", count=1, mode="System", vm_size="Standard_D4s_v5", version="1.34.4")
    stored = encode(pool)
    del stored["of"]["max_pods"], stored["of"]["labels"]
    assert decode(stored) == pool


async def test_an_application_and_its_secret_survive_a_restart(tmp_path: Path) -> None:
    async with Sandbox(Path("demo"), state=tmp_path / "state") as first:
        now = first.clock.now()
        secret = PasswordCredential(key_id="k", secret="s", start=now, end=now + timedelta(days=1))
        made = Application(id="i", app_id="a", display_name="deployer", created_at=now, passwords=(secret,))
        first.directory.register(made)
        leaver = next(iter(first.directory.users()))
        first.directory.remove(leaver)
    async with Sandbox(state=tmp_path / "state") as second:
        assert second.directory.registration("a") == made
        assert [it for it, _ in second.directory.removed()] == [leaver]
        assert second.directory.user(leaver.upn) is None
