"""A cluster's CA and the certificates that it signs. EC P-256, so that a thousand clusters start in a second."""

from __future__ import annotations

import datetime as dt
import os
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from azure_sandbox.cluster.any_certificate import take_any

BACKDATED = dt.timedelta(minutes=10)  # as AKS does, because clocks differ
AUTHORITY_LIVES = dt.timedelta(days=30 * 365)
CLIENT_LIVES = dt.timedelta(days=2 * 365)
SIGNED_LIVES = dt.timedelta(days=365)
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: an expired certificate gets a 401, not a reset


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """Return the certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """Return the private key as PEM in the traditional format, which every client reads."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _name(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    start: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def new_authority(now: dt.datetime) -> KeyPair:
    """Create a self-signed CA `CN=ca`, valid for 30 years from ten minutes before `now`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name((NameOID.COMMON_NAME, "ca"))
    start = now - BACKDATED
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, name, key, start, start + AUTHORITY_LIVES)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    return KeyPair(certificate=builder.sign(key, hashes.SHA256()), key=key)


def _issue(authority: KeyPair, builder: x509.CertificateBuilder, use: x509.ObjectIdentifier) -> x509.Certificate:
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def server_certificate(authority: KeyPair, names: Iterable[str]) -> KeyPair:
    """Issue the API server's certificate. It is valid as long as the CA, since AKS renews it by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca = authority.certificate
    start, end = ca.not_valid_before_utc, ca.not_valid_after_utc
    builder = _builder(_name((NameOID.COMMON_NAME, "apiserver")), ca.subject, key, start, end)
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = builder.add_extension(names, critical=False)
    return KeyPair(certificate=_issue(authority, builder, ExtendedKeyUsageOID.SERVER_AUTH), key=key)


def client_certificate(authority: KeyPair, organization: str, common_name: str, start: dt.datetime) -> KeyPair:
    """Issue a client certificate that is valid for two years."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name((NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name))
    builder = _builder(subject, authority.certificate.subject, key, start, start + CLIENT_LIVES)
    return KeyPair(certificate=_issue(authority, builder, ExtendedKeyUsageOID.CLIENT_AUTH), key=key)


def signed(authority: KeyPair, asked: x509.CertificateSigningRequest, start: dt.datetime) -> x509.Certificate:
    """Issue a client certificate for a signing request, valid for a year, which is Kubernetes' default."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - BACKDATED)
        .not_valid_after(start + SIGNED_LIVES)
    )
    return _issue(authority, builder, ExtendedKeyUsageOID.CLIENT_AUTH)


def subject_of(der: bytes, authority: KeyPair, now: dt.datetime) -> tuple[str, tuple[str, ...]] | None:
    """Return common name and organizations of a client certificate (DER).

    Returns None if this CA did not sign it, if it is not for clients, or if it has expired.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return None
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return None
    if not _for_clients(certificate):
        return None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    organizations = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return (str(names[0].value), tuple(str(it.value) for it in organizations)) if names else None


def _for_clients(certificate: x509.Certificate) -> bool:
    """Return whether the extended key usage, if there is one, allows client authentication."""
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:  # the extensions cannot be parsed
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in uses or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses


@contextmanager
def _readable(content: bytes) -> Iterator[str]:
    """Yield a path from which OpenSSL, which reads only files, can read a key that must not be stored on disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("server")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:  # pragma: no cover  # macOS has no memfd
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name


def server_context(server: KeyPair, authorities: Iterable[KeyPair]) -> ssl.SSLContext:
    """Return a TLS context that requests a client certificate and accepts any, so that HTTP answers 401 as in AKS.

    If the interpreter cannot accept any certificate, certificates of `authorities` are accepted, also expired ones.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _readable(server.key_pem + server.certificate_pem) as path:
        context.load_cert_chain(path)
    context.load_verify_locations(cadata="".join(it.certificate_pem.decode() for it in authorities))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= NO_CHECK_TIME
    take_any(context)
    context.num_tickets = 0  # a resumed session would survive the rotation
    context.options |= ssl.OP_NO_TICKET
    return context
