"""CertificateSigningRequests in the built-in API server: who may approve one, and what its certificate opens."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.front.http import Reply
from tests.support.arm_client import ArmClient

SIGNER = "kubernetes.io/kube-apiserver-client"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
APPROVED = {"type": "Approved", "status": "True"}


def asked(organization: str = "devs", name: str = "mallory") -> dict[str, Any]:
    subject = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, name)]
    whole = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    )
    pem = whole.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)
    spec = {"request": base64.b64encode(pem).decode(), "signerName": SIGNER, "usages": ["client auth"]}
    return {"metadata": {"name": "made"}, "spec": spec}


class Requests:
    """One cluster, its admin, and a service account that may approve requests if it is given a signer."""

    def __init__(self) -> None:
        self.client = ArmClient(ClusterSpec(name="shop-01"))
        self.generation = self.client.server("shop-01").generation
        self.token = self.generation.token

    async def send(self, method: str, path: str, body: object = None, token: str = "") -> Reply:
        return await self.client.kube("shop-01", method, path, body, token=token or self.token)

    async def decide(self, *conditions: dict[str, str], token: str = "") -> Reply:
        return await self.send("PUT", f"{REQUESTS}/made/approval", {"status": {"conditions": conditions}}, token)


@pytest.fixture(name="requests")
def some_requests() -> Requests:
    return Requests()


async def test_an_approved_request_gives_a_certificate_that_the_cluster_accepts(requests: Requests) -> None:
    made = await requests.send("POST", REQUESTS, asked())
    assert made.status == 201
    assert isinstance(made.body, dict)
    assert made.body["spec"]["username"] == "masterclient"
    assert made.body["status"] == {}
    answer = await requests.decide(APPROVED)
    assert answer.status == 200
    assert isinstance(answer.body, dict)
    assert "certificate" not in answer.body["status"]
    kept = await requests.send("GET", f"{REQUESTS}/made")
    assert isinstance(kept.body, dict)
    certificate = x509.load_pem_x509_certificate(base64.b64decode(kept.body["status"]["certificate"]))
    me = await requests.client.kube("shop-01", "POST", WHO, {}, certificate=certificate.public_bytes(Encoding.DER))
    assert isinstance(me.body, dict)
    assert me.body["status"]["userInfo"]["username"] == "mallory"
    assert "devs" in me.body["status"]["userInfo"]["groups"]


async def test_a_denied_request_gives_none(requests: Requests) -> None:
    await requests.send("POST", REQUESTS, asked())
    assert (await requests.decide({"type": "Denied", "status": "True"})).status == 200
    kept = await requests.send("GET", f"{REQUESTS}/made")
    assert isinstance(kept.body, dict)
    assert "certificate" not in kept.body["status"]
    assert (await requests.decide({"type": "Failed", "status": "True"})).status == 501
    assert (await requests.decide()).status == 501


async def test_a_request_for_another_signer_is_not_modelled(requests: Requests) -> None:
    body = asked()
    body["spec"]["signerName"] = "kubernetes.io/kubelet-serving"
    assert (await requests.send("POST", REQUESTS, body)).status == 501


@pytest.mark.parametrize(
    ("signer", "status"), [("", 403), ("example.com/*", 403), (SIGNER, 200), ("kubernetes.io/*", 200)]
)
async def test_an_approval_needs_the_right_to_approve_for_the_signer(
    requests: Requests, signer: str, status: int
) -> None:
    await requests.send("POST", REQUESTS, asked())
    group = ["certificates.k8s.io"]
    rules = [{"apiGroups": group, "resources": ["certificatesigningrequests/approval"], "verbs": ["update"]}]
    if signer:
        rules.append({"apiGroups": group, "resources": ["signers"], "verbs": ["approve"], "resourceNames": [signer]})
    await requests.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "approver"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver"}
    binding = {"metadata": {"name": "approver"}, "roleRef": reference, "subjects": [subject]}
    assert (await requests.send("POST", f"{RBAC}/clusterrolebindings", binding)).status == 201
    token = await requests.send("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {"spec": {}})
    assert isinstance(token.body, dict)
    answer = await requests.decide(APPROVED, token=token.body["status"]["token"])
    assert answer.status == status
