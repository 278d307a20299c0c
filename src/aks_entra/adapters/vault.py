"""Holds credentials and public CAs in this process's memory, by cluster. It never writes them anywhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography import x509

from aks_entra.adapters import token_hashes
from aks_entra.adapters.certificates import described, key_identifier, signed_by
from aks_entra.core.cluster import CertificateAuthority, ClusterId
from aks_entra.errors import Refused
from aks_entra.ports.migration import HeldCredential


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The credentials in an admin kubeconfig. `repr` shows none of them, so that no log can."""

    certificate: bytes = field(default=b"", repr=False)  # PEM
    key: bytes = field(default=b"", repr=False)  # PEM
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """The CA and the credentials in a kubeconfig's current context."""

    ca_pem: str
    held: Held = field(default_factory=Held, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trusted:
    """A public CA certificate (PEM), its description, and its key identifier in hex (empty: it has none)."""

    pem: str
    authority: CertificateAuthority
    key: str


class MemoryVault:
    """The vault of one process. It ends with the process."""

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        """`now` returns the present time with its time zone, because an expired certificate proves nothing."""
        self._now = now
        self._held: dict[str, Held] = {}
        self._authorities: dict[str, _Trusted] = {}

    def __repr__(self) -> str:
        return f"<vault: {len(self._held)} held>"

    def holds(self, cluster: ClusterId) -> bool:
        """Whether an admin credential of the cluster is held."""
        return cluster.key in self._held

    def forget(self, cluster: ClusterId) -> None:
        """Drop the credential of the cluster."""
        self._held.pop(cluster.key, None)

    def hand_in(self, cluster: ClusterId, kubeconfig: str) -> HeldCredential:
        """Hold the credential of an old admin kubeconfig (YAML text). Refused if it carries no static credential.

        A JWT is not a static credential, because Microsoft Entra ID or a service account issued it.
        """
        read = parse_kubeconfig(kubeconfig)
        if _is_jwt(read.held.token):
            read = replace(read, held=replace(read.held, token=""))
        if not (read.held.certificate or read.held.token):
            raise Refused(
                f"the kubeconfig for {cluster} carries no client certificate and no static token",
                remedy="give an old kubeconfig from `az aks get-credentials --admin`",
                code="NoStaticCredential",
            )
        signer = _signer(read, self._now())
        salt, token_hash = token_hashes.salted(read.held.token)
        self._held[cluster.key] = read.held
        return HeldCredential(
            cluster=cluster,
            has_certificate=bool(read.held.certificate),
            has_static_token=bool(read.held.token),
            ca=described(signer) if signer else describe_authority(read.ca_pem),
            signed=signer is not None,
            salt=salt,
            token_hash=token_hash,
        )

    def held(self, cluster: ClusterId) -> Held | None:
        """Return the credential of a cluster, so that an adapter can try it. None if the vault holds none."""
        return self._held.get(cluster.key)

    def trust(self, cluster: ClusterId, ca_pem: str) -> CertificateAuthority:
        """Remember the public CA certificate that serves now, and describe it."""
        certificate = _first(ca_pem)
        trusted = _Trusted(pem=ca_pem, authority=described(certificate), key=key_identifier(certificate))
        self._authorities[cluster.key] = trusted
        return trusted.authority

    def authority(self, cluster: ClusterId) -> str | None:
        """Return the CA certificate (PEM) that served last. None before it was read."""
        trusted = self._authorities.get(cluster.key)
        return trusted.pem if trusted else None

    def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority | None:
        """Return the CA that was read last. None before it was read."""
        trusted = self._authorities.get(cluster.key)
        return trusted.authority if trusted else None

    def issued(self, cluster: ClusterId, issuer_key: str) -> bool:
        """Whether the CA that was read last has this key identifier (hex). False for an empty one."""
        trusted = self._authorities.get(cluster.key)
        return trusted is not None and bool(issuer_key) and trusted.key == issuer_key

    def signed(self, cluster: ClusterId, certificate: str) -> bool:
        """Whether the CA that was read last signed a client certificate (PEM). False before it was read."""
        trusted = self._authorities.get(cluster.key)
        return trusted is not None and signed_by(
            x509.load_pem_x509_certificate(certificate.encode("ascii")), _first(trusted.pem)
        )

    def trusts(self, cluster: ClusterId, ca: CertificateAuthority) -> bool:
        """Whether the remembered CA certificate is the one described."""
        known = self.certificate_authority(cluster)
        return known is not None and known.fingerprint == ca.fingerprint


def parse_kubeconfig(text: str | bytes) -> Kubeconfig:
    """Read CA, client certificate, key and static token of the current context. Refused if it is not a kubeconfig."""
    from ruamel.yaml.error import YAMLError

    from aks_entra.adapters.shallow_yaml import load_shallow

    try:
        document = load_shallow(text)
        contexts = {item["name"]: item["context"] for item in document.get("contexts") or []}
        context = contexts.get(document.get("current-context")) or next(iter(contexts.values()))
        cluster = _named(document["clusters"], context["cluster"], "cluster")
        user = _named(document.get("users") or [], context["user"], "user")
        return Kubeconfig(
            ca_pem=_decoded(cluster.get("certificate-authority-data")).decode("ascii"),
            held=Held(
                certificate=_decoded(user.get("client-certificate-data")) if user.get("client-key-data") else b"",
                key=_decoded(user.get("client-key-data")),
                token=str(user.get("token") or ""),
            ),
        )
    except (YAMLError, AttributeError, KeyError, LookupError, StopIteration, TypeError, ValueError):
        # `from None`, because a parser's message may quote the line that it could not parse, and that may be a key
        raise Refused(
            "this is not a kubeconfig with a cluster, a user and a context", code="MalformedKubeconfig"
        ) from None


def describe_authority(ca_pem: str) -> CertificateAuthority:
    """Return the SHA-256 of the DER (hex) and the validity of the first certificate in a CA bundle (PEM)."""
    return described(_first(ca_pem))


def _first(ca_pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(ca_pem.encode("ascii"))[0]
    except (ValueError, IndexError) as err:
        raise Refused("the kubeconfig carries no readable CA certificate", code="MalformedKubeconfig") from err


def _signer(read: Kubeconfig, now: datetime) -> x509.Certificate | None:
    """Return the CA in the kubeconfig that signed its client certificate. None if there is no such CA or it expired."""
    try:
        certificate = x509.load_pem_x509_certificate(read.held.certificate)
        authorities = x509.load_pem_x509_certificates(read.ca_pem.encode("ascii"))
    except ValueError:
        return None
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return None
    return next((one for one in authorities if signed_by(certificate, one)), None)


def _is_jwt(token: str) -> bool:
    try:
        jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return False
    return True


def _named(items: Any, name: str, key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item[key] for item in items if item["name"] == name) or {}
    return found


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=False) if value else b""
    except binascii.Error as err:
        raise ValueError("not base64") from err
