"""The API server of a cluster: discovery, lists, tables, reviews, and a 501 for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec, WorkloadSpec
from tests.support.arm_client import ADMINS, ArmClient

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
REVIEW = "/apis/authorization.k8s.io/v1"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


class ApiClient:
    """Sends requests with one token."""

    def __init__(self, client: ArmClient, token: str) -> None:
        self.client = client
        self.token = token

    async def send(self, method: str, target: str, body: object = None, **headers: str) -> Any:
        return await self.client.kube("c", method, target, body, token=self.token, headers=headers)

    async def get(self, target: str, **headers: str) -> Any:
        reply = await self.send("GET", target, **headers)
        assert reply.status == 200, reply
        return reply.body

    async def refused(self, method: str, target: str, body: object = None) -> tuple[int, str]:
        reply = await self.send(method, target, body)
        assert reply.status >= 400, reply
        assert reply.body["code"] == reply.status
        return reply.status, reply.body["message"]


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    workloads = (WorkloadSpec(name="web", namespace="shop", replicas=3),)
    return ArmClient(ClusterSpec(name="c", nodes=3, identity="managed", admin_groups=(ADMINS,), workloads=workloads))


@pytest.fixture(name="admin")
async def an_admin(client: ArmClient) -> ApiClient:
    return ApiClient(client, (await client.held("c"))[1])


@pytest.fixture(name="nobody")
def a_nobody(client: ArmClient) -> ApiClient:
    return ApiClient(client, client.entra(client.outsider))


async def test_version_and_discovery_describe_the_server(admin: ApiClient, nobody: ApiClient) -> None:
    for shell in (admin, nobody):
        assert (await shell.get("/version"))["gitVersion"] == "v1.33.5"
        assert (await shell.get("/version/"))["minor"] == "33"
        assert await shell.get("/readyz") == "ok"
        assert (await shell.get("/api"))["versions"] == ["v1"]
        groups = {it["name"] for it in (await shell.get("/apis"))["groups"]}
        assert {"apps", "rbac.authorization.k8s.io", "authentication.k8s.io"} <= groups
        assert "nodes" in {it["name"] for it in (await shell.get("/api/v1"))["resources"]}
        assert (await shell.get("/apis/apps"))["preferredVersion"]["version"] == "v1"
    reviews = await admin.get("/apis/authentication.k8s.io/v1beta1")
    assert [it["kind"] for it in reviews["resources"]] == ["SelfSubjectReview"]
    nothing = await admin.send("GET", "/apis/none/v1")
    assert (nothing.status, nothing.body) == (404, "404 page not found\n")
    assert (await admin.refused("GET", "/openapi/v2"))[0] == 501
    assert (await nobody.refused("GET", "/metrics")) == (
        403,
        f'forbidden: User "{nobody.client.outsider.id}" cannot get path "/metrics"',
    )


async def test_only_clients_that_ask_for_it_get_aggregated_discovery(admin: ApiClient) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    core = await admin.get("/api", Accept=accept)
    assert core["kind"] == "APIGroupDiscoveryList"
    nodes = next(it for it in core["items"][0]["versions"][0]["resources"] if it["resource"] == "nodes")
    assert (nodes["scope"], nodes["shortNames"]) == ("Cluster", ["no"])
    beta = accept.replace("v=v2;", "v=v2beta1;")
    assert (await admin.get("/apis", Accept=beta))["kind"] == "APIGroupList"
    assert (await admin.get("/apis", Accept=accept))["items"][0]["versions"]


async def test_tables_have_the_columns_that_kubectl_prints(admin: ApiClient) -> None:
    nodes = await admin.get("/api/v1/nodes?limit=500", Accept=TABLE)
    assert [it["name"] for it in nodes["columnDefinitions"]] == ["Name", "Status", "Roles", "Age", "Version"]
    name, state, roles, age, version = nodes["rows"][0]["cells"]
    assert (state, roles, age, version) == ("Ready", "<none>", "365d", "v1.33.5")
    assert nodes["rows"][0]["object"]["metadata"]["name"] == name
    deployments = await admin.get("/apis/apps/v1/namespaces/shop/deployments", Accept=TABLE)
    assert deployments["rows"][0]["cells"][:4] == ["web", "3/3", 3, 3]
    sets = await admin.get("/apis/apps/v1/daemonsets", Accept=TABLE)
    assert sets["rows"][0]["cells"][1:6] == [3, 3, 3, 3, 3]
    one = await admin.get("/api/v1/namespaces/shop", Accept=TABLE)
    assert one["rows"][0]["cells"][:2] == ["shop", "Active"]


async def test_lists_support_paging_and_selectors(admin: ApiClient) -> None:
    first = await admin.get("/api/v1/pods?limit=4")
    assert len(first["items"]) == 4
    token = first["metadata"]["continue"]
    rest = await admin.get(f"/api/v1/pods?limit=400&continue={token}")
    assert "continue" not in rest["metadata"]
    assert len(rest["items"]) == first["metadata"]["remainingItemCount"]
    for query, count in (
        ("labelSelector=app%3Dweb", 3),
        ("labelSelector=app+in+(web,coredns)", 5),
        ("labelSelector=app+notin+(web),app!%3Dcoredns", 10),
        ("labelSelector=!app", 0),
        ("fieldSelector=metadata.namespace%3Dshop,status.phase!%3DPending", 3),
    ):
        assert len((await admin.get(f"/api/v1/pods?{query}"))["items"]) == count, query
    assert (await admin.refused("GET", "/api/v1/pods?fieldSelector=spec.odd%3D1"))[0] == 400
    assert (await admin.refused("GET", "/api/v1/pods?continue=%25"))[0] == 400
    assert (await admin.refused("GET", "/api/v1/pods?odd=true"))[0] == 501


async def test_a_missing_object_is_404_and_an_unmodelled_request_is_501(admin: ApiClient) -> None:
    assert await admin.refused("GET", "/api/v1/nodes/none") == (404, 'nodes "none" not found')
    assert (await admin.refused("GET", "/apis/apps/v1/odd"))[0] == 404
    assert (await admin.refused("GET", "/api/v1/namespaces/shop/pods/web/log"))[0] == 501
    assert (await admin.refused("GET", "/api/v1/namespaces/shop/pods/x/log"))[0] == 501
    assert (await admin.refused("PATCH", "/api/v1/nodes/x", {}))[0] == 501
    assert (await admin.refused("POST", "/version"))[0] == 405


async def test_creating_namespaces_and_bindings_needs_rights(admin: ApiClient, nobody: ApiClient) -> None:
    assert (await admin.send("POST", "/api/v1/namespaces", {"metadata": {"name": "pay"}})).status == 201
    assert (await admin.refused("POST", "/api/v1/namespaces", {"metadata": {"name": "pay"}}))[0] == 409
    assert (await admin.refused("POST", "/api/v1/namespaces", {"metadata": {"name": "No!"}}))[0] == 422
    assert (await nobody.refused("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}}))[0] == 403
    reader = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": nobody.client.outsider.id}],
    }
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/pay/rolebindings"
    assert (await admin.send("POST", roles, reader)).status == 201
    assert (await nobody.send("GET", "/api/v1/namespaces/pay/pods")).status == 200
    assert (await nobody.send("GET", "/api/v1/namespaces/pay/secrets")).status == 403
    assert (await nobody.send("GET", "/api/v1/namespaces/shop/pods")).status == 403
    assert (await nobody.refused("POST", BINDINGS, reader))[0] == 403
    broken = {**reader, "roleRef": {"kind": "Role", "name": "x"}}
    assert (await admin.refused("POST", BINDINGS, broken))[0] == 422
    assert (await admin.send("DELETE", "/api/v1/namespaces/pay")).status == 200
    assert (await nobody.send("GET", "/api/v1/namespaces/pay/pods")).status == 403
    assert (await admin.refused("DELETE", "/api/v1/namespaces/pay"))[0] == 404


async def test_access_reviews_answer_about_oneself_and_others(admin: ApiClient, nobody: ApiClient) -> None:
    def access(**attributes: str) -> dict[str, Any]:
        return {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}

    asked = f"{REVIEW}/selfsubjectaccessreviews"
    for shell, allowed in ((admin, True), (nobody, False)):
        reply = await shell.send("POST", asked, access(verb="list", resource="nodes"))
        assert reply.status == 201
        assert reply.body["status"]["allowed"] is allowed
    path = {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/healthz"}}}
    assert (await nobody.send("POST", asked, path)).body["status"]["allowed"] is True
    assert (await nobody.refused("POST", asked, {"spec": {}}))[0] == 422
    rules = await nobody.send("POST", f"{REVIEW}/selfsubjectrulesreviews", {"spec": {"namespace": "shop"}})
    assert {"selfsubjectaccessreviews", "selfsubjectrulesreviews"} in [
        set(it["resources"]) for it in rules.body["status"]["resourceRules"]
    ]
    other = {"spec": {"user": "u", "groups": [ADMINS], "resourceAttributes": {"verb": "get", "resource": "secrets"}}}
    assert (await admin.send("POST", f"{REVIEW}/subjectaccessreviews", other)).body["status"]["allowed"] is True
    assert (await nobody.refused("POST", f"{REVIEW}/subjectaccessreviews", other))[0] == 403
    token = {"spec": {"token": nobody.token}}
    seen = await admin.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", token)
    assert seen.body["status"]["user"]["username"] == nobody.client.outsider.id
    token = {"spec": {"token": "no"}}
    seen = await admin.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", token)
    assert "authenticated" not in seen.body["status"]


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def protobuf(api_version: str, kind: str, message: bytes) -> bytes:
    meta = field(1, api_version.encode()) + field(2, kind.encode())
    return b"k8s\0" + field(1, meta) + field(2, message) + field(3, b"") + field(4, b"")


async def test_protobuf_of_new_kubectl_versions_is_read(nobody: ApiClient, admin: ApiClient) -> None:
    attributes = field(2, b"list") + field(3, b"") + field(5, b"nodes")
    message = field(1, b"") + field(2, field(1, attributes)) + field(3, b"\x08\x00")
    body = protobuf("authorization.k8s.io/v1", "SelfSubjectAccessReview", message)
    reply = await admin.send("POST", f"{REVIEW}/selfsubjectaccessreviews", body)
    assert reply.body["spec"] == {"resourceAttributes": {"verb": "list", "resource": "nodes"}}
    assert reply.body["status"]["allowed"] is True
    who = protobuf("authentication.k8s.io/v1", "SelfSubjectReview", field(1, b"") + field(2, b""))
    reply = await nobody.send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", who)
    assert reply.body["status"]["userInfo"]["username"] == nobody.client.outsider.id
    named = field(1, field(1, b"pay") + field(8, b""))
    made = await admin.send("POST", "/api/v1/namespaces", protobuf("v1", "Namespace", named + field(2, b"")))
    assert (made.status, made.body["metadata"]["name"]) == (201, "pay")
    subject = field(2, field(1, b"User") + field(2, b"rbac.authorization.k8s.io") + field(3, b"bob"))
    role = field(3, field(1, b"rbac.authorization.k8s.io") + field(2, b"ClusterRole") + field(3, b"view"))
    binding = protobuf("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", named + subject + role)
    made = await admin.send("POST", BINDINGS, binding)
    assert made.body["subjects"] == [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}]
    rule = field(2, field(1, b"get") + field(2, b"") + field(3, b"pods"))
    roles = BINDINGS.replace("bindings", "s")
    made = await admin.send("POST", roles, protobuf("rbac.authorization.k8s.io/v1", "ClusterRole", named + rule))
    assert made.body["rules"] == [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
    request = protobuf("authentication.k8s.io/v1", "TokenRequest", field(1, b"") + field(2, b"\x20\x90\x1c"))
    token = await admin.send("POST", "/api/v1/namespaces/pay/serviceaccounts/default/token", request)
    assert (token.status, token.body["spec"]) == (201, {"expirationSeconds": 3600})
    labelled = field(1, field(1, b"x") + field(11, field(1, b"team") + field(2, b"a")) + field(12, field(1, b"n")))
    maps, hidden = "/api/v1/namespaces/pay/configmaps", "/api/v1/namespaces/pay/secrets"
    pair = field(1, b"k") + field(2, b"v")
    made = await admin.send("POST", maps, protobuf("v1", "ConfigMap", labelled + field(2, pair) + b"\x20\x01"))
    assert (made.body["data"], made.body["immutable"]) == ({"k": "v"}, True)
    assert (made.body["metadata"]["labels"], made.body["metadata"]["annotations"]) == ({"team": "a"}, {"n": ""})
    made = await admin.send("POST", hidden, protobuf("v1", "Secret", labelled + field(2, pair) + field(3, b"Opaque")))
    assert (made.body["data"], made.body["type"]) == ({"k": "dg=="}, "Opaque")
    owned = protobuf("v1", "Namespace", field(1, field(1, b"x") + field(13, b"owner")))
    assert (await admin.refused("POST", "/api/v1/namespaces", owned))[0] == 501
    short = body[: len(body) // 2]
    assert (await admin.refused("POST", f"{REVIEW}/selfsubjectaccessreviews", short))[0] == 400
    odd = protobuf("v1", "Pod", b"")
    assert (await admin.refused("POST", "/api/v1/namespaces", odd))[0] == 501
    assert (await admin.refused("POST", "/api/v1/namespaces", b"{"))[0] == 400


async def test_impersonation_is_501(admin: ApiClient) -> None:
    assert (await admin.send("GET", "/api/v1/nodes", **{"Impersonate-User": "x"})).status == 501
