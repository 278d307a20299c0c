"""Credentials of applications and service principals as Graph lists them: never the secret or the certificate."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1

from azure_sandbox.entra.directory import Application, ServicePrincipal
from azure_sandbox.entra.objects import PasswordCredential
from azure_sandbox.graph.moments import moment

SHOWN = 3  # characters of a secret in its hint
Document = dict[str, Any]


def passwords_shown(holder: Application | ServicePrincipal) -> list[Document]:
    """Return the secrets of an application as Graph lists them, without their text."""
    return [password(it) for it in holder.passwords]


def keys_shown(holder: Application | ServicePrincipal) -> list[Document]:
    """Return the certificates of an application as Graph lists them, without the certificate itself."""
    return [
        {
            "customKeyIdentifier": x509.load_der_x509_certificate(it.certificate).fingerprint(SHA1()).hex().upper(),  # noqa: S303  # Entra's own name of a certificate
            "displayName": it.display_name,
            "endDateTime": moment(it.end),
            "key": None,
            "keyId": it.key_id,
            "startDateTime": moment(it.start),
            "type": "AsymmetricX509Cert",
            "usage": "Verify",
        }
        for it in holder.keys
    ]


def password(it: PasswordCredential, text: str | None = None) -> Document:
    """Return a secret as Graph shows it: with its text only in the answer that adds it."""
    return {
        "customKeyIdentifier": None,
        "displayName": it.display_name,
        "endDateTime": moment(it.end),
        "hint": it.secret[:SHOWN],
        "keyId": it.key_id,
        "secretText": text,
        "startDateTime": moment(it.start),
    }
