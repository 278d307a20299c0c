"""Writes to a cluster's built-in API server: dry runs, preconditions of a deletion, and what nodes report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.cluster.node_sizes import amounts
from tests.support.arm_client import ArmClient

MAPS = "/api/v1/namespaces/default/configmaps"
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
OPTIONS = {"apiVersion": "v1", "kind": "DeleteOptions"}


class PlainCluster:
    """One cluster and its admin."""

    def __init__(self) -> None:
        self.client = ArmClient(ClusterSpec(name="plain", nodes=1))

    async def send(self, method: str, path: str, body: object = None, status: int = 200, media: str = "json") -> Any:
        token = self.client.server("plain").generation.token
        headers = {"accept": "application/json", "content-type": f"application/{media}"}
        reply = await self.client.kube("plain", method, path, body, token=token, headers=headers)
        assert reply.status == status, reply
        return reply.body

    def held(self) -> str:
        """Return everything that the API server holds."""
        return json.dumps(self.client.server("plain").store.kept())


@pytest.fixture(name="plain")
def a_plain_cluster() -> PlainCluster:
    return PlainCluster()


async def test_a_dry_run_is_checked_and_answered_and_stores_nothing(plain: PlainCluster) -> None:
    await plain.send("POST", MAPS, MAP, 201)
    before = plain.held()
    other = {**MAP, "metadata": {"name": "b"}}
    made = await plain.send("POST", f"{MAPS}?dryRun=All", other, 201)
    assert (made["data"], "resourceVersion" in made["metadata"]) == ({"k": "v"}, False)
    assert made["metadata"]["uid"]
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}
    await plain.send("POST", "/api/v1/namespaces?dryRun=All", space, 201)
    await plain.send("POST", f"{MAPS}?dryRun=All", MAP, 409)
    await plain.send("POST", f"{MAPS}?dryRun=All", {**other, "metadata": {"name": "NO"}}, 422)
    gone = await plain.send("DELETE", f"{MAPS}/a?dryRun=All")
    assert (gone["status"], gone["details"]["name"]) == ("Success", "a")
    await plain.send("DELETE", f"{MAPS}/a", {**OPTIONS, "dryRun": ["All"]})
    await plain.send("DELETE", f"{MAPS}/none?dryRun=All", status=404)
    assert plain.held() == before
    await plain.send("DELETE", f"{MAPS}/a", {**OPTIONS, "propagationPolicy": "Background"})
    await plain.send("GET", f"{MAPS}/a", status=404)


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "field"),
    [
        ("POST", f"{MAPS}?dryRun=some", MAP, "CreateOptions", "dryRun"),
        ("DELETE", f"{MAPS}/a?dryRun=", None, "DeleteOptions", "dryRun"),
        ("DELETE", f"{MAPS}/a", {**OPTIONS, "dryRun": ["All", "x"]}, "DeleteOptions", "dryRun"),
        ("DELETE", f"{MAPS}/a", {**OPTIONS, "propagationPolicy": "x"}, "DeleteOptions", "propagationPolicy"),
        ("DELETE", f"{MAPS}/a?propagationPolicy=x", None, "DeleteOptions", "propagationPolicy"),
    ],
)
async def test_an_option_with_an_unknown_value_is_refused(
    plain: PlainCluster, method: str, path: str, body: object, kind: str, field: str
) -> None:
    await plain.send("POST", MAPS, MAP, 201)
    before = plain.held()
    refused = await plain.send(method, path, body, 422)
    assert refused["message"].startswith(f'{kind}.meta.k8s.io "" is invalid: {field}: Unsupported value: ')
    assert refused["details"]["causes"][0]["field"] == field
    assert plain.held() == before


async def test_a_deletion_of_another_object_than_the_expected_one_is_refused(plain: PlainCluster) -> None:
    made = (await plain.send("POST", MAPS, MAP, 201))["metadata"]
    for name, wrong in (("uid", "0"), ("resourceVersion", "0")):
        refused = await plain.send("DELETE", f"{MAPS}/a", {**OPTIONS, "preconditions": {name: wrong}}, 409)
        assert made[name] in refused["message"]
    expected = {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}
    await plain.send("DELETE", f"{MAPS}/a", {**OPTIONS, "preconditions": expected})


async def test_a_node_reports_what_it_can_hold(plain: PlainCluster) -> None:
    (node,) = (await plain.send("GET", "/api/v1/nodes"))["items"]
    capacity, allocatable = node["status"]["capacity"], node["status"]["allocatable"]
    assert set(capacity) == set(allocatable) == {*amounts("", 1)[0]}
    assert capacity["pods"] == str((await _pool(plain))["maxPods"])


async def _pool(plain: PlainCluster) -> dict[str, Any]:
    (cluster,) = plain.client.arm.state.clusters.values()
    found: dict[str, Any] = cluster.properties["agentPoolProfiles"][0]
    return found


@pytest.mark.parametrize(
    ("size", "cpu", "memory", "left_cpu", "left_memory"),
    [
        ("Standard_D4s_v5", "4", "16777216Ki", "3860m", "14370816Ki"),
        ("Standard_E96s_v5", "96", "805306368Ki", "95260m", "802899968Ki"),
        ("Standard_B2ats_v2", "2", "8388608Ki", "1900m", "6189056Ki"),
        ("odd", "2", "8388608Ki", "1900m", "6189056Ki"),
    ],
)
def test_a_vm_size_tells_what_a_node_can_hold(
    size: str, cpu: str, memory: str, left_cpu: str, left_memory: str
) -> None:
    capacity, allocatable = amounts(size, 110)
    assert (capacity["cpu"], capacity["memory"]) == (cpu, memory)
    assert (allocatable["cpu"], allocatable["memory"]) == (left_cpu, left_memory)


async def test_a_namespace_and_a_secret_are_stored_as_kubernetes_stores_them(plain: PlainCluster) -> None:
    space = {"metadata": {"name": "shop", "labels": {"team": "a"}}}
    made = await plain.send("POST", "/api/v1/namespaces", space, 201)
    assert made["metadata"]["labels"] == {"team": "a", "kubernetes.io/metadata.name": "shop"}
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    secrets = "/api/v1/namespaces/shop/secrets"
    sent = {"metadata": {"name": "a"}, "data": {"old": "dg=="}, "stringData": {"new": "v"}}
    await plain.send("POST", secrets, sent, 201)
    held = await plain.send("GET", f"{secrets}/a")
    assert (held["data"], held["type"], "stringData" in held) == ({"old": "dg==", "new": "dg=="}, "Opaque", False)
    for content in ({"data": {"a": "?"}}, {"data": {"a": 1}}, {"stringData": {"a": 1}}):
        await plain.send("POST", secrets, {"metadata": {"name": "b"}, **content}, 400)
    gone = await plain.send("DELETE", "/api/v1/namespaces/shop")
    assert (gone["status"], bool(gone["metadata"]["deletionTimestamp"])) == ({"phase": "Terminating"}, True)
    await plain.send("GET", f"{secrets}/a", status=404)


MERGE, STRATEGIC = "merge-patch+json", "strategic-merge-patch+json"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


async def test_an_object_is_replaced_and_patched(plain: PlainCluster) -> None:
    made = await plain.send("POST", MAPS, MAP, 201)
    same = await plain.send("PUT", f"{MAPS}/a", MAP)
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"], "nothing has changed"
    put = await plain.send("PUT", f"{MAPS}/a", {**MAP, "data": {"n": "m"}})
    assert (put["data"], put["metadata"]["uid"]) == ({"n": "m"}, made["metadata"]["uid"])
    before = plain.held()
    dry = await plain.send("PUT", f"{MAPS}/a?dryRun=All", {**MAP, "data": {"n": "dry"}})
    assert (dry["data"], dry["metadata"]["resourceVersion"]) == ({"n": "dry"}, put["metadata"]["resourceVersion"])
    dry = await plain.send("PATCH", f"{MAPS}/a?dryRun=All", {"data": {"n": "dry"}}, media=MERGE)
    assert (dry["data"], plain.held()) == ({"n": "dry"}, before)
    await plain.send("PATCH", f"{MAPS}/a", {"data": {"n": None, "z": "1"}}, media=MERGE)
    labels = {"metadata": {"labels": {"q": "r"}}, "data": {"y": "2"}}
    patched = await plain.send("PATCH", f"{MAPS}/a", labels, media=STRATEGIC)
    assert (patched["data"], patched["metadata"]["labels"]) == ({"z": "1", "y": "2"}, {"q": "r"})
    space = await plain.send("PATCH", "/api/v1/namespaces/default", {"spec": None, "status": None}, media=MERGE)
    assert (space["spec"], space["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})


@pytest.mark.parametrize(
    ("method", "name", "body", "media", "status", "words"),
    [
        ("PUT", "b", MAP, "json", 400, "the name of the object (a) does not match the name on the URL (b)"),
        ("PUT", "zz", {**MAP, "metadata": {"name": "zz"}}, "json", 404, 'configmaps "zz" not found'),
        ("PUT", "a", {**MAP, "metadata": {"name": "a", "resourceVersion": "1"}}, "json", 409, "has been modified"),
        ("PUT", "a", {**MAP, "metadata": {"name": "a", "uid": "x"}}, "json", 409, "Operation cannot be fulfilled"),
        ("PATCH", "a", {"data": {}}, "json", 415, "Unsupported Media Type"),
        ("PATCH", "a", [], MERGE, 400, "cannot unmarshal array"),
        ("PATCH", "zz", {}, MERGE, 404, 'configmaps "zz" not found'),
        ("PATCH", "a", {"metadata": {"name": "b"}}, MERGE, 400, "does not match the name on the URL"),
        ("PATCH", "a", {"metadata": {"resourceVersion": "1"}}, MERGE, 409, "has been modified"),
        ("PATCH", "a", {"data": {"k": 1}}, MERGE, 400, "cannot unmarshal into field ConfigMap.data.k"),
        ("PATCH", "a", {"data": []}, MERGE, 400, "cannot unmarshal array"),
        ("PATCH", "a?dryRun=x", {}, MERGE, 422, "PatchOptions.meta.k8s.io"),
        ("PUT", "a?fieldValidation=x", MAP, "json", 422, "UpdateOptions.meta.k8s.io"),
        ("PATCH", "a?fieldValidation=Strict", {"colour": 1}, MERGE, 400, 'unknown field "colour"'),
        ("PATCH", "a", {"metadata": {"finalizers": ["x"]}}, STRATEGIC, 501, "finalizers in a strategic merge patch"),
        ("PATCH", "a", {"$patch": "delete"}, STRATEGIC, 501, "$patch in a strategic merge patch"),
        ("PATCH", "a", [], "json-patch+json", 501, "json-patch+json"),
        ("PATCH", "a", {}, "apply-patch+yaml", 501, "apply-patch+yaml"),
    ],
)
async def test_an_invalid_change_is_refused(
    plain: PlainCluster, method: str, name: str, body: object, media: str, status: int, words: str
) -> None:
    await plain.send("POST", MAPS, MAP, 201)
    before = plain.held()
    refused = await plain.send(method, f"{MAPS}/{name}", body, status, media)
    assert words in refused["message"]
    assert plain.held() == before


async def test_strict_validation_names_unknown_fields(plain: PlainCluster) -> None:
    odd = {"metadata": {"name": "b", "odd": 1}, "colour": 1}
    refused = await plain.send("POST", f"{MAPS}?fieldValidation=Strict", odd, 400)
    assert refused["message"].endswith('strict decoding error: unknown field "metadata.odd", unknown field "colour"')
    await plain.send("POST", f"{MAPS}?fieldValidation=Ignore", {"metadata": {"name": "b"}}, 201)


async def test_fields_that_never_change_are_refused(plain: PlainCluster) -> None:
    await plain.send("POST", MAPS, {**MAP, "immutable": True}, 201)
    refused = await plain.send("PATCH", f"{MAPS}/a", {"data": {"k": "w"}}, 422, MERGE)
    assert "field is immutable when `immutable` is set" in refused["message"]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    binding = {"metadata": {"name": "b"}, "roleRef": role}
    await plain.send("POST", f"{RBAC}/clusterrolebindings", binding, 201)
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}
    changed = await plain.send("PUT", f"{RBAC}/clusterrolebindings/b", {**binding, "subjects": [subject]})
    assert changed["subjects"] == [subject]
    other = {**binding, "roleRef": {**role, "name": "edit"}}
    assert "cannot change roleRef" in (await plain.send("PUT", f"{RBAC}/clusterrolebindings/b", other, 422))["message"]


async def test_openapi_tells_kubectl_that_the_server_validates(plain: PlainCluster) -> None:
    paths = (await plain.send("GET", "/openapi/v3"))["paths"]
    url = paths["api/v1"]["serverRelativeURL"]
    described = await plain.send("GET", url.partition("?")[0])
    patch = described["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert "fieldValidation" in {it["name"] for it in patch["parameters"]}
    for path in ("/openapi/v2", "/openapi/v3/apis/odd/v1"):
        await plain.send("GET", path, status=501)
