"""The `Approvals` port: a person's sign-in as the signature of an approval, after OpenPubkey, and its check.

The key that signs is made for one sign-in, and never leaves the memory of the process. The check compares with the keys
that Entra publishes, because a key that comes with a signature proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import jwt
from azure.core import AsyncPipelineClient
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.rest import HttpRequest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from aks_entra.adapters.http.failures import azure
from aks_entra.adapters.http.network import OwnHostOnly, Web
from aks_entra.adapters.identity.browser_sign_in import LOGIN, id_token
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
    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.core.planning.signed_approval import Statement
    from aks_entra.ports.approvals import Browser
    from aks_entra.ports.directory import Directory

_UNCHECKED: Final[Any] = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""What the core compares by itself, with its own clock and words."""


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

    def __init__(self, web: Web, directory: Directory) -> None:
        self._web = web
        self._directory = directory
        self._keys: dict[str, dict[str, dict[str, Any]]] = {}  # by tenant and key id

    async def sign_in(
        self, first: Statement, approvers: Approvers, browser: Browser, *, until: datetime | None = None
    ) -> OwnKey:
        """Let a person sign in, and return the key that signs. Raises Refused if Entra refuses it, or nobody does."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = canonical(ECAlgorithm.to_jwk(key.public_key(), as_dict=True))
        application = f"{approvers.tenant_id}/{approvers.client_id}"
        committed = commitment(first, public, application=application, until=until)
        token = await in_own_thread(lambda: id_token(approvers, committed.nonce, browser))
        published = (await self._published(approvers.tenant_id)).get(_key_id(token), {})
        return OwnKey(key, committed, token, canonical(published))

    async def read(self, signed: Iterable[SignedApproval], approvers: Approvers) -> tuple[Signature, ...]:
        """Check signed approvals. Raises Refused or TryLater if Entra's keys cannot be read."""
        published = await self._published(approvers.tenant_id)
        return tuple([await self._read(one, approvers, published) for one in signed])

    async def _read(
        self, signed: SignedApproval, approvers: Approvers, published: dict[str, dict[str, Any]]
    ) -> Signature:
        try:
            sign_in = proven(signed, published)
        except Refused as refused:
            return Signature(signed=signed, problem=refused.message)
        return Signature(signed=signed, sign_in=sign_in, member=await self._member(sign_in, approvers))

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

    async def _published(self, tenant: str) -> dict[str, dict[str, Any]]:
        """Return the keys with which Entra signs tokens of a tenant now, by key id. They are read once."""
        if tenant not in self._keys:
            policies = [OwnHostOnly(LOGIN), AsyncRetryPolicy()]
            client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(
                f"https://{LOGIN}", transport=self._web.transport(), policies=policies
            )
            doing = "read the keys with which Microsoft Entra ID signs"
            with azure(doing, host=LOGIN):
                response = await client.send_request(
                    HttpRequest("GET", f"https://{LOGIN}/{tenant}/discovery/v2.0/keys")
                )
                response.raise_for_status()
                await response.read()
            try:
                self._keys[tenant] = {str(one["kid"]): one for one in response.json()["keys"]}
            except (ValueError, KeyError, TypeError) as error:
                raise Refused(f"could not {doing}: the answer is no list of keys", code="MalformedKeys") from error
        return self._keys[tenant]


def proven(signed: SignedApproval, published: dict[str, dict[str, Any]]) -> SignIn:
    """Return the claims of a signed approval. Raises Refused if one of its two signatures does not hold."""
    try:
        entra = published.get(_key_id(signed.id_token))
        if entra is None or json.loads(signed.entra_key) != entra:
            raise Refused("Microsoft Entra ID does not publish the key that signed its ID token")
        claims = jwt.decode(signed.id_token, jwt.PyJWK(entra), algorithms=["RS256"], options=_UNCHECKED)
        own = jwt.PyJWK.from_json(signed.commitment.key)
        said = jwt.api_jws.decode(signed.signature, own, algorithms=["ES256"])
        sign_in = sign_in_of(claims)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:  # PyJWT expects objects
        raise Refused(f"a signature does not hold: {error}") from error
    if said != signed.statement.text.encode():
        raise Refused("a signature does not hold: another text was signed")
    return sign_in


def _key_id(token: str) -> str:
    """Return the id of the key that signed a token, as its header says it. Raises PyJWTError."""
    return str(jwt.get_unverified_header(token).get("kid", ""))
