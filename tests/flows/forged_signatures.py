"""Signed approvals as an attacker makes them from genuine ones, or from nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import NAMESPACE_DNS, uuid5

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from aks_entra.core.planning.signed_approval import ISSUER, SignedApproval, commitment
from aks_entra.core.storable import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.core.planning.signed_approval import Statement

Forge: TypeAlias = "Callable[[SignedApproval, Statement, Approvers], SignedApproval]"
"""Makes a signature of a statement from a genuine signed approval of another question."""


def replayed(genuine: SignedApproval, _said: Statement, _approvers: Approvers) -> SignedApproval:
    """Leave the genuine one as it is."""
    return genuine


def altered(genuine: SignedApproval, said: Statement, _approvers: Approvers) -> SignedApproval:
    """Replace the text, and leave all signatures."""
    return replace(genuine, statement=said)


def signed_with_own_key(genuine: SignedApproval, said: Statement, _approvers: Approvers) -> SignedApproval:
    """Sign the text with a key of the attacker, and leave the person's ID token, which commits to another key."""
    key, public = _key()
    signature = jwt.api_jws.encode(said.text.encode(), key, algorithm="ES256")
    return replace(
        genuine, statement=said, commitment=replace(genuine.commitment, key=public, at=said.at), signature=signature
    )


def with_own_sign_in(genuine: SignedApproval, said: Statement, approvers: Approvers) -> SignedApproval:
    """Make up everything, with a key in the place of Entra's. `genuine` gives a name to the person."""
    return _made_up(genuine, said, approvers, "made-up", {**_entra(), "kid": "made-up"})


def with_entras_key_id(genuine: SignedApproval, said: Statement, approvers: Approvers) -> SignedApproval:
    """Make up everything, and name the key that Entra publishes."""
    kid = str(jwt.get_unverified_header(genuine.id_token)["kid"])
    return replace(_made_up(genuine, said, approvers, kid, {}), entra_key=genuine.entra_key)


FORGERIES: Final[Mapping[str, Forge]] = MappingProxyType(
    {
        "replays": replayed,
        "alters": altered,
        "signs with its own key": signed_with_own_key,
        "makes up sign-ins": with_own_sign_in,
        "makes up sign-ins with Entra's key id": with_entras_key_id,
    }
)
"""What an attacker does to signatures, each with the function that does it."""


def _made_up(
    genuine: SignedApproval, said: Statement, approvers: Approvers, kid: str, entra: dict[str, Any]
) -> SignedApproval:
    key, public = _key()
    committed = commitment(said, public, application=f"{approvers.tenant_id}/{approvers.client_id}", until=None)
    person = genuine.code
    claims = {
        "iss": ISSUER.format(tenant=approvers.tenant_id),
        "aud": approvers.client_id,
        "tid": approvers.tenant_id,
        "oid": str(uuid5(NAMESPACE_DNS, person)),
        "preferred_username": f"{person}@contoso.com",
        "nonce": committed.nonce,
        "iat": int(datetime.now(UTC).timestamp()),
        "groups": list(approvers.groups),
    }
    return SignedApproval(
        statement=said,
        commitment=committed,
        id_token=jwt.encode(claims, _rsa(), algorithm="RS256", headers={"kid": kid}),
        signature=jwt.api_jws.encode(said.text.encode(), key, algorithm="ES256"),
        entra_key=canonical(entra),
    )


def _key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, canonical(ECAlgorithm.to_jwk(key.public_key(), as_dict=True))


@cache
def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _entra() -> dict[str, Any]:
    return dict(RSAAlgorithm.to_jwk(_rsa().public_key(), as_dict=True))
