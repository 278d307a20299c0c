"""The data plane of Azure Key Vault: it shows public keys and signs digests. No private key leaves it.

Sources: the REST reference of keys (Get Key, sign), "Azure Key Vault REST API Error Codes", and the api-versions of
azure-keyvault-keys 4.12.0b2 and of az 2.91.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm

from azure_sandbox.arm.state import State
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import VAULT_AUDIENCES, Claims, InvalidToken, Tokens
from azure_sandbox.front.http import Problem, Reply, Request, Router
from azure_sandbox.vaults.world import KeyVaultModel, VaultKeyModel

DOMAIN: Final = ".vault.azure.net"
VERSIONS: Final = frozenset(
    {"7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6-preview.2", "7.6", "2025-07-01", "2026-01-01-preview"}
)
_ACTION: Final = "Microsoft.KeyVault/vaults/keys/"
_CURVES: Final[dict[str, tuple[ec.EllipticCurve, str, HashAlgorithm]]] = {
    "P-256": (ec.SECP256R1(), "ES256", SHA256()),
    "P-384": (ec.SECP384R1(), "ES384", SHA384()),
}


class KeyVaults:
    """The vaults of one sandbox. `subscriptions` maps the names of a world's subscriptions to their ids."""

    def __init__(
        self,
        directory: Directory,
        tokens: Tokens,
        state: State,
        vaults: Sequence[KeyVaultModel],
        subscriptions: Mapping[str, str],
    ) -> None:
        self.router = Router("Key Vault")
        self.described = tuple(vaults)
        self._directory = directory
        self._tokens = tokens
        self._state = state
        self._vaults = {f"{it.name.lower()}{DOMAIN}": it for it in vaults}
        first = next(iter(subscriptions.values()), "")
        self._subscriptions = {
            it.name: subscriptions.get(it.subscription.lower(), it.subscription) or first for it in vaults
        }
        for tail in ("", "/{version}"):
            self.router.add("GET", "/keys/{name}" + tail, self._get)
            self.router.add("POST", "/keys/{name}" + tail + "/sign", self._sign)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the host names of the vaults."""
        return tuple(self._vaults)

    async def _get(self, request: Request, name: str, version: str = "") -> Reply:
        key = self._allowed(request, name, version, "read")
        numbers = private_key(self._vaults[request.host].name, key).public_key().public_numbers()
        size = (_CURVES[key.curve][0].key_size + 7) // 8
        shown = {
            "kid": self._id(request, key),
            "kty": key.kind,
            "key_ops": ["sign", "verify"],
            "crv": key.curve,
            "x": _encoded(numbers.x.to_bytes(size, "big")),
            "y": _encoded(numbers.y.to_bytes(size, "big")),
        }
        attributes = {"enabled": key.enabled, "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
        return Reply(200, {"key": shown, "attributes": attributes, "tags": {}})

    async def _sign(self, request: Request, name: str, version: str = "") -> Reply:
        key = self._allowed(request, name, version, "sign/action")
        if not key.enabled:
            raise _problem(403, "Forbidden", "Operation sign is not allowed on a disabled key.", inner="KeyDisabled")
        asked = request.json()
        curve, algorithm, hashed = _CURVES[key.curve]
        if asked.get("alg") != algorithm:
            kid = self._id(request, key)
            text = f"Key and signing algorithm are incompatible. Key {kid} is of type '{key.kind}' ({key.curve})."
            raise _problem(400, "BadParameter", text)
        try:
            digest = _decoded(str(asked.get("value") or ""))
        except (Error, ValueError):
            digest = b""
        if len(digest) != hashed.digest_size:
            text = f"Property value is invalid: a digest for {algorithm} has {hashed.digest_size} bytes."
            raise _problem(400, "BadParameter", text)
        private = private_key(self._vaults[request.host].name, key)
        size = (curve.key_size + 7) // 8
        pair = decode_dss_signature(private.sign(digest, ec.ECDSA(Prehashed(hashed))))
        value = b"".join(number.to_bytes(size, "big") for number in pair)
        return Reply(200, {"kid": self._id(request, key), "value": _encoded(value)})

    def _allowed(self, request: Request, name: str, version: str, act: str) -> VaultKeyModel:
        """Return the key of a request. Raises the Problem that Azure answers, in its order."""
        claims = self._claims(request)
        if request.query.get("api-version") not in VERSIONS:
            raise _problem(400, "BadParameter", "Unsupported or missing api-version.")
        vault = self._vaults[request.host]
        scope = (
            f"/subscriptions/{self._subscriptions[vault.name]}/resourceGroups/{vault.resource_group}"
            f"/providers/Microsoft.KeyVault/vaults/{vault.name}/keys/{name}"
        )
        groups = self._directory.groups_of(claims.oid) if claims.overage else claims.groups or ()
        action = f"{_ACTION}{act}"
        if self._state.access.data_role(frozenset({claims.oid, *groups}), action, scope) is None:
            text = (
                "Caller is not authorized to perform action on resource.\r\n"
                "If role assignments, deny assignments or role definitions were changed recently, please observe "
                "propagation time.\r\n"
                f"Caller: appid={claims.appid};oid={claims.oid};iss=https://sts.windows.net/{claims.tid}/\r\n"
                f"Action: '{action}'\r\nResource: '{scope.lower()}'\r\nAssignment: (not found)\r\n"
                f"DenyAssignmentId: null\r\nDecisionReason: null \r\nVault: {vault.name}\r\n"
            )
            raise _problem(403, "Forbidden", text, inner="ForbiddenByRbac")
        key = next((it for it in vault.keys if it.name.lower() == name.lower()), None)
        if key is None or version not in {"", _version(vault.name, key)}:
            text = f"A key with (name/id) {name}{f'/{version}' if version else ''} was not found in this key vault."
            raise _problem(404, "KeyNotFound", text)
        return key

    def _claims(self, request: Request) -> Claims:
        tenant = self._directory.tenant.id
        challenge = (
            f'Bearer authorization="https://login.microsoftonline.com/{tenant}", resource="https://vault.azure.net"'
        )
        authorization = request.headers.get("authorization")
        if not authorization:
            text = "AKV10000: Request is missing a Bearer or PoP token."
            raise _problem(401, "Unauthorized", text, headers={"www-authenticate": challenge})
        try:
            return self._tokens.verify(authorization, VAULT_AUDIENCES)
        except InvalidToken as error:
            text = "AKV10022: Invalid audience, issuer or signature of the token."
            raise _problem(401, "Unauthorized", text, headers={"www-authenticate": challenge}) from error

    def _id(self, request: Request, key: VaultKeyModel) -> str:
        return f"https://{request.host}/keys/{key.name}/{_version(self._vaults[request.host].name, key)}"


def private_key(vault: str, key: VaultKeyModel) -> ec.EllipticCurvePrivateKey:
    """Return the private key of a world's key. It is made from the names, and protects nothing."""
    seed = hashlib.sha512(f"{vault}/{key.name}/{key.curve}".lower().encode()).digest()
    return ec.derive_private_key(int.from_bytes(seed[:31], "big") + 1, _CURVES[key.curve][0])


def _version(vault: str, key: VaultKeyModel) -> str:
    return hashlib.sha256(f"{vault}/{key.name}".lower().encode()).hexdigest()[:32]


def _encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _problem(
    status: int, code: str, message: str, *, inner: str = "", headers: Mapping[str, str] | None = None
) -> Problem:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return Problem(status, {"error": error}, headers)
