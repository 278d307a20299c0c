"""A signed approval that counts, and the parts of which tests make others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aks_entra.core.durations import stamp
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import (
    Asked,
    Commitment,
    Signature,
    SignedApproval,
    SignIn,
    Statement,
    commitment,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TENANT = "3a6c1b52-0d4f-4e7a-9b1e-2f7d5c8a1e90"
CLIENT = "8d1f7c3e-5b2a-4c96-a0d4-1e9b6f3c7a25"
APPROVING = "c2d9a7e1-4f38-4b6c-8e50-9a1b7d3f2c64"
GATE = Gate(approvers=Approvers(tenant_id=TENANT, client_id=CLIENT, groups=(APPROVING,)))
STATEMENT = Statement(
    decision="approve",
    plan="sha256:0123",
    facts="sha256:fedc",
    stage="canary",
    side="before",
    run="run-1",
    reason="CHG-1",
    ticket="",
    at=stamp(NOW),
)
ASKED = Asked(plan="sha256:0123", facts="sha256:fedc", stage="canary", side="before", run="run-1", requester="erin-id")


def sign_in(nonce: str, who: str = "dana", *, at: datetime = NOW + timedelta(minutes=1)) -> SignIn:
    return SignIn(
        issuer=f"https://login.microsoftonline.com/{TENANT}/v2.0",
        audience=CLIENT,
        tenant_id=TENANT,
        object_id=f"{who}-id",
        name=f"{who}@contoso.com",
        nonce=nonce,
        issued_at=at,
        groups=(APPROVING,),
    )


def signature(
    statement: Statement = STATEMENT,
    who: str = "dana",
    first: Statement = STATEMENT,
    *,
    until: datetime | None = None,
) -> Signature:
    """Return what a member signed. `first`: the statement to which the sign-in commits.

    `until`: when the key stops signing. None: the commitment of an earlier version, which names no such time.
    """
    key = f'{{"kty":"EC","x":"{who}"}}'
    committed = commitment(first, key, application=f"{TENANT}/{CLIENT}", until=until or NOW)
    if until is None:
        committed = Commitment(approval=committed.approval, key=key, at=first.at)
    signed = SignedApproval(
        statement=statement, commitment=committed, id_token="a.b.c", signature="d.e.f", entra_key="{}"
    )
    return Signature(signed=signed, sign_in=sign_in(committed.nonce, who), member=True)
