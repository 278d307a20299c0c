"""Operations of Azure change a cluster's processes: keys, settings, start, stop and deletion."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from azure_sandbox.cluster.credentials import Generation
from azure_sandbox.cluster.real.instance import DidNotStart
from tests.control_plane.caller import Caller
from tests.control_plane.real_sandbox import (
    ADMINS,
    GUARDED,
    OUTSIDER,
    PLAIN,
    SECRET,
    SOON,
    TENANT,
    children,
    gone,
    left_in,
    path_of,
    real_sandbox,
    world,
)

pytestmark = pytest.mark.control_plane

NODES = "/api/v1/nodes"
TOKEN_OF_DEFAULT = "/api/v1/namespaces/default/serviceaccounts/default/token"
NOTE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"who": "me"}}
NOTES = "/api/v1/namespaces/default/configmaps"


async def nodes(caller: Caller, cluster: str, **who: Any) -> dict[str, str]:
    """Return the nodes with their uids, and check that every one is Ready."""
    heard = await caller.ask(cluster, NODES, **who)
    assert heard.status == 200, heard.body
    for node in heard.body["items"]:
        assert [it["status"] for it in node["status"]["conditions"] if it["type"] == "Ready"] == ["True"]
    return {it["metadata"]["name"]: it["metadata"]["uid"] for it in heard.body["items"]}


async def member(caller: Caller) -> str:
    operator = caller.sandbox.operator
    return await caller.token(operator.principal.app_id, operator.secret)


async def change(caller: Caller, cluster: str, **properties: Any) -> None:
    found = await caller.arm("GET", path_of(cluster))
    found["properties"] |= properties
    await caller.arm("PUT", path_of(cluster), {key: found[key] for key in ("location", "properties", "sku")})


async def serving(caller: Caller, cluster: str, trusted: Generation) -> bytes:
    """Return the certificate that a handshake through the proxy shows (DER)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", caller.sandbox.proxy.port)
    writer.write(f"CONNECT {caller.fqdn(cluster)}:443 HTTP/1.1\r\n\r\n".encode())
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    context = ssl.create_default_context(cadata=trusted.authority.certificate_pem.decode())
    await writer.start_tls(context, server_hostname=caller.fqdn(cluster))
    der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return der


async def test_the_tls_handshake_is_with_the_api_server_itself(tmp_path: Path) -> None:
    async with real_sandbox(tmp_path, PLAIN) as caller:
        keys = caller.generation("plain")
        shown = x509.load_der_x509_certificate(await serving(caller, "plain", keys))
        assert shown.public_bytes(Encoding.PEM) == keys.server.certificate_pem
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert caller.fqdn("plain") in names.get_values_for_type(x509.DNSName)
        heard = await caller.ask("plain", "/version", token=keys.token)
        assert "emulationMajor" in heard.body  # the built-in server does not send this


async def test_a_rotation_replaces_all_keys_and_keeps_all_objects(tmp_path: Path) -> None:
    async with real_sandbox(tmp_path, PLAIN) as caller:
        old = caller.generation("plain")
        before = await nodes(caller, "plain", certificate=old)
        assert (await caller.ask("plain", NOTES, method="POST", body=NOTE, token=old.token)).status == 201
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        made = await caller.ask("plain", TOKEN_OF_DEFAULT, method="POST", body=request, token=old.token)
        bound = made.body["status"]["token"]
        assert (await caller.ask("plain", NODES, token=bound)).status == 403

        await caller.arm("POST", f"{path_of('plain')}/rotateClusterCertificates")

        new = caller.generation("plain")
        for who in ({"certificate": old}, {"token": old.token}, {"token": bound}):
            heard = await caller.ask("plain", NODES, **who)
            assert (heard.status, heard.message) == (401, "Unauthorized")
        with pytest.raises(ssl.SSLCertVerificationError):
            await serving(caller, "plain", old)
        after = await nodes(caller, "plain", certificate=new)
        assert after.keys() == before.keys()
        assert not set(after.values()) & set(before.values())
        assert await nodes(caller, "plain", token=new.token) == after
        assert (await caller.ask("plain", f"{NOTES}/note", token=new.token)).body["data"] == {"who": "me"}
        deployment = await caller.ask("plain", "/apis/apps/v1/namespaces/default/deployments/web", token=new.token)
        assert deployment.body["status"]["availableReplicas"] == 2


async def test_sign_in_settings_change_with_the_operation(tmp_path: Path) -> None:
    async with real_sandbox(tmp_path, PLAIN) as caller:
        me, other = await member(caller), await caller.token(OUTSIDER["appId"], SECRET)
        keys = caller.generation("plain")
        assert (await caller.ask("plain", NODES, token=me)).status == 401
        entra = {"managed": True, "adminGroupObjectIDs": [ADMINS], "tenantID": TENANT}
        await change(caller, "plain", aadProfile=entra)
        assert len(await nodes(caller, "plain", token=me)) == 2
        heard = await caller.ask("plain", NODES, token=other)
        assert heard.message == (
            f'nodes is forbidden: User "{OUTSIDER["id"]}" cannot list resource "nodes" in API group "" '
            "at the cluster scope"
        )
        await change(caller, "plain", aadProfile={**entra, "enableAzureRBAC": True})
        heard = await caller.ask("plain", NODES, token=other)
        assert heard.message.endswith(
            "User does not have access to the resource in Azure. Update role assignment to allow access."
        )
        await change(caller, "plain", disableLocalAccounts=True)
        assert caller.generation("plain") is keys
        for who in (
            {"certificate": keys},
            {"token": keys.token},
        ):  # credentials still work after local accounts are disabled
            assert len(await nodes(caller, "plain", **who)) == 2


async def test_processes_stop_start_and_end_with_the_cluster(tmp_path: Path) -> None:
    async with real_sandbox(tmp_path, PLAIN) as caller:
        keys = caller.generation("plain")
        assert (await caller.ask("plain", NOTES, method="POST", body=NOTE, token=keys.token)).status == 201
        with_cluster = caller.sandbox.spare
        await caller.arm("POST", f"{path_of('plain')}/stop")
        without = caller.sandbox.spare
        (api_server,) = with_cluster - without
        await gone(api_server)
        with pytest.raises(aiohttp.ClientHttpProxyError, match="502"):
            await caller.ask("plain", NODES, token=keys.token)
        await caller.arm("POST", f"{path_of('plain')}/start")
        assert len(await nodes(caller, "plain", token=keys.token)) == 2
        assert (await caller.ask("plain", f"{NOTES}/note", token=keys.token)).status == 200
        (api_server,) = caller.sandbox.spare - without
        await caller.arm("DELETE", path_of("plain"))
        await gone(api_server)
        assert caller.sandbox.spare == without


async def test_a_created_cluster_gets_its_own_control_plane(tmp_path: Path) -> None:
    async with real_sandbox(tmp_path) as caller:
        pool = {"name": "nodepool1", "count": 1, "mode": "System", "vmSize": "Standard_D4s_v5"}
        entra = {"managed": True, "adminGroupObjectIDs": [ADMINS]}
        properties = {
            "dnsPrefix": "fresh",
            "agentPoolProfiles": [pool],
            "aadProfile": entra,
            "disableLocalAccounts": True,
        }
        body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": properties}
        await caller.arm("PUT", path_of("fresh"), body)
        assert len(await nodes(caller, "fresh", token=await member(caller))) == 1
        assert "emulationMajor" in (await caller.ask("fresh", "/version", token=await member(caller))).body


async def test_an_api_server_that_crashes_is_started_again(tmp_path: Path) -> None:
    async with real_sandbox(tmp_path, GUARDED) as caller:
        server = caller.sandbox.clusters.for_host(caller.fqdn("guarded"))
        assert server is not None
        front = server.front
        assert front is not None
        before = await nodes(caller, "guarded", token=await member(caller))
        (api_server,) = front.pids  # type: ignore[attr-defined]  # a private member, used by tests only
        os.kill(api_server, signal.SIGKILL)
        async with asyncio.timeout(SOON):
            await front.restarted.wait()  # type: ignore[attr-defined]  # as above
        assert await nodes(caller, "guarded", token=await member(caller)) == before


async def test_nothing_is_left_of_a_killed_sandbox(tmp_path: Path) -> None:
    file = world(tmp_path, GUARDED)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(temporary)}
    up = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "azure_sandbox.cli", "up", "--world", str(file), "--port", "0",
        env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert up.stderr is not None
    async with asyncio.timeout(SOON):
        assert b"The sandbox is up" in await up.stderr.readline()
    started = children(up.pid)
    assert {"etcd", "kube-apiserver"} <= set(started.values())
    up.kill()
    await up.wait()
    for pid in started:  # the watchers end last, after they have removed the folders
        await gone(pid)
    assert not left_in(temporary)


async def test_exec_returns_the_commands_exit_code_and_leaves_nothing(tmp_path: Path) -> None:
    file = world(tmp_path, GUARDED)
    inside = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "azure_sandbox.cli", "exec", "--world", str(file), "--", "sh", "-c", "exit 7",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    async with asyncio.timeout(SOON):
        assert await inside.wait() == 7
    assert not left_in(tmp_path)


async def test_a_world_that_the_api_server_refuses_fails_with_its_message(tmp_path: Path) -> None:
    wrong = "{name: odd, objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: odd}, data: {n: {m: 1}}}]}"
    with pytest.raises(DidNotStart, match=r"odd.*ConfigMap"):
        async with real_sandbox(tmp_path, wrong):
            pass
