"""What stands behind an approval: the sign-ins of those who signed it, as the stored documents say."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.signed_approval import SignedApproval, SignIn, commitment, sign_in_of
from aks_entra.documents import load_signed_approval
from aks_entra.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One signed approval. Its signatures were checked before the first write, and are not checked again here.

    `committed`: whether the `nonce` of the ID token is what the document commits to. `first`: whether that commitment
    names this approval; if not, the person signed in for another one, and the same key signed this one. `problem`: why
    the document cannot be read.
    """

    code: str = ""
    sign_in: SignIn | None = None
    key_id: str = ""
    said_at: str = ""
    committed: bool = False
    first: bool = False
    problem: str = ""


def proofs(approval: Approval) -> tuple[Proof, ...]:
    """Return what the signed approvals of a decision say. Empty: nobody signed, and its name is a claim."""
    return tuple(map(_proof, approval.signed))


def _proof(text: str) -> Proof:
    try:
        signed = load_signed_approval(text)
        header, claims = _token(signed)
        sign_in = sign_in_of(claims)
    except Refused as error:
        return Proof(problem=error.message)
    except ValueError as error:
        return Proof(problem=str(error))
    said = signed.statement
    return Proof(
        code=signed.code,
        sign_in=sign_in,
        key_id=str(header.get("kid", "")),
        said_at=said.at,
        committed=sign_in.nonce == signed.commitment.nonce,
        first=commitment(said, signed.commitment.key).approval == signed.commitment.approval,
    )


def _token(signed: SignedApproval) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of an ID token. Raises ValueError."""
    try:
        header, claims, _ = signed.id_token.split(".")
        found = tuple(json.loads(base64.urlsafe_b64decode(f"{one}===")) for one in (header, claims))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ValueError("its ID token cannot be read") from error
    if not all(isinstance(one, dict) for one in found):
        raise ValueError("its ID token cannot be read")
    return found[0], found[1]
