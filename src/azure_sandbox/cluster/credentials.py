"""What opens a cluster without Entra: one generation of keys, replaced as a whole by a rotation."""

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
    """The authority and everything that it vouches for; `token` is the static one of the admin's kubeconfig."""

    authority: KeyPair
    server: KeyPair
    admin: KeyPair
    token: str
    service_account_key: ec.EllipticCurvePrivateKey

    def is_token(self, token: str) -> bool:
        """Whether this is the static token."""
        return hmac.compare_digest(self.token.encode(), token.encode())

    def sign(self, namespace: str, name: str, uid: str, now: dt.datetime, seconds: int) -> str:
        """A bound token of a service account."""
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
        """The claims of a service account's token, or None if this generation did not sign it or it expired."""
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
        except jwt.InvalidTokenError:
            return None
        return claims if claims["exp"] > now.timestamp() else None


def new_generation(fqdn: str, now: dt.datetime) -> Generation:
    """Keys for a cluster as AKS makes them: CN=ca, O=system:masters/CN=masterclient, 128 alphanumeric characters."""
    authority = new_authority(now)
    inside = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    return Generation(
        authority=authority,
        server=server_certificate(authority, (fqdn, *inside)),
        admin=client_certificate(authority, MASTERS, "masterclient", authority.certificate.not_valid_before_utc),
        token="".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(TOKEN_LENGTH)),
        service_account_key=ec.generate_private_key(ec.SECP256R1()),
    )
