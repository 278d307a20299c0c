"""Certificates and keys of the sandbox as text, for `--state` only."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from azure_sandbox.cluster.certificates import KeyPair
from azure_sandbox.cluster.credentials import Generation

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _key(text: str) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(text.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key is not an EC key")
    return key


def write_pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> list[str]:
    """Return a certificate and its key as PEM texts."""
    return [certificate.public_bytes(Encoding.PEM).decode(), _key_text(key)]


def read_pair(texts: list[str]) -> Pair:
    """Read the texts of `write_pair`."""
    return x509.load_pem_x509_certificate(texts[0].encode()), _key(texts[1])


def write_generation(it: Generation) -> dict[str, Any]:
    """Return a cluster's generation of keys as JSON."""
    return {
        "authority": write_pair(it.authority.certificate, it.authority.key),
        "server": write_pair(it.server.certificate, it.server.key),
        "admin": write_pair(it.admin.certificate, it.admin.key),
        "token": it.token,
        "serviceAccounts": _key_text(it.service_account_key),
    }


def read_generation(kept: dict[str, Any]) -> Generation:
    """Read the JSON of `write_generation`."""
    pairs = {
        name: KeyPair(certificate=it[0], key=it[1])
        for name in ("authority", "server", "admin")
        for it in [read_pair(kept[name])]
    }
    return Generation(
        authority=pairs["authority"],
        server=pairs["server"],
        admin=pairs["admin"],
        token=kept["token"],
        service_account_key=_key(kept["serviceAccounts"]),
    )
