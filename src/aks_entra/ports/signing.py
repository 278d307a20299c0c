"""A key that signs, and never leaves the service that holds it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from aks_entra.errors import Refused

SCHEME: Final = "azurekms://"
_FORM: Final = re.compile(
    r"azurekms://(?P<host>[a-z][0-9a-z-]{2,23}\.vault\.azure\.net)/(?:keys/)?(?P<key>[0-9A-Za-z-]{1,127})"
    r"(?:/(?P<version>[0-9a-fA-F]{32}))?/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyName:
    """The name of a key in Azure Key Vault. An empty version is the newest."""

    host: str
    key: str
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> KeyName:
        """Read `azurekms://VAULT.vault.azure.net/KEY[/VERSION]`, as sigstore writes it. Refused if it is not that."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise Refused(
                f"{text}: not the name of a key in Azure Key Vault",
                remedy=f"write {SCHEME}VAULT.vault.azure.net/KEY, or add /VERSION",
                field="--key",
            )
        return cls(host=match["host"], key=match["key"], version=match["version"] or "")


class SigningKey(Protocol):
    """A key that signs with ECDSA over P-256 and SHA-256."""

    async def public_key(self) -> bytes:
        """Return the public key (PEM)."""

    async def sign(self, message: bytes) -> bytes:
        """Return the signature of a message (DER). The digest is computed here, and nothing else is sent."""
