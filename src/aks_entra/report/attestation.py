"""A signed statement about a report: in-toto's test result in a DSSE envelope, which an auditor checks with cosign.

Sources: in-toto Attestation Framework (Statement v1, predicate "Test Result" v0.1) and the DSSE specification 1.0.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # public, but not in its `__all__`

from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused

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
    """Return the statement in a DSSE envelope, signed by a private key (PEM: EC P-256, Ed25519 or RSA).

    Refused if the key cannot be used. No message quotes it.
    """
    envelope = Envelope(json.dumps(statement_, sort_keys=True).encode(), PAYLOAD, {})
    envelope.sign(_signer(key_pem))
    return json.dumps(envelope.to_dict()) + "\n"


def _signer(key_pem: bytes) -> CryptoSigner:
    try:
        return CryptoSigner(load_pem_private_key(key_pem, None))
    except TypeError:
        raise Refused(
            "the private key is sealed with a passphrase", remedy="name a key without one", field="--key"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Refused("the file is no private key in PEM that can sign", remedy=_KEY, field="--key") from None
