"""Recognises a credential by what our records kept: the certificate of the CA that signed it, or its salted hash.

A key identifier in a certificate is only a claim, because anybody can write one; a signature is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from cryptography import x509

from aks_entra.adapters import token_hashes
from aks_entra.adapters.certificates import described, key_identifier, signed_by
from aks_entra.core.cluster import CertificateAuthority
from aks_entra.core.evidence.found_credentials import FoundCredential
from aks_entra.core.evidence.rotation_debt import Record, Sighting


class Recognition:
    """What the records of all clusters say about CAs and static tokens. Each certificate is read once."""

    def __init__(self, records: Iterable[Record]) -> None:
        records = tuple(records)
        self._tokens = tuple(one for one in records if one.sighting is Sighting.TOKEN)
        self._seen = {(one.cluster, one.ca): one for one in reversed(records) if one.sighting is Sighting.AUTHORITY}

    def certificate(self, found: FoundCredential, certificate: x509.Certificate) -> FoundCredential:
        """Add the record of the CA that signed a client certificate, or else of the CA that it only names."""
        for authority, record in self._authorities:
            if signed_by(certificate, authority):
                own = key_identifier(authority)
                return replace(found, authority=described(authority), authority_key=own, signed=True, recognised=record)
        named = (record for authority, record in self._authorities if key_identifier(authority) == found.issuer_key)
        return replace(found, named=next(named, None)) if found.issuer_key and not found.signed else found

    def token(self, found: FoundCredential, token: str) -> FoundCredential:
        """Add the record whose hash is the token's, and the CA of that record."""
        for record in self._tokens:
            if token_hashes.matches(token, record.salt, record.token_hash):
                came_with = (one for one, seen in self._authorities if seen.ca == record.ca)
                certificate = next(came_with, None)
                if certificate is None:
                    authority = CertificateAuthority(fingerprint=record.ca or "", not_before="")
                    return replace(found, authority=authority, authority_key="", recognised=record)
                own = key_identifier(certificate)
                return replace(found, authority=described(certificate), authority_key=own, recognised=record)
        return found

    @cached_property
    def _authorities(self) -> tuple[tuple[x509.Certificate, Record], ...]:
        return tuple((one, record) for record in self._seen.values() for one in _certificates(record))


def _certificates(record: Record) -> Iterator[x509.Certificate]:
    """Yield the CA certificate that the record names by its fingerprint. Nothing if the record has another one."""
    try:
        found = x509.load_pem_x509_certificates(record.certificate.encode("ascii"))
    except ValueError:
        return
    yield from (one for one in found if described(one).fingerprint == record.ca)
