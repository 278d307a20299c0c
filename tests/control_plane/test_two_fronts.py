"""The built-in API server and a real kube-apiserver give the same answers to the same requests.

Errors are equal word for word. In other answers, the real one has everything that the built-in server has.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from azure_sandbox.cluster.certificates import KeyPair, client_certificate, new_authority
from azure_sandbox.cluster.credentials import Generation
from azure_sandbox.server import Sandbox
from tests.control_plane.caller import ARM, Answer, Caller
from tests.support.two_answers import missing, verdict, without_uid

pytestmark = [pytest.mark.control_plane, pytest.mark.asyncio(loop_scope="module")]

SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
OUTSIDER = {"id": "9a3d8f5e-52b4-4d0c-8f1b-6d9f0f3c7a21", "appId": "1f0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e3"}
READER = {"id": "2b7d7c1e-0a5f-4f0e-9a5d-0c5b2d6e4f10", "appId": "6d0f5b0a-4f1c-4b6f-8f0a-3e5a9b7c2d11"}
SECRET = "came-by"
WORLD = f"""\
version: 1
controlPlane: FRONT
tenant: {{id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator}}
  - {{name: outsider, id: {OUTSIDER["id"]}, appId: {OUTSIDER["appId"]}, secret: {SECRET}}}
  - {{name: reader, id: {READER["id"]}, appId: {READER["appId"]}, secret: {SECRET}}}
groups:
  - {{name: aks-admins, id: a1b2c3d4-1111-4222-8333-944445555666, members: [operator]}}
operator: operator
subscriptions:
  - id: {SUBSCRIPTION}
    name: prod-eu
    roleAssignments: [{{principal: operator, role: Owner}}]
    resourceGroups:
      - name: shop
        clusters:
          - {{name: plain, version: 1.34.4, nodes: 2, workloads: [{{name: web, replicas: 2}}]}}
          - {{name: guarded, version: 1.34.4, identity: managed, adminGroups: [aks-admins]}}
          - name: azure
            version: 1.34.4
            identity: managed
            adminGroups: [aks-admins]
            azureRbac: true
            roleAssignments: [{{principal: reader, role: Azure Kubernetes Service RBAC Reader}}]
"""
BORN = dt.datetime.now(dt.UTC)
FOREIGN = new_authority(BORN)
FRONTS = ("builtin", "real")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
ALL = dict.fromkeys(("verb", "group", "resource"), "*")
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
MAY_I = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def review(kind: str, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
    group = "authentication" if kind in {"SelfSubjectReview", "TokenReview"} else "authorization"
    return {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, **({} if spec is None else {"spec": spec})}


def can_i(**attributes: str) -> dict[str, Any]:
    return review("SelfSubjectAccessReview", {"resourceAttributes": attributes})


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def settings(name: str, size: int = 1) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "x" * size}}


def secret(name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"key": "value"}, **content}


def deletion(**options: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "DeleteOptions", **options}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One request of the script. `says` is a distinctive part of the error message."""

    cluster: str
    who: str
    path: str
    method: str = "GET"
    body: Any = None
    accept: str = "application/json"
    status: int = 200
    says: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        kind = self.body.get("kind", "") if isinstance(self.body, dict) else ""
        return f"{self.cluster}-{self.who}-{self.method}{self.path}{kind}-{self.accept.count('=')}-{self.status}"


def plain(who: str, path: str, **more: Any) -> Line:
    return Line(cluster="plain", who=who, path=path, **more)


def guarded(who: str, path: str, **more: Any) -> Line:
    return Line(cluster="guarded", who=who, path=path, **more)


def azure(who: str, path: str, **more: Any) -> Line:
    return Line(cluster="azure", who=who, path=path, **more)


def signing_request(name: str, organization: str, **spec: Any) -> dict[str, Any]:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, "mallory"),
        ]
    )
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(REQUESTER, hashes.SHA256())
    pem = base64.b64encode(asked.public_bytes(Encoding.PEM)).decode()
    whole = {"request": pem, "signerName": SIGNER, "usages": ["client auth"], **spec}
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {key: value for key, value in whole.items() if value is not None},
    }


def approval(name: str) -> dict[str, Any]:
    decided = {"type": "Approved", "status": "True", "reason": "Test", "message": "by a test"}
    return {**signing_request(name, "devs"), "status": {"conditions": [decided]}}


REQUESTER = ec.generate_private_key(ec.SECP256R1())
SIGNER = "kubernetes.io/kube-apiserver-client"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
NODES, PODS, DEPLOYMENTS = "/api/v1/nodes", "/api/v1/pods", "/apis/apps/v1/deployments"
IN_DEFAULT = "/api/v1/namespaces/default"
SPACES, MAPS = "/api/v1/namespaces", f"{IN_DEFAULT}/configmaps"
SCRIPT = [
    plain("nobody", NODES, status=401, says="Unauthorized"),
    plain("nobody", "/version", status=401, says="Unauthorized"),
    plain("nobody", "/readyz", status=401, says="Unauthorized"),
    plain("stranger", NODES, status=401, says="Unauthorized"),
    plain("member", NODES, status=401, says="Unauthorized"),  # this cluster has no Entra ID
    plain("certificate", NODES),
    plain("foreign", NODES, status=401, says="Unauthorized"),  # O=system:masters, signed by another CA
    plain("self-made", NODES, status=401, says="Unauthorized"),
    plain("serving", NODES, status=401, says="Unauthorized"),  # of this CA, but not for client authentication
    plain("static", NODES),
    plain("static", "/version"),
    plain("static", "/readyz"),
    plain("static", "/api"),
    plain("static", "/apis"),
    plain("static", "/api/v1"),
    plain("static", "/apis/apps"),
    plain("static", "/apis/apps/v1"),
    plain("static", "/apis/rbac.authorization.k8s.io/v1"),
    plain("static", "/apis/authentication.k8s.io/v1"),
    plain("static", "/apis/authorization.k8s.io/v1"),
    plain("static", "/api", accept=AGGREGATED),
    plain("static", "/apis", accept=AGGREGATED),
    plain("static", PODS),
    plain("static", f"{IN_DEFAULT}/pods?labelSelector=app%3Dweb"),
    plain("static", f"{IN_DEFAULT}/pods?limit=1"),
    plain("static", f"{IN_DEFAULT}/pods", accept=TABLE),
    plain("static", DEPLOYMENTS),
    plain("static", "/apis/apps/v1/namespaces/default/deployments/web"),
    plain("static", "/apis/apps/v1/daemonsets"),
    plain("static", "/apis/storage.k8s.io/v1/storageclasses"),
    plain("static", "/api/v1/namespaces/kube-system"),
    plain("static", NODES, accept=TABLE),
    plain("static", f"{NODES}/no-such-node", status=404, says='nodes "no-such-node" not found'),
    plain("static", f"{DEPLOYMENTS[:13]}/namespaces/default/deployments/none", status=404, says="not found"),
    plain("static", "/api/v1/unheardof", status=404, says="could not find the requested resource"),
    plain("static", "/api/v2/pods", status=404, says="could not find the requested resource"),
    plain("static", "/apis/apps/v2/deployments", status=404, says="could not find the requested resource"),
    plain("static", "/apis/example.com/v1/things", status=404, says="404 page not found"),
    plain("static", "/apis/example.com", status=404, says="404 page not found"),
    plain("static", "/nope", status=404, says="404 page not found"),
    plain("static", "/version", method="POST", body={}, status=405, says="does not allow this method"),
    plain("static", MAY_I, status=405, says="does not allow this method"),
    plain("static", NODES, method="PUT", body={}, status=405, says="does not allow this method"),
    plain("static", "/api/v1/namespaces", method="POST", body=namespace("default"), status=409, says="already exists"),
    plain("static", "/api/v1/namespaces", method="POST", body="{", status=400),
    plain("static", f"{IN_DEFAULT}/pods/none", method="DELETE", status=404, says='pods "none" not found'),
    plain("certificate", WHO_AM_I, method="POST", body=review("SelfSubjectReview"), status=201),
    plain("static", WHO_AM_I, method="POST", body=review("SelfSubjectReview"), status=201),
    plain("static", MAY_I, method="POST", body=can_i(**ALL), status=201),
    plain(
        "static",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        method="POST",
        body=review("TokenReview", {"token": "not-a-token"}),
        status=201,
    ),
    plain(
        "static",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        method="POST",
        body=review("SubjectAccessReview", {"user": "jo", "resourceAttributes": {"verb": "list", "resource": "pods"}}),
        status=201,
    ),
    plain("static", "/apis/certificates.k8s.io/v1"),
    plain("static", REQUESTS, method="POST", body=signing_request("made", "devs"), status=201),
    plain("static", REQUESTS, method="POST", body=signing_request("m", "system:masters"), status=403, says="masters"),
    plain("static", REQUESTS, method="POST", body=signing_request("m", "devs", usages=None), status=422, says="usages"),
    plain("static", REQUESTS, method="POST", body=signing_request("m", "devs", signerName=None), status=422),
    plain("static", REQUESTS, method="POST", body=signing_request("m", "devs", request="bm8="), status=422),
    azure("static", f"{REQUESTS}?fieldSelector=spec.signerName%3D{SIGNER}"),  # only the built-in server signs
    plain("static", f"{REQUESTS}/none/approval", method="PUT", body=approval("none"), status=404, says="not found"),
    plain("static", MAY_I, method="POST", body=review("SelfSubjectAccessReview", {}), status=422, says="exactly one"),
    guarded("member", NODES),
    guarded("member", WHO_AM_I, method="POST", body=review("SelfSubjectReview"), status=201),
    guarded("member", MAY_I, method="POST", body=can_i(**ALL), status=201),
    guarded("member", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/aks-cluster-admin-binding-aad"),
    guarded("static", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/aks-cluster-admin-binding"),
    guarded("other-audience", NODES, status=401, says="Unauthorized"),
    guarded("outsider", NODES, status=403, says='cannot list resource "nodes" in API group "" at the cluster scope'),
    guarded("outsider", f"{NODES}/one", status=403, says='nodes "one" is forbidden'),
    guarded("outsider", f"{IN_DEFAULT}/pods", status=403, says='in the namespace "default"'),
    guarded("outsider", f"{IN_DEFAULT}/pods/one/log", status=403, says='cannot get resource "pods/log"'),
    guarded("outsider", DEPLOYMENTS, status=403, says='cannot list resource "deployments" in API group "apps"'),
    guarded("outsider", "/metrics", status=403, says='cannot get path "/metrics"'),
    guarded("outsider", f"{NODES}?watch=1", status=403, says='cannot watch resource "nodes"'),
    guarded("outsider", "/api/v1/unheardof", status=403, says='cannot list resource "unheardof"'),
    guarded("outsider", "/api/v1/namespaces", method="POST", body=namespace("x"), status=403, says="cannot create"),
    guarded("outsider", f"{IN_DEFAULT}/pods/one", method="DELETE", status=403, says="cannot delete resource"),
    guarded("outsider", "/version"),
    guarded("outsider", "/apis"),
    guarded("outsider", WHO_AM_I, method="POST", body=review("SelfSubjectReview"), status=201),
    guarded("outsider", MAY_I, method="POST", body=can_i(verb="list", resource="nodes"), status=201),
    guarded(
        "outsider",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        method="POST",
        body=review("SelfSubjectRulesReview", {"namespace": "default"}),
        status=201,
    ),
    azure("outsider", NODES, status=403, says="User does not have access to the resource in Azure. Update role"),
    azure("outsider", MAY_I, method="POST", body=can_i(verb="list", resource="nodes"), status=201),
    azure(
        "outsider",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        method="POST",
        body=review("SelfSubjectRulesReview", {"namespace": "default"}),
        status=201,
    ),
    azure("reader", f"{IN_DEFAULT}/pods"),
    azure("reader", f"{IN_DEFAULT}/pods/one", method="DELETE", status=403, says="does not have access to the resource"),
    azure("reader", MAY_I, method="POST", body=can_i(verb="list", resource="pods"), status=201),
    azure("member", NODES),
    azure("static", NODES),
]
WRITES = [  # in this order
    plain("static", f"{MAPS}?dryRun=All", method="POST", body=settings("a"), status=201),
    plain("static", f"{MAPS}/a", status=404, says="not found"),
    plain("static", f"{MAPS}?dryRun=some", method="POST", body=settings("a"), status=422, says="Unsupported value"),
    plain("static", f"{MAPS}?dryRun=", method="POST", body=settings("a"), status=422, says="Unsupported value"),
    plain("static", f"{SPACES}?dryRun=All", method="POST", body=namespace("dry"), status=201),
    plain("static", f"{SPACES}/dry", status=404, says="not found"),
    plain("static", MAPS, method="POST", body=settings("kept"), status=201),
    plain("static", f"{MAPS}?dryRun=All", method="POST", body=settings("kept"), status=409, says="already exists"),
    plain("static", f"{MAPS}/kept?dryRun=All", method="DELETE"),
    plain("static", f"{MAPS}/kept?dryRun=x", method="DELETE", status=422, says="Unsupported value"),
    plain("static", f"{MAPS}/none?dryRun=x", method="DELETE", status=422, says="Unsupported value"),
    plain("static", f"{MAPS}/kept", method="DELETE", body=deletion(dryRun=["All"])),
    plain("static", f"{MAPS}/kept", method="DELETE", body=deletion(dryRun=["x"]), status=422, says="Unsupported value"),
    plain("static", f"{MAPS}/kept", method="DELETE", body=deletion(propagationPolicy="x"), status=422, says="nil"),
    plain("static", f"{MAPS}/kept", method="DELETE", body=deletion(preconditions={"resourceVersion": "1"}), status=409),
    plain("static", f"{MAPS}/kept"),
    plain("static", f"{MAPS}/kept", method="PUT", body=settings("kept", 2)),
    plain("static", f"{MAPS}/kept?dryRun=All", method="PUT", body=settings("kept", 3)),
    plain("static", f"{MAPS}/kept", method="PUT", body=settings("other"), status=400, says="does not match the name"),
    plain("static", f"{MAPS}/none", method="PUT", body=settings("none"), status=404, says="not found"),
    plain("static", f"{MAPS}/kept", method="PATCH", body={}, status=415, says="Unsupported Media Type"),
    plain("static", f"{MAPS}/kept", method="DELETE", body=deletion(propagationPolicy="Background")),
    plain("static", SPACES, method="POST", body=namespace("short"), status=201),
    plain("static", f"{SPACES}/short?dryRun=All", method="DELETE"),
    plain("static", f"{SPACES}/short", method="DELETE"),
    plain("static", f"{IN_DEFAULT}/secrets", method="POST", body=secret("told"), status=201),
    plain("static", f"{IN_DEFAULT}/secrets/told"),
    plain(
        "static", f"{IN_DEFAULT}/secrets", method="POST", body=secret("odd", data={"a": "?"}), status=400, says="base64"
    ),
    plain("static", f"{IN_DEFAULT}/serviceaccounts", method="POST", body={"metadata": {"name": "robot"}}, status=201),
    plain("static", f"{IN_DEFAULT}/serviceaccounts/robot", method="DELETE"),
    plain("static", MAPS, method="POST", body=settings("large", 3_200_000), status=413, says="limit is 3145728"),
    plain("static", f"{MAY_I}?dryRun=x", method="POST", body=can_i(**ALL), status=422, says="Unsupported value"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Caller]]:
    async with AsyncExitStack() as stack:
        found: dict[str, Caller] = {}
        for front in FRONTS:
            folder = tmp_path_factory.mktemp(front)
            (folder / "world.yaml").write_text(WORLD.replace("FRONT", front))
            sandbox = await stack.enter_async_context(Sandbox(folder / "world.yaml"))
            found[front] = Caller(sandbox=sandbox, folder=folder)
        yield found


async def speak(caller: Caller, line: Line) -> Answer:
    generation = caller.generation(line.cluster)
    operator = caller.sandbox.operator
    certificates: dict[str, Generation | KeyPair] = {
        "certificate": generation,
        "foreign": client_certificate(FOREIGN, "system:masters", "masterclient", BORN),
        "self-made": FOREIGN,
        "serving": generation.server,
    }
    token = ""
    match line.who:
        case "static":
            token = generation.token
        case "stranger":
            token = "not-a-token-of-anybody"
        case "member":
            token = await caller.token(operator.principal.app_id, operator.secret)
        case "other-audience":
            token = await caller.token(operator.principal.app_id, operator.secret, ARM)
        case "outsider":
            token = await caller.token(OUTSIDER["appId"], SECRET)
        case "reader":
            token = await caller.token(READER["appId"], SECRET)
        case _:
            pass
    return await caller.ask(
        line.cluster,
        line.path,
        method=line.method,
        body=line.body,
        accept=line.accept,
        token=token,
        certificate=certificates.get(line.who),
    )


async def test_both_servers_approve_a_request_alike(callers: dict[str, Caller]) -> None:
    lines = [
        plain("static", REQUESTS, method="POST", body=signing_request("asked", "devs")),
        plain("static", f"{REQUESTS}/asked/approval", method="PUT", body=approval("asked")),
    ]
    builtin, real = [[await speak(callers[front], line) for line in lines] for front in FRONTS]
    assert [one.status for one in builtin] == [one.status for one in real] == [201, 200]
    assert [missing(one.body, other.body) for one, other in zip(builtin, real, strict=True)] == [[], []]


@pytest.mark.parametrize("line", SCRIPT, ids=str)
async def test_both_servers_give_the_same_answer(callers: dict[str, Caller], line: Line) -> None:
    await compare(callers, line)


async def test_both_servers_answer_a_series_of_writes_alike(callers: dict[str, Caller]) -> None:
    for line in WRITES:
        await compare(callers, line)


async def compare(callers: dict[str, Caller], line: Line) -> None:
    builtin, real = [await speak(callers[front], line) for front in FRONTS]
    assert real.status == line.status, real.body
    assert builtin.status == real.status, builtin.body
    assert builtin.media == real.media
    if line.says:
        assert line.says in real.message
    if line.status == 409 and "precondition" in real.message:  # it names the version, which differs
        assert builtin.message.partition(" (")[0] == real.message.partition(" (")[0]
        return
    if isinstance(real.body, str) or real.body.get("kind") == "Status":
        assert without_uid(builtin.body) == without_uid(real.body)
    else:
        assert not missing(builtin.body, real.body)
    if line.method == "POST" and line.status == 201 and "status" in real.body:
        assert verdict(builtin.body["status"]) == verdict(real.body["status"])
