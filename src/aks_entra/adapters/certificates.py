"""What X.509 certificates say: who signed them, and the key identifiers by which a CA is recognised."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256

from aks_entra.core.cluster import CertificateAuthority
from aks_entra.core.durations import stamp


def described(authority: x509.Certificate) -> CertificateAuthority:
    """Return the SHA-256 of a CA certificate's DER (hex) and its validity."""
    return CertificateAuthority(
        fingerprint=authority.fingerprint(SHA256()).hex(),
        not_before=stamp(authority.not_valid_before_utc),
        not_after=stamp(authority.not_valid_after_utc),
    )


def key_identifier(authority: x509.Certificate) -> str:
    """Return the subject key identifier (hex), which the certificates of this CA repeat. Empty without one."""
    try:
        return authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    except (x509.ExtensionNotFound, ValueError):
        return ""


def issuer_key(certificate: x509.Certificate) -> str:
    """Return the key identifier (hex) of the CA that issued a certificate. Empty without one."""
    try:
        key = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        return ""
    return key.hex() if key else ""


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether a CA signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True
