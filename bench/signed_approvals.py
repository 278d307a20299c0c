"""Measure what the check of a signed approval costs a batch before its first write, without the request to Entra."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from aks_entra.adapters.identity.approvals import proven
from aks_entra.adapters.identity.entra_keys import TrustedKeys
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import (
    ISSUER,
    Asked,
    Signature,
    SignedApproval,
    Statement,
    commitment,
    count,
    member_by_token,
)
from aks_entra.core.storable import canonical

ROUNDS = 200
GOAL = 20.0
"""Milliseconds that a signed approval may add to the start of a batch."""
NOW = datetime.now(UTC)
APPROVERS = Approvers(tenant_id="tenant", client_id="client", groups=("group",))
ASKED = Asked(plan="sha256:0", facts="sha256:1", stage="all", side="before", run="run")


def signed() -> tuple[SignedApproval, dict[str, dict[str, Any]]]:
    """Return an approval as a person signs it, and Entra's published keys by key id."""
    entra, own = rsa.generate_private_key(public_exponent=65537, key_size=2048), ec.generate_private_key(ec.SECP256R1())
    published = {**RSAAlgorithm.to_jwk(entra.public_key(), as_dict=True), "kid": "k"}
    said = Statement(
        decision="approve",
        plan=ASKED.plan,
        facts=ASKED.facts,
        stage=ASKED.stage,
        side=ASKED.side,
        run=ASKED.run,
        reason="CHG-1",
        ticket="",
        at=stamp(NOW),
    )
    public = canonical(ECAlgorithm.to_jwk(own.public_key(), as_dict=True))
    committed = commitment(said, public, application="tenant/client", until=None)
    claims = {
        "iss": ISSUER.format(tenant="tenant"),
        "aud": "client",
        "tid": "tenant",
        "oid": "dana",
        "nonce": committed.nonce,
        "iat": int(NOW.timestamp()),
        "groups": ["group"],
    }
    token = jwt.encode(claims, entra, algorithm="RS256", headers={"kid": "k"})
    signature = jwt.api_jws.encode(said.text.encode(), own, algorithm="ES256")
    approval = SignedApproval(
        statement=said, commitment=committed, id_token=token, signature=signature, entra_key=canonical(published)
    )
    return approval, {"k": published}


def main() -> None:
    """Print milliseconds for one signature, and whether they meet the goal."""
    one, published = signed()
    before = time.process_time()
    for _ in range(ROUNDS):
        person = proven(one, TrustedKeys(keys=published, refusal=""))
        found = count(
            Gate(approvers=APPROVERS),
            ASKED,
            [Signature(signed=one, sign_in=person, member=member_by_token(person, APPROVERS))],
            at=[NOW],
        )
        if found.missing:
            raise SystemExit(f"the approval does not count: {found.refused}")
    took = (time.process_time() - before) * 1000 / ROUNDS
    met = took <= GOAL
    print(f"one signed approval: {took:.2f} ms of CPU, goal {GOAL:g} ms: {'met' if met else 'missed'}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
