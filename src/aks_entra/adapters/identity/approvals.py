"""The `Approvals` port: a person's sign-in as the signature of an approval, after OpenPubkey, and its check.

The key that signs is made for one sign-in, and never leaves the memory of the process. The check compares with keys
that are trusted (`entra_keys`), because a key that comes with a signature proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from aks_entra.adapters.identity.browser_sign_in import id_token
from aks_entra.adapters.identity.person import in_own_thread
from aks_entra.core.durations import moment
from aks_entra.core.planning.signed_approval import (
    Commitment,
    Signature,
    SignedApproval,
    SignIn,
    commitment,
    member_by_token,
    sign_in_of,
)
from aks_entra.core.storable import canonical
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.adapters.identity.entra_keys import Keys, TrustedKeys
    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.core.planning.signed_approval import Statement
    from aks_entra.ports.approvals import Browser
    from aks_entra.ports.directory import Directory

_UNCHECKED: Final[Any] = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""What the core compares by itself, with its own clock and words."""
_MALFORMED: Final = (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError)
"""What PyJWT raises for a document that is malformed. It expects objects, and meets what anybody may have written."""


class OwnKey:
    """A key that only this process has, and the ID token that commits to it."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, committed: Commitment, id_token: str, entra_key: str) -> None:
        self._key = key
        self._committed = committed
        self._id_token = id_token
        self._entra_key = entra_key

    @property
    def until(self) -> datetime:
        """When a signature counts last."""
        return moment(self._committed.until)

    def sign(self, statement: Statement) -> SignedApproval:
        """Sign a statement."""
        return SignedApproval(
            statement=statement,
            commitment=self._committed,
            id_token=self._id_token,
            signature=jwt.api_jws.encode(statement.text.encode(), self._key, algorithm="ES256"),
            entra_key=self._entra_key,
        )


class EntraApprovals:
    """Approvals by people of one tenant or of several."""

    def __init__(self, keys: Keys, directory: Directory) -> None:
        self._keys = keys
        self._directory = directory

    async def sign_in(
        self, first: Statement, approvers: Approvers, browser: Browser, *, until: datetime | None = None
    ) -> OwnKey:
        """Let a person sign in, and return the key that signs. Raises Refused if Entra refuses it, or nobody does."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = canonical(ECAlgorithm.to_jwk(key.public_key(), as_dict=True))
        application = f"{approvers.tenant_id}/{approvers.client_id}"
        committed = commitment(first, public, application=application, until=until)
        await self._keys.of(approvers.tenant_id)  # nobody signs in for nothing: the keys can be read
        token = await in_own_thread(lambda: id_token(approvers, committed.nonce, browser))
        trusted = await self._keys.of(approvers.tenant_id, _known_id(token))
        return OwnKey(key, committed, token, canonical(trusted.keys.get(_key_id(token), {})))

    async def read(self, signed: Iterable[SignedApproval], approvers: Approvers) -> tuple[Signature, ...]:
        """Check signed approvals. Raises Refused or TryLater if Entra's keys cannot be read."""
        documents = tuple(signed)
        ids = [key_id for one in documents for key_id in _known_id(one.id_token)]
        trusted = await self._keys.of(approvers.tenant_id, ids)
        return tuple([await self._read(one, approvers, trusted) for one in documents])

    async def _read(self, signed: SignedApproval, approvers: Approvers, trusted: TrustedKeys) -> Signature:
        try:
            sign_in = proven(signed, trusted)
        except Refused as refused:
            unknown = not trusted.keys.keys() >= set(_known_id(signed.id_token))
            return Signature(signed=signed, problem=refused.message, unknown_key=unknown)
        return Signature(
            signed=signed,
            sign_in=sign_in,
            member=await self._member(sign_in, approvers),
            published=trusted.published.get(_key_id(signed.id_token)),
        )

    async def _member(self, sign_in: SignIn, approvers: Approvers) -> bool | None:
        """Whether the person is in a group of the approvers: by the token, or by Graph if it has too many groups."""
        member = member_by_token(sign_in, approvers)
        if member is not None or not sign_in.object_id:
            return member
        try:
            found = [await self._directory.is_member(group, sign_in.object_id) for group in approvers.groups]
        except Refused:  # no such group, or no credential for Graph
            return None
        return True if True in found else None if None in found else False


def proven(signed: SignedApproval, trusted: TrustedKeys) -> SignIn:
    """Return the claims of a signed approval. Raises Refused if one of its two signatures does not hold."""
    try:
        entra = trusted.keys.get(_key_id(signed.id_token))
        if entra is None or _public(json.loads(signed.entra_key)) != _public(entra):
            raise Refused(trusted.refusal)
        claims = jwt.decode(signed.id_token, jwt.PyJWK(entra), algorithms=["RS256"], options=_UNCHECKED)
        own = jwt.PyJWK.from_json(signed.commitment.key)
        said = jwt.api_jws.decode(signed.signature, own, algorithms=["ES256"])
    except jwt.PyJWTError as error:
        raise Refused(f"a signature does not hold: {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:  # PyJWT expects JSON objects
        raise Refused("a signature does not hold: a key or a token of it is damaged") from error
    if said != signed.statement.text.encode():
        raise Refused("a signature does not hold: another text was signed")
    try:
        return sign_in_of(claims)
    except ValueError as error:
        raise Refused(f"its ID token does not say what is needed: {error}") from error


def _public(key: dict[str, Any]) -> tuple[object, ...]:
    """Return what makes an RSA key this key. Its certificate and issuer differ between Entra's endpoints and days."""
    return tuple(key.get(name) for name in ("kid", "kty", "n", "e"))


def _key_id(token: str) -> str:
    """Return the id of the key that signed a token, as its header says it. Raises PyJWTError."""
    return str(jwt.get_unverified_header(token).get("kid", ""))


def _known_id(token: str) -> tuple[str, ...]:
    """Return the id of the key that signed a token. Empty: its header cannot be read, and no key will fit."""
    try:
        return (_key_id(token),)
    except _MALFORMED:
        return ()
