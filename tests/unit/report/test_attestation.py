"""The signed statement about a report, checked with the public key alone, as an auditor does."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.report.attestation import PAYLOAD, sign, sign_remotely, statement
from tests.support.verdict_cases import report_of

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: PrivateKeyTypes, sealed: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed or NoEncryption())


@pytest.mark.parametrize(
    ("outcome", "result", "place"),
    [
        (Outcome.VERIFIED, "PASSED", "passedTests"),
        (Outcome.NOT_VERIFIED, "WARNED", "warnedTests"),
        (Outcome.SKIPPED, "WARNED", "warnedTests"),
        (Outcome.FAILED, "FAILED", "failedTests"),
        (Outcome.REFUSED, "FAILED", "failedTests"),
    ],
)
def test_only_verified_clusters_pass(outcome: Outcome, result: str, place: str) -> None:
    report = report_of(outcome=outcome)
    made = statement(report, "report.json", b"content")
    assert made["subject"] == [{"name": "report.json", "digest": {"sha256": hashlib.sha256(b"content").hexdigest()}}]
    assert made["predicate"]["result"] == result
    assert {name for name in ("passedTests", "warnedTests", "failedTests") if made["predicate"][name]} == {place}
    assert made["predicate"][place] == [one.cluster.resource_id for one in report.verdicts]
    assert made["predicate"]["configuration"][0]["name"] == "plan"


def test_the_signature_covers_the_type_and_the_statement() -> None:
    made = statement(report_of(), "report.json", b"content")
    envelope = json.loads(sign(made, pem(KEY)))
    body = base64.b64decode(envelope["payload"])
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    signed = f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(body)} ".encode() + body  # as the specification says
    assert json.loads(body) == made
    KEY.public_key().verify(signature, signed, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(signature, signed.replace(b"PASSED", b"WARNED"), ec.ECDSA(SHA256()))


def test_an_ed25519_key_signs_too() -> None:
    assert json.loads(sign({"a": 1}, pem(ed25519.Ed25519PrivateKey.generate())))["signatures"]


def test_an_rsa_key_signs_with_the_padding_that_cosign_checks() -> None:
    key = rsa.generate_private_key(65537, 2048)
    envelope = json.loads(sign({"a": 1}, pem(key)))
    body = base64.b64decode(envelope["payload"])
    signed = f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(body)} ".encode() + body
    key.public_key().verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed, PKCS1v15(), SHA256())


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nhidden\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(x25519.X25519PrivateKey.generate()), "this is none of them"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "this is none of them"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "this is none of them"),
        (pem(rsa.generate_private_key(65537, 1024)), "this is none of them"),  # noqa: S505 - it is too short on purpose
        (pem(KEY, BestAvailableEncryption(b"closed")), "sealed with a passphrase"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_without_quoting_it(key: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        sign({}, key)
    assert "hidden" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


class Elsewhere:
    """A key that is held elsewhere. It signs with another key than the one that it shows, if it is told to."""

    def __init__(self, signs: ec.EllipticCurvePrivateKey = KEY) -> None:
        self.signs = signs

    async def public_key(self) -> bytes:
        return KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    async def sign(self, message: bytes) -> bytes:
        return self.signs.sign(message, ec.ECDSA(SHA256()))


async def test_a_key_that_is_held_elsewhere_signs_the_same_envelope_under_the_same_key_id() -> None:
    made = statement(report_of(), "report.json", b"content")
    here, there = json.loads(sign(made, pem(KEY))), json.loads(await sign_remotely(made, Elsewhere()))
    assert {**here, "signatures": []} == {**there, "signatures": []}
    assert [one["keyid"] for one in here["signatures"]] == [one["keyid"] for one in there["signatures"]]


async def test_a_signature_of_another_key_than_the_one_that_was_shown_is_refused() -> None:
    with pytest.raises(Refused, match="the signature that came back is not of this key"):
        await sign_remotely({}, Elsewhere(ec.generate_private_key(ec.SECP256R1())))
