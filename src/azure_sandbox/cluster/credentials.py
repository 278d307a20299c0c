"""The static credentials of a cluster: one generation of keys, which a rotation replaces as a whole."""

from __future__ import annotations

import datetime as dt
import hmac
import secrets
import string
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from azure_sandbox.cluster.certificates import KeyPair, client_certificate, new_authority, server_certificate

MASTERS = "system:masters"
TOKEN_LENGTH = 128
ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The CA and all keys that depend on it. `token` is the static token of the admin kubeconfig."""

    authority: KeyPair
    server: KeyPair
    admin: KeyPair
    token: str
    service_account_key: ec.EllipticCurvePrivateKey

    def is_token(self, token: str) -> bool:
        """Return whether a token is the static token."""
        return hmac.compare_digest(self.token.encode(), token.encode())

    def sign(self, namespace: str, name: str, uid: str, now: dt.datetime, seconds: int) -> str:
        """Return a bound service account token that is valid for `seconds`."""
        claims = {
            "iss": ISSUER,
            "aud": [ISSUER],
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + seconds,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        }
        return jwt.encode(claims, self.service_account_key, algorithm="ES256")

    def service_account(self, token: str, now: dt.datetime) -> dict[str, Any] | None:
        """Return the claims of a service account token. None: another generation signed it, or it has expired."""
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.service_account_key.public_key(),
                algorithms=["ES256"],
                audience=ISSUER,
                issuer=ISSUER,
                options=options,
            )
        except (jwt.InvalidTokenError, RecursionError):
            return None
        return claims if claims["exp"] > now.timestamp() else None


def new_generation(fqdn: str, now: dt.datetime) -> Generation:
    """Create the keys of a cluster as AKS does: CN=ca, O=system:masters/CN=masterclient, token of 128 characters."""
    authority = new_authority(now)
    inside = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    return Generation(
        authority=authority,
        server=server_certificate(authority, (fqdn, *inside)),
        admin=client_certificate(authority, MASTERS, "masterclient", authority.certificate.not_valid_before_utc),
        token="".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(TOKEN_LENGTH)),
        service_account_key=ec.generate_private_key(ec.SECP256R1()),
    )
