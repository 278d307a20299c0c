"""Any request gets an error in Azure's words with the sandbox's header, never a traceback and never a 500."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from azure_sandbox.server import Sandbox
from tests.support.fuzz_requests import ARM, CLUSTER, GRAPH, GROUP, JSON, LOGIN, SCOPE, WORD, ask, check

METHODS = st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "ODD"])
QUERY = st.dictionaries(
    st.sampled_from(
        [
            "api-version",
            "$filter",
            "$skipToken",
            "$top",
            "$select",
            "format",
            "watch",
            "limit",
            "continue",
            "timeoutSeconds",
            "resourceVersion",
            "labelSelector",
            "fieldSelector",
            "$search",
            "$count",
            "x",
        ]
    ),
    st.sampled_from(
        ["2026-08-01", "2017", "true", "1", "-1", "'", "a eq 'b'", "eventTimestamp ge 'x'", "a in (", "\x00"]
    )
    | WORD,
    max_size=4,
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "aadProfile",
            "agentPoolProfiles",
            "apiServerAccessProfile",
            "disableLocalAccounts",
            "dnsPrefix",
            "enableRBAC",
            "identityProfile",
            "kubernetesVersion",
            "networkProfile",
            "nodeResourceGroup",
            "servicePrincipalProfile",
            "storageProfile",
            "windowsProfile",
            "addonProfiles",
            "linuxProfile",
            "maintenanceWindow",
            "level",
            "principalId",
            "roleDefinitionId",
            "policyDefinitionId",
            "parameters",
            "count",
            "mode",
            "orchestratorVersion",
            "powerState",
            "nodeLabels",
            "vmSize",
        ),
        JSON,
    ),
)
DOCUMENT = st.fixed_dictionaries(
    {},
    optional={
        "location": st.just("westeurope") | JSON,
        "properties": PROPERTIES | JSON,
        "tags": JSON,
        "sku": JSON,
        "identity": JSON,
        "query": st.just("resources | where ") | JSON,
        "options": JSON,
        "subscriptions": JSON,
        "command": st.just("kubectl get") | JSON,
        "displayName": JSON,
        "members@odata.bind": JSON,
        "@odata.id": JSON,
        "metadata": JSON,
        "spec": JSON,
        "rules": JSON,
        "subjects": JSON,
        "roleRef": JSON,
    },
)
BODY = (
    DOCUMENT.map(lambda it: json.dumps(it).encode())
    | JSON.map(lambda it: json.dumps(it).encode())
    | st.binary(max_size=40)
)
ASSIGNMENT = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{'0' * 8}-0000-4000-8000-{'0' * 12}"
ARM_PATHS = st.sampled_from(
    [
        "/subscriptions",
        SCOPE,
        GROUP,
        CLUSTER,
        f"{CLUSTER}x",
        f"{CLUSTER}/agentPools",
        f"{CLUSTER}/agentPools/new1",
        f"{CLUSTER}/agentPools/nodepool1",
        f"{CLUSTER}/runCommand",
        f"{CLUSTER}/listClusterUserCredential",
        f"{CLUSTER}/maintenanceConfigurations/default",
        f"{CLUSTER}/resetAADProfile",
        f"{CLUSTER}/upgradeProfiles/default",
        f"{CLUSTER}/providers/Microsoft.Authorization/locks/a",
        f"{CLUSTER}/providers/Microsoft.Authorization/denyAssignments/a",
        f"{GROUP}x",
        ASSIGNMENT,
        f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/a",
        "/providers/Microsoft.ResourceGraph/resources",
        f"{SCOPE}/providers/Microsoft.Insights/eventtypes/management/values",
        f"{SCOPE}/operationresults/x",
        f"{SCOPE}/providers/Microsoft.ContainerService/locations/westeurope/operations/x",
        f"{SCOPE}/providers/x",
    ]
)
KUBE_PATHS = st.sampled_from(
    [
        "/api",
        "/apis",
        "/api/v1/nodes",
        "/api/v1/namespaces",
        "/api/v1/namespaces/pay/pods/x/log",
        "/version",
        "/readyz",
        "/api/v1/namespaces/pay/serviceaccounts",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/api/v1/namespaces/pay/configmaps",
        "/api/v1/namespaces/default/serviceaccounts/default/token",
        "/apis/policy/v1/poddisruptionbudgets",
    ]
)
TRICKS = st.text(alphabet="/.%2eF\\;?#\x00é{}'\" ~aZ0", max_size=24)


@pytest.fixture(name="sandbox", scope="module")
def a_sandbox() -> Sandbox:
    return Sandbox(Path("demo"), pace="instant")


@given(method=METHODS, path=ARM_PATHS, query=QUERY, body=BODY)
async def test_arm_answers_any_request(
    sandbox: Sandbox, method: str, path: str, query: dict[str, str], body: bytes
) -> None:
    check(await ask(sandbox, ARM, method, path, {"api-version": "2026-08-01", **query}, body))


@given(method=st.sampled_from(["PUT", "POST", "PATCH"]), path=ARM_PATHS, body=DOCUMENT)
@example(method="PUT", path=ASSIGNMENT, body={"properties": "0"})
async def test_arm_answers_any_document(sandbox: Sandbox, method: str, path: str, body: Any) -> None:
    check(await ask(sandbox, ARM, method, path, {"api-version": "2026-08-01"}, json.dumps(body).encode()))


@given(method=METHODS, path=KUBE_PATHS, query=QUERY, body=BODY)
async def test_a_cluster_answers_any_request(
    sandbox: Sandbox, method: str, path: str, query: dict[str, str], body: bytes
) -> None:
    host = next(it.fqdn for it in sandbox.clusters.all() if "/ops-02" in it.blueprint.resource_id)
    check(await ask(sandbox, host, method, path, query, body))


@given(host=st.sampled_from([ARM, GRAPH, LOGIN]), method=METHODS, path=TRICKS, query=QUERY, body=BODY)
async def test_odd_paths_get_an_error(
    sandbox: Sandbox, host: str, method: str, path: str, query: dict[str, str], body: bytes
) -> None:
    reply = await ask(sandbox, host, method, f"/{path}", query, body)
    check(reply)
    assert reply.status >= 400 or method in {"GET", "HEAD"} or host == LOGIN


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(it for key, one in inner for it in paths_of(one, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


ODD: tuple[Any, ...] = (None, True, -1, 10**12, 1.5, "", "x", "\x00", [], [1], [{}], {}, {"name": "x"})


async def test_a_cluster_document_with_one_part_replaced_is_accepted_or_refused(sandbox: Sandbox) -> None:
    (cluster,) = [it for it in sandbox.arm.state.clusters.values() if it.name == "ops-02"]
    version = {"api-version": "2026-08-01"}
    held = await ask(sandbox, ARM, "GET", cluster.id, version, b"")
    before, statuses = cluster.document, set()
    for path in paths_of(held.body):
        for value in ODD:
            sent = json.dumps(replaced(held.body, path, value)).encode()
            reply = await ask(sandbox, ARM, "PUT", cluster.id, version, sent)
            statuses.add(reply.status)
            check(reply)
            check(await ask(sandbox, ARM, "GET", cluster.id, version, b""))
            check(await ask(sandbox, ARM, "POST", f"{cluster.id}/listClusterUserCredential", version, b""))
            await ask(sandbox, cluster.server.fqdn, "GET", "/api/v1/nodes", {}, b"")
            cluster.document = before
    assert statuses == {200, 400, 409, 501}


async def test_bytes_that_are_neither_http_nor_tls_end_the_connection_only() -> None:
    async with Sandbox(Path("demo")) as sandbox:
        port = sandbox.proxy.port
        for raw in (
            b"\x16\x03\x01",
            b"GET / HTTP/1.1\r\n\r\n",
            b"x" * 20_000,
            b"CONNECT :0 HTTP/1.1\r\n\r\n",
            b"CONNECT management.azure.com:x HTTP/1.1\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            writer.write_eof()
            answer = await reader.read()
            assert not answer or b"X-Azure-Sandbox: true" in answer
            writer.close()
        for after in (b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"CONNECT management.azure.com:443 HTTP/1.1\r\n\r\n")
            assert b"200" in await reader.readline()
            writer.write(after)
            writer.write_eof()
            await reader.read()
            writer.close()
        await asyncio.to_thread(_wrong_authority, port)
        assert sandbox.report.shown()["requests"] == {}


def _wrong_authority(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"CONNECT management.azure.com:443 HTTP/1.1\r\n\r\n")
        raw.recv(1000)
        with pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(raw, server_hostname="management.azure.com")
