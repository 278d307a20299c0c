"""Access tokens in the v1.0 format that Azure Resource Manager, Microsoft Graph and AKS accept: RS256, Entra's claims.

A resource application of the world that asks for v2.0 tokens gets those. Groups are part of the token: a later change
shows in the next token only. The signing key lives as long as the process (with `--state`, as the folder) and never
leaves it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from azure_sandbox.entra import roles
from azure_sandbox.entra.directory import Directory, ServicePrincipal, User

ARM_AUDIENCES = frozenset(
    f"https://management.{domain}{slash}" for domain in ("azure.com", "core.windows.net") for slash in ("", "/")
)
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
GRAPH_AUDIENCES = frozenset({"https://graph.microsoft.com", "https://graph.microsoft.com/", GRAPH_APP_ID})
AKS_SERVER_APP_ID = "6dae42f8-4368-4678-94ff-3960e28e3630"
AKS_AUDIENCES = frozenset({AKS_SERVER_APP_ID})
LOG_ANALYTICS_APP_ID = "ca7f3f0b-7d91-482c-8e09-c5d840d0eac5"
LOG_ANALYTICS_AUDIENCES = frozenset(f"https://api.loganalytics.io{slash}" for slash in ("", "/"))
VAULT_APP_ID = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
VAULT_AUDIENCES = frozenset(f"https://vault.azure.net{slash}" for slash in ("", "/"))
MOST_GROUPS = 200  # with more groups, Entra sends a link to Graph instead
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
AZURE_CLI_SCOPES = frozenset(  # preauthorized by Microsoft; they do not cover PIM and Conditional Access
    {
        "Application.ReadWrite.All",
        "AppRoleAssignment.ReadWrite.All",
        "AuditLog.Read.All",
        "DelegatedPermissionGrant.ReadWrite.All",
        "Directory.AccessAsUser.All",
        "Group.ReadWrite.All",
        "User.ReadWrite.All",
    }
)
REMEMBERED = 1000  # verified tokens that are cached
LIFETIME = timedelta(seconds=3900)  # documented: 60 to 90 minutes


class InvalidToken(Exception):
    """A bearer token that is not valid. `expired`: it was valid earlier."""

    def __init__(self, reason: str, *, expired: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.expired = expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims of a verified token. `groups` is None if the token lists none: no groups, or too many (`overage`)."""

    oid: str
    tid: str
    aud: str
    appid: str
    idtyp: str  # "app" or "user"
    exp: int
    iat: int
    upn: str | None = None
    groups: tuple[str, ...] | None = None
    overage: bool = False
    roles: tuple[str, ...] = ()  # Graph application permissions
    scp: str = ""
    wids: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()


@cache
def _process_key() -> rsa.RSAPrivateKey:
    """Return the RSA key with which every new tenant of this process signs, each under its own key ID.

    It is shared because generating an RSA key takes longer than the rest of a sandbox's start.
    """
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Tokens:
    """Issues and verifies the tokens of one tenant."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self._key = _process_key()
        self.key_id = uuid.uuid4().hex
        self._known: dict[tuple[str, frozenset[str], str], dict[str, Any]] = {}

    def signing_key(self) -> tuple[bytes, str]:
        """Return the private key (PEM) and its ID, for a sandbox that keeps its state."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), self.key_id

    def use(self, key: bytes, key_id: str) -> None:
        """Sign with the key of an earlier run."""
        loaded = load_pem_private_key(key, None)
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise TypeError("the signing key is not an RSA key")
        self._key, self.key_id = loaded, key_id

    def keys(self) -> dict[str, Any]:
        """Return the JSON Web Key Set that verifies these tokens."""
        key: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        entry = {name: value for name, value in key.items() if name != "key_ops"}
        return {"keys": [{**entry, "use": "sig", "kid": self.key_id, "x5t": self.key_id}]}

    def issue(
        self,
        principal: User | ServicePrincipal,
        *,
        audience: str,
        app_id: str | None = None,
        lifetime: timedelta = LIFETIME,
        scopes: frozenset[str] | None = None,
        amr: tuple[str, ...] = ("pwd",),
        method: str = "1",
        more: Mapping[str, Any] | None = None,
    ) -> str:
        """Return an access token for an audience.

        Args:
            principal: The user or service principal that the token is about.
            audience: The resource that accepts the token.
            app_id: The client that a user signs in with.
            lifetime: How long the token is valid.
            scopes: Delegated permissions of a user. Default: what the resource grants Microsoft's own clients.
            amr: How the user authenticated.
            method: How the client authenticated: `1` a secret, `2` a key.
            more: Further claims.
        """
        now = self.directory.clock.now()
        tenant = self.directory.tenant.id
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant}/",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "idp": f"https://sts.windows.net/{tenant}/",
            "oid": principal.id,
            "sub": principal.id,
            "tid": tenant,
            "uti": uuid.uuid4().hex[:22],
            "ver": "1.0",
        }
        match principal:
            case ServicePrincipal():
                claims |= {"appid": principal.app_id, "appidacr": method, "idtyp": "app"}
                claims["wids"] = sorted({*principal.roles, "0997a1d0-0d1d-4acb-b408-d5ca73121e90"})
                if audience in GRAPH_AUDIENCES:
                    claims["roles"] = sorted(principal.graph_permissions)
            case User():
                own = AZURE_CLI_SCOPES if audience in GRAPH_AUDIENCES else frozenset({"user_impersonation"})
                claims |= {"appid": app_id or AZURE_CLI, "appidacr": "0", "idtyp": "user", "amr": list(amr)}
                claims |= {"scp": " ".join(sorted(own if scopes is None else scopes))}
                claims |= {"upn": principal.upn, "unique_name": principal.upn, "name": principal.display_name}
                claims |= {"ipaddr": principal.ip, "wids": sorted({*principal.roles, roles.MEMBER})}
        if audience not in GRAPH_AUDIENCES:
            kind = "users" if isinstance(principal, User) else "servicePrincipals"
            claims |= _groups(sorted(self.directory.groups_of(principal.id)), tenant, f"{kind}/{principal.id}")
        resource = self.directory.application(audience.removeprefix("api://"))
        if resource is not None and resource.token_version > 1:
            claims = _second_version(claims, resource.app_id)
        return self.sign(claims | dict(more or {}))

    def groups_claim(self, user: User) -> dict[str, Any]:
        """Return the claim that names a user's security groups, or the link to Graph if they are too many."""
        return _groups(sorted(self.directory.groups_of(user.id)), self.directory.tenant.id, f"users/{user.id}")

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Sign claims with the tenant's key."""
        header = {"kid": self.key_id, "x5t": self.key_id}
        return jwt.encode(dict(claims), self._key, algorithm="RS256", headers=header)

    def expired(self, token: str) -> str:
        """Return a token of this tenant as an expired one. A token of another issuer is returned unchanged."""
        try:
            claims = self._decoded(token, {"verify_aud": False})
        except jwt.PyJWTError:
            return token
        return self.sign({**claims, "exp": int(self.directory.clock.now().timestamp()) - 1})

    def verify(self, authorization: str | None, audiences: frozenset[str]) -> Claims:
        """Verify an Authorization header. Raises InvalidToken unless it has a bearer token of ours for an audience."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise InvalidToken("the Authorization header has no bearer token")
        return self.read(token.strip(), audiences)

    def read(self, token: str, audiences: frozenset[str]) -> Claims:
        """Verify a token, as `verify` does with a header."""
        claims = self._proven(token, audiences)
        if self.directory.clock.now().timestamp() >= claims["exp"]:
            raise InvalidToken("the token has expired", expired=True)
        groups = claims.get("groups")
        return Claims(
            oid=claims["oid"],
            tid=claims["tid"],
            aud=claims["aud"],
            appid=claims.get("appid", ""),
            idtyp=claims.get("idtyp", "user"),
            exp=claims["exp"],
            iat=claims["iat"],
            upn=claims.get("upn"),
            groups=None if groups is None else tuple(groups),
            overage="groups" in claims.get("_claim_names", {}),
            roles=tuple(claims.get("roles", ())),
            scp=claims.get("scp", ""),
            wids=tuple(claims.get("wids", ())),
            amr=tuple(claims.get("amr", ())),
        )

    def _proven(self, token: str, audiences: frozenset[str]) -> dict[str, Any]:
        """Return the claims of a token whose signature, issuer and audience are right, even if it has expired.

        Verified tokens are cached: clients send the same token a thousand times.
        """
        known = self._known.get((token, audiences, self.key_id))
        if known is not None:
            return known
        # The caller compares times with the sandbox's clock; the library would use the machine's.
        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp", "oid", "tid"]}
        try:
            issuer = f"https://sts.windows.net/{self.directory.tenant.id}/"
            claims = self._decoded(token, options, audience=audiences, issuer=issuer)
        except jwt.PyJWTError as error:
            raise InvalidToken(str(error)) from error
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[token, audiences, self.key_id] = claims
        return claims

    def _decoded(self, token: str, options: Any, **expected: Any) -> dict[str, Any]:
        """Return the claims of a token that was signed under this tenant's key ID. Raises PyJWTError."""
        try:
            header = jwt.get_unverified_header(token)
        except RecursionError as error:
            raise jwt.DecodeError("Invalid header: it nests too deeply") from error
        if header.get("kid") != self.key_id:
            raise jwt.InvalidSignatureError("Signature verification failed")
        claims: dict[str, Any] = jwt.decode(
            token, self._key.public_key(), algorithms=["RS256"], options=options, **expected
        )
        return claims


def _second_version(claims: dict[str, Any], app_id: str) -> dict[str, Any]:
    """Return the claims under their v2.0 names (access-token claims reference)."""
    renamed = {"appid": "azp", "appidacr": "azpacr", "upn": "preferred_username"}
    dropped = {"unique_name", "ipaddr", "amr", "idp"}
    second = {renamed.get(name, name): value for name, value in claims.items() if name not in dropped}
    return second | {"ver": "2.0", "aud": app_id, "iss": f"https://login.microsoftonline.com/{claims['tid']}/v2.0"}


def _groups(ids: list[str], tenant: str, path: str) -> dict[str, Any]:
    if not ids:
        return {}
    if len(ids) <= MOST_GROUPS:
        return {"groups": ids}
    endpoint = f"https://graph.windows.net/{tenant}/{path}/getMemberObjects"
    return {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": endpoint}}}
