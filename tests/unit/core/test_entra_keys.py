"""What names a key of Microsoft Entra ID."""

from __future__ import annotations

import pytest

from aks_entra.core.entra_keys import thumbprint

MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst"
    "n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn"
    "1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)


def test_a_thumbprint_is_that_of_the_standard_and_of_the_key_alone() -> None:
    """RFC 7638, section 3.1, has this key and NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs."""
    wanted = "3736cbb1787cb8309c77ee8c3705c5e16ffb9e859715901f1e4c59b11182f57b"
    for more in ("", ', "kid": "2011-04-29", "x5c": ["a"]'):
        assert thumbprint(f'{{"kty": "RSA", "e": "AQAB", "n": "{MODULUS}"{more}}}') == wanted


@pytest.mark.parametrize("key", ["", "[]", "{}", "7", '{"kty": "RSA", "n": "a"}', "[" * 100_000])
def test_what_is_no_rsa_key_has_no_thumbprint(key: str) -> None:
    assert thumbprint(key) == ""
