"""Signs with a key in Azure Key Vault. The private key never leaves the vault, and only a digest is sent there.

Sources: Azure's REST reference of keys (Get Key, sign), api-version 7.4; RFC 7518 (ES256 is r and s, 32 bytes each).
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from azure.core import AsyncPipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import policies
from azure.core.rest import AsyncHttpResponse, HttpRequest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aks_entra.adapters.http.failures import azure, translated
from aks_entra.adapters.http.network import OwnHostOnly, Web
from aks_entra.adapters.identity.credentials import Identities
from aks_entra.errors import Refused
from aks_entra.ports.signing import KeyName
from aks_entra.settings import Settings

SCOPE: Final = "https://vault.azure.net/.default"
_VERSION: Final = "7.4"
_BYTES: Final = 32
_NAMES: Final = "check the names of the vault, the key and its version"
_ROLE: Final = "assign the role *Key Vault Crypto User* on the key or its vault to the identity that runs"


@asynccontextmanager
async def open_key(settings: Settings, name: KeyName) -> AsyncIterator[VaultKey]:
    """Open a key with the identity that runs. No request is sent before the key is used."""
    web = Web(connect=settings.connect_timeout, read=settings.request_timeout)
    try:
        identities = Identities(web, None, None, egress=settings.egress_address)
        try:
            client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
                f"https://{name.host}",
                policies=[
                    policies.RequestIdPolicy(),
                    policies.UserAgentPolicy(),
                    policies.ContentDecodePolicy(),
                    OwnHostOnly(name.host),
                    policies.AsyncRetryPolicy(),
                    policies.AsyncBearerTokenCredentialPolicy(identities.runner_credential, SCOPE),
                    policies.SensitiveHeaderCleanupPolicy(),
                ],
                transport=web.transport(name.host),
            )
            yield VaultKey(name, client)
        finally:
            await identities.close()
    finally:
        await web.close()


class VaultKey:
    """The `SigningKey` port. The version that answered first is the one that signs."""

    def __init__(self, name: KeyName, client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse]) -> None:
        self._name = name
        self._client = client
        self._version = name.version

    async def public_key(self) -> bytes:
        """Return the public key (PEM).

        Raises:
            Refused: It is no EC key over P-256, is not there, or the identity may not read it.
            TryLater: The vault throttles, fails, or cannot be reached.
        """
        answer = await self._ask("GET", "", f"read the key {self._name.key} of {self._name.host}")
        try:
            key = answer["key"]
            kind, curve, self._version = str(key["kty"]), str(key.get("crv")), str(key["kid"]).rpartition("/")[2]
            if not kind.startswith("EC") or curve != "P-256":
                raise Refused(
                    f"the key {self._name.key} of {self._name.host} is {kind} {key.get('crv') or ''}".rstrip()
                    + ", and reports are signed with EC P-256",
                    remedy="`az keyvault key create --kty EC --curve P-256 --ops sign verify`",
                    field="--key",
                )
            x, y = (int.from_bytes(_decoded(key[name]), "big") for name in ("x", "y"))
            public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._strange() from error
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    async def sign(self, message: bytes) -> bytes:
        """Return the signature of a message (DER). Errors as `public_key`."""
        digest = urlsafe_b64encode(hashlib.sha256(message).digest()).rstrip(b"=").decode()
        doing = f"sign with the key {self._name.key} of {self._name.host}"
        answer = await self._ask("POST", "/sign", doing, {"alg": "ES256", "value": digest})
        try:
            signature = _decoded(answer["value"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange() from error
        if len(signature) != 2 * _BYTES:
            raise self._strange()
        pair = (int.from_bytes(half, "big") for half in (signature[:_BYTES], signature[_BYTES:]))
        return encode_dss_signature(*pair)

    async def _ask(self, method: str, act: str, doing: str, body: dict[str, str] | None = None) -> Any:
        path = "/".join(("keys", self._name.key, *filter(None, [self._version])))
        request = HttpRequest(method, f"https://{self._name.host}/{path}{act}?api-version={_VERSION}", json=body)
        with azure(doing, host=self._name.host):
            response = await self._client.send_request(request)
            await response.read()
        if response.status_code < HTTPStatus.BAD_REQUEST:
            try:
                return response.json()
            except ValueError as error:
                raise self._strange() from error
        failed = translated(HttpResponseError(response=response), doing, host=self._name.host)
        remedies: dict[int, str] = {HTTPStatus.FORBIDDEN: _ROLE, HTTPStatus.NOT_FOUND: _NAMES}
        failed.remedy = remedies.get(response.status_code, failed.remedy)
        raise failed

    def _strange(self) -> Refused:
        return Refused(
            f"{self._name.host} answered with something that is no key or signature",
            remedy="check what answers at this address, and HTTPS_PROXY",
            code="MalformedKeyVaultAnswer",
        )


def _decoded(text: str) -> bytes:
    """Return the bytes of base64url text without padding. Raises ValueError."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except Error as error:
        raise ValueError(str(error)) from error
