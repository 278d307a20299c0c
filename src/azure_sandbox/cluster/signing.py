"""CertificateSigningRequests: how one is made, approved and signed, for the signer of client certificates.

A real cluster signs an approved request in its controller manager, with the key of the cluster's CA. The sandbox signs
it at once. Other signers are not modelled.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from azure_sandbox.cluster import status
from azure_sandbox.cluster.certificates import signed
from azure_sandbox.cluster.credentials import MASTERS, Generation
from azure_sandbox.cluster.guard import Guard
from azure_sandbox.cluster.rbac import Attributes, Caller
from azure_sandbox.cluster.store import Store, stamp

Document = dict[str, Any]
GROUP = "certificates.k8s.io"
PLURAL = "certificatesigningrequests"
KIND = "CertificateSigningRequest"
SIGNER = "kubernetes.io/kube-apiserver-client"
CLIENT = "client auth"
DECIDED = ("Approved", "Denied")


def prepared(document: Document, caller: Caller) -> Document:
    """Return a new request as the API server stores it: with its requester, and without a status."""
    spec: Document = dict(document.get("spec") or {})
    name = document["metadata"]["name"]
    signer = spec.get("signerName")
    if not signer:
        raise status.invalid_part(GROUP, KIND, name, "spec.signerName", "Required value")
    if signer != SIGNER:
        raise status.not_modelled(f"the signer {signer}")
    if spec.get("usages") is None or CLIENT not in spec["usages"]:
        raise status.invalid_part(GROUP, KIND, name, "spec.usages", "Required value")
    asked = _parsed(spec, name)
    if MASTERS in [it.value for it in asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]:
        text = f"use of {SIGNER} signer with {MASTERS} group is not allowed"
        raise status.forbidden(
            f'{PLURAL}.{GROUP} "{name}" is forbidden: {text}', {"name": name, "group": GROUP, "kind": PLURAL}
        )
    who: Document = {"username": caller.name, "groups": list(caller.groups)}
    who |= {"uid": caller.uid} if caller.uid else {}
    who |= {"extra": caller.extra} if caller.extra else {}
    return {**document, "spec": {**spec, **who}, "status": {}}


def _parsed(spec: Document, name: str) -> x509.CertificateSigningRequest:
    try:
        return x509.load_pem_x509_csr(base64.b64decode(spec.get("request") or "", validate=True))
    except (ValueError, TypeError, binascii.Error):
        text = f'Invalid value: "{spec.get("request")}": PEM block type must be CERTIFICATE REQUEST'
        raise status.invalid_part(GROUP, KIND, name, "spec.request", text) from None


class Approvals:
    """Approves and denies requests."""

    def __init__(self, store: Store, guard: Guard, generation: Callable[[], Generation]) -> None:
        self._store = store
        self._guard = guard
        self._generation = generation

    def decide(self, name: str, document: Document, caller: Caller, now: dt.datetime) -> Document:
        """Store the decision in a request, and sign it if it is approved. Needs `approve` on the signer.

        The answer has no certificate, because a real cluster signs after it.
        """
        held = self._store.get((GROUP, PLURAL), "", name)
        if held is None:
            raise status.not_found(GROUP, PLURAL, name)
        if not any(self._may_approve(caller, signer) for signer in (SIGNER, f"{SIGNER.partition('/')[0]}/*")):
            text = f'user not permitted to approve requests with signerName "{SIGNER}"'
            raise status.forbidden(
                f'{PLURAL}.{GROUP} "{name}" is forbidden: {text}', {"name": name, "group": GROUP, "kind": PLURAL}
            )
        given = [dict(it) for it in (document.get("status") or {}).get("conditions") or [] if isinstance(it, dict)]
        if not given or any(it.get("type") not in DECIDED or it.get("status") != "True" for it in given):
            raise status.not_modelled("a decision other than Approved or Denied")
        moment = {"lastUpdateTime": stamp(now), "lastTransitionTime": stamp(now)}
        answer = {**held, "status": {"conditions": [{**moment, **it} for it in given]}}
        kept = dict(answer["status"])
        if all(it["type"] == "Approved" for it in given):
            certificate = signed(self._generation().authority, _parsed(held["spec"], name), now)
            kept["certificate"] = base64.b64encode(certificate.public_bytes(Encoding.PEM)).decode()
        stored = self._store.put((GROUP, PLURAL), {**held, "status": kept}, now)
        return {**answer, "metadata": stored["metadata"]}

    def _may_approve(self, caller: Caller, signer: str) -> bool:
        attributes = Attributes(verb="approve", group=GROUP, resource="signers", name=signer)
        return self._guard.may(caller, attributes).allowed
