"""Salted hashes of static tokens, by which a leaked copy is recognised. Nobody gets from a hash back to the token.

A token of AKS is 128 random hexadecimal digits, so no guess finds it, and a hash needs no slow function. A token that
is short enough to be guessed gets no hash. Sources: RFC 2104 (HMAC); NIST SP 800-63B, "look-up secrets" (with 112 bits
of entropy or more, no slow hash is needed).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

SHORTEST: Final = 32
"""Characters of a token that gets a hash: 128 bits of hexadecimal digits."""


def salted(token: str) -> tuple[str, str]:
    """Return a new salt (16 bytes, hex) and the HMAC-SHA-256 of the token under it (hex); empty for a short token."""
    if len(token) < SHORTEST:
        return "", ""
    salt = secrets.token_bytes(16)
    return salt.hex(), _hash(token, salt)


def matches(token: str, salt: str, token_hash: str) -> bool:
    """Whether a hash is the token's. False if the salt is not hexadecimal."""
    try:
        return hmac.compare_digest(_hash(token, bytes.fromhex(salt)), token_hash)
    except (TypeError, ValueError):
        return False


def _hash(token: str, salt: bytes) -> str:
    return hmac.new(salt, token.encode(), hashlib.sha256).hexdigest()
