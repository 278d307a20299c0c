"""Held credentials and public CAs, in this process's memory, keyed by cluster. Nothing here is ever written out."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aks_entra.core.cluster import CertificateAuthority, ClusterId
from aks_entra.errors import Refused
from aks_entra.ports import Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an admin kubeconfig carries. Its representation shows nothing, so that no log can."""

    certificate: bytes = field(default=b"", repr=False)  # PEM
    key: bytes = field(default=b"", repr=False)  # PEM
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """The parts of a kubeconfig's current context that are of use here."""

    ca_pem: str
    held: Held = field(default_factory=Held, repr=False)


class MemoryVault:
    """The vault of one process; gone with it."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._authorities: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<vault: {len(self._held)} held>"

    def holds(self, cluster: ClusterId) -> bool:
        """Whether an admin credential of the cluster is held."""
        return cluster.key in self._held

    def forget(self, cluster: ClusterId) -> None:
        """Drop it."""
        self._held.pop(cluster.key, None)

    def hand_in(self, cluster: ClusterId, kubeconfig: str) -> Witness:
        """Hold what an old admin kubeconfig (YAML text) carries. Refused when it carries no static credential."""
        read = parse_kubeconfig(kubeconfig)
        if not (read.held.certificate or read.held.token):
            raise Refused(
                f"the kubeconfig for {cluster} carries no client certificate and no static token",
                remedy="hand in a kubeconfig from `az aks get-credentials --admin`, as it was before",
                code="NoStaticCredential",
            )
        self._held[cluster.key] = read.held
        return Witness(
            cluster=cluster,
            has_certificate=bool(read.held.certificate),
            has_static_token=bool(read.held.token),
            ca=describe_authority(read.ca_pem),
        )

    def held(self, cluster: ClusterId) -> Held | None:
        """The credential itself, for the adapter that tries it."""
        return self._held.get(cluster.key)

    def trust(self, cluster: ClusterId, ca_pem: str) -> None:
        """Remember the public CA certificate that serves now."""
        self._authorities[cluster.key] = ca_pem

    def authority(self, cluster: ClusterId) -> str | None:
        """The CA certificate (PEM) that was last seen to serve; None before it was read."""
        return self._authorities.get(cluster.key)

    def trusts(self, cluster: ClusterId, ca: CertificateAuthority) -> bool:
        """Whether the remembered CA certificate is the one described."""
        ca_pem = self.authority(cluster)
        return ca_pem is not None and describe_authority(ca_pem).fingerprint == ca.fingerprint


def parse_kubeconfig(text: str | bytes) -> Kubeconfig:
    """Read CA, client certificate, key and static token of the current context. Refused when that is no kubeconfig."""
    try:
        document = YAML(typ="safe").load(io.BytesIO(text) if isinstance(text, bytes) else io.StringIO(text))
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
        # The cause is dropped on purpose: a parser's message may quote the line it choked on, which may be a key.
        raise Refused(
            "that is not a kubeconfig with a cluster, a user and a context", code="MalformedKubeconfig"
        ) from None


def describe_authority(ca_pem: str) -> CertificateAuthority:
    """The first certificate of a CA bundle (PEM): SHA-256 of its DER in hex, and its validity."""
    try:
        certificate = x509.load_pem_x509_certificates(ca_pem.encode("ascii"))[0]
    except (ValueError, IndexError) as err:
        raise Refused("the kubeconfig carries no readable CA certificate", code="MalformedKubeconfig") from err
    return CertificateAuthority(
        fingerprint=certificate.fingerprint(SHA256()).hex(),
        not_before=certificate.not_valid_before_utc.isoformat().replace("+00:00", "Z"),
        not_after=certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
    )


def _named(items: Any, name: str, key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item[key] for item in items if item["name"] == name) or {}
    return found


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=False) if value else b""
    except binascii.Error as err:
        raise ValueError("not base64") from err
