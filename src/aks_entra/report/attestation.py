"""A signed statement about a report: in-toto's test result in a DSSE envelope, which an auditor checks with cosign.

Sources: in-toto Attestation Framework (Statement v1, predicate "Test Result" v0.1) and the DSSE specification 1.0.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import (  # type: ignore[attr-defined]  # public, but not in its `__all__`
    CryptoSigner,
    Signature,
    SSlibKey,
)

from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.ports.signing import SigningKey

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD: Final = "application/vnd.in-toto+json"

_PLACES: Final = {
    Outcome.VERIFIED: "passedTests",
    Outcome.NOT_VERIFIED: "warnedTests",
    Outcome.SKIPPED: "warnedTests",
    Outcome.FAILED: "failedTests",
    Outcome.REFUSED: "failedTests",
}
_FEWEST_RSA_BITS: Final = 2048
_KEY: Final = "make one: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem`"


def statement(report: FleetReport, name: str, content: bytes) -> dict[str, Any]:
    """Return the statement about the file `name` that holds the report: `content` is what is in that file.

    A cluster that is not verified or was skipped is a warning, because nothing is claimed about it. So is one with a
    hook that is not done.
    """
    tests: dict[str, list[str]] = {place: [] for place in ("passedTests", "warnedTests", "failedTests")}
    for verdict in report.verdicts:
        place = _PLACES[verdict.outcome]
        place = "warnedTests" if place == "passedTests" and verdict.hooks_left else place
        tests[place].append(verdict.cluster.resource_id)
    failed, warned = bool(tests["failedTests"]), bool(tests["warnedTests"] or not report.verdicts)
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}],
        "predicateType": PREDICATE,
        "predicate": {
            "result": "FAILED" if failed else "WARNED" if warned else "PASSED",
            "configuration": [{"name": "plan", "digest": {"sha256": report.plan_digest.removeprefix("sha256:")}}],
            **tests,
        },
    }


def sign(statement_: dict[str, Any], key_pem: bytes) -> str:
    """Return the statement in a DSSE envelope, signed by a private key. Raises Refused as `signer_of`."""
    envelope = Envelope(json.dumps(statement_, sort_keys=True).encode(), PAYLOAD, {})
    envelope.sign(signer_of(key_pem))
    return json.dumps(envelope.to_dict()) + "\n"


async def sign_remotely(statement_: dict[str, Any], key: SigningKey) -> str:
    """Return the statement in a DSSE envelope, signed by a key that is held elsewhere.

    Refused if the signature does not verify, or for what the key refuses.
    """
    envelope = Envelope(json.dumps(statement_, sort_keys=True).encode(), PAYLOAD, {})
    public = SSlibKey.from_crypto(load_pem_public_key(await key.public_key()))
    signature = Signature(public.keyid, (await key.sign(envelope.pae())).hex())
    try:
        public.verify_signature(signature, envelope.pae())
    except UnverifiedSignatureError:
        raise Refused(
            "the signature that came back is not of this key", remedy="try again; nothing was written", field="--key"
        ) from None
    envelope.signatures[public.keyid] = signature
    return json.dumps(envelope.to_dict()) + "\n"


def signer_of(key_pem: bytes) -> CryptoSigner:
    """Return what signs with a private key (PEM: EC P-256, Ed25519, or RSA of 2,048 bits or more).

    cosign checks each of them with SHA-256, and RSA by PKCS #1 v1.5: it takes no signature of another curve or padding.
    Raises Refused if the key cannot be used. No message quotes it.
    """
    try:
        key = load_pem_private_key(key_pem, None)
    except TypeError:
        raise Refused(
            "the private key is sealed with a passphrase", remedy="name a key without one", field="--key"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Refused("the file is no private key in PEM that can sign", remedy=_KEY, field="--key") from None
    scheme = _scheme(key)
    if not scheme:
        raise Refused(
            "cosign checks keys of the kinds EC P-256, Ed25519, and RSA of 2048 bits or more; this is none of them",
            remedy=_KEY,
            field="--key",
        )
    return CryptoSigner(key, SSlibKey.from_crypto(key.public_key(), scheme=scheme))


def _scheme(key: object) -> str:
    """Return securesystemslib's name of how a key signs. Empty: cosign would not take its signatures."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return "ecdsa-sha2-nistp256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _FEWEST_RSA_BITS:
        return "rsa-pkcs1v15-sha256"
    return ""
