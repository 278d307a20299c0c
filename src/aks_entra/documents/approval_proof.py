"""What the signed approvals behind a decision say, without their ID tokens. The caller checks the signatures."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aks_entra.core.durations import stamp
from aks_entra.core.entra_keys import name_of
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.signed_approval import SignedApproval, sign_in_of
from aks_entra.core.verdict.history import CheckedAgain, SignatureProof
from aks_entra.documents.json_text import load_signed_approval
from aks_entra.errors import Refused


def signature_proofs(
    approval: Approval,
    seen: Mapping[tuple[str, str, str], str] = MappingProxyType({}),
    checked: Mapping[str, CheckedAgain] = MappingProxyType({}),
) -> tuple[SignatureProof, ...]:
    """Return what each signed approval of a decision says. Empty: nobody signed, and its name is a claim.

    Args:
        approval: a recorded decision.
        seen: when each of Entra's keys was first seen published, by its `PublishedKey.name`.
        checked: what a check of each document found, by its text. One that is not there was not checked.
    """
    return tuple(_proof(text, seen, checked.get(text, CheckedAgain(at=""))) for text in approval.signed)


def _proof(text: str, seen: Mapping[tuple[str, str, str], str], checked: CheckedAgain) -> SignatureProof:
    try:
        signed = load_signed_approval(text)
        header, claims = _token(signed)
        sign_in = sign_in_of(claims)
    except Refused as error:
        return SignatureProof(problem=error.message)
    except ValueError as error:
        return SignatureProof(problem=str(error))
    if checked.problem:
        return SignatureProof(code=signed.code, problem=checked.problem)
    said, committed = signed.statement, signed.commitment
    kid = str(header.get("kid", ""))
    return SignatureProof(
        code=signed.code,
        person=sign_in.words,
        tenant_id=sign_in.tenant_id,
        client_id=sign_in.audience,
        signed_in_at=stamp(sign_in.issued_at),
        signed_at=said.at,
        key_id=kid,
        key_seen_at=seen.get(name_of(sign_in.tenant_id, kid, signed.entra_key), ""),
        nonce=sign_in.nonce,
        committed=sign_in.nonce == committed.nonce,
        first=committed.names(said),
        signs_until=committed.until,
        checked_at="" if checked.unchecked else checked.at,
        unchecked=checked.unchecked,
    )


def _token(signed: SignedApproval) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of an ID token. Raises ValueError."""
    try:
        first, second, _ = signed.id_token.split(".")
        header, claims = (json.loads(base64.urlsafe_b64decode(f"{one}===")) for one in (first, second))
    except (ValueError, RecursionError) as error:
        raise ValueError("its ID token cannot be read") from error
    if not (isinstance(header, dict) and isinstance(claims, dict)):
        raise ValueError("its ID token cannot be read")  # noqa: TRY004 - the caller knows one error
    return header, claims
