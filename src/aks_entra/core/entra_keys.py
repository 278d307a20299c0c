"""The keys with which Microsoft Entra ID signs ID tokens: where it publishes them, and what is kept of them.

Source: https://learn.microsoft.com/entra/identity-platform/signing-key-rollover.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from aks_entra.core.storable import canonical

URL: Final = "https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"
"""Where Entra publishes the keys of a tenant, as a JSON Web Key Set."""
SETTING: Final = "AKS_ENTRA_ENTRA_KEYS"
"""The environment variable that names a file with these keys."""

KEYS_LAST: Final = timedelta(days=30)
"""After which age a file of these keys may lack one: Entra replaces them every few weeks."""


def renewal(file: str, tenant: str = "TENANT") -> str:
    """Return what a person does to renew a file of keys."""
    return f"renew the file where Entra is reached: curl --fail --output {file} {URL.format(tenant=tenant)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKey:
    """One of Entra's keys, as a process read it where Entra publishes it. Nothing in it is secret.

    `kid` is its id, and `key` the JWK as JSON. `seen_at`: when it was read, ISO 8601 in UTC.
    """

    tenant_id: str
    kid: str
    url: str
    key: str
    seen_at: str

    @property
    def name(self) -> tuple[str, str, str]:
        """What names the key: tenant, key id and thumbprint."""
        return name_of(self.tenant_id, self.kid, self.key)


def name_of(tenant_id: str, kid: str, key: str) -> tuple[str, str, str]:
    """Return what names a key (JWK as JSON): tenant, key id and thumbprint."""
    return tenant_id.lower(), kid, thumbprint(key)


def thumbprint(key: str) -> str:
    """Return the SHA-256 thumbprint of an RSA key (RFC 7638): 64 hex digits. Empty: the JWK is none."""
    try:
        found = json.loads(key)
        public = {member: found[member] for member in ("e", "kty", "n")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return hashlib.sha256(canonical(public).encode()).hexdigest()
