"""The sandbox's certificate authority and the certificates of Azure's host names. Private keys stay in memory."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=30)
SKEW = timedelta(minutes=10)


class Authority:
    """A certificate authority that lives as long as the process."""

    def __init__(self, now: datetime, name: str = "aks-entra sandbox CA (trust it nowhere else)") -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            self._builder(self._subject, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @classmethod
    def restored(cls, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Authority:
        """Return the authority of an earlier run."""
        made = cls(certificate.not_valid_before_utc + SKEW)
        made._key, made._certificate, made._subject = key, certificate, certificate.subject
        return made

    @property
    def pair(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """Return the certificate and the private key, for a sandbox that keeps its state."""
        return self._certificate, self._key

    @property
    def pem(self) -> bytes:
        """Return the CA certificate as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def java_trust_store(self, password: str) -> bytes:
        """Return the CA certificate as a PKCS #12 trust store that Java reads."""
        trusted = pkcs12.PKCS12Certificate(self._certificate, b"azure-sandbox")
        return pkcs12.serialize_java_truststore([trusted], serialization.BestAvailableEncryption(password.encode()))

    def server_context(self, names: Sequence[str]) -> ssl.SSLContext:
        """Return a TLS server context with a new certificate for the names: HTTP/1.1 only, no session resumption."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        load_chain(context, certificate.public_bytes(serialization.Encoding.PEM) + self.pem, key)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        authority = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - SKEW)
            .not_valid_after(self._now + VALID)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)
        )


def load_chain(context: ssl.SSLContext, chain_pem: bytes, key: ec.EllipticCurvePrivateKey) -> None:
    """Load a certificate and its key into a context without leaving a file: Python's ssl reads both from paths only."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with _path_in_memory(chain_pem + pem) as path:
        context.load_cert_chain(path)


@contextmanager
def _path_in_memory(content: bytes) -> Iterator[str]:
    if hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd"):  # noqa: PTH110  # no pathlib for one check
        descriptor = os.memfd_create("sandbox")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:  # macOS: a private file that is removed right after use
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
