"""Describes the credentials in a kubeconfig, in a file of certificates (PEM) or in a bare token.

No secret leaves this module.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aks_entra.adapters.vault import describe_authority
from aks_entra.core.durations import stamp
from aks_entra.core.evidence.found_credentials import FoundCredential, Kind
from aks_entra.errors import Refused

LARGEST: Final = 1_048_576
"""Bytes. A larger file is no kubeconfig."""

_PEM_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_TOKEN: Final = re.compile(r"[!-~]{16,4096}")
_KUBERNETES_APP: Final = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""The audience of the tokens that AKS accepts from Microsoft Entra ID: `Azure Kubernetes Service AAD Server`."""


def read_credentials(content: bytes) -> tuple[FoundCredential, ...]:
    """Return what the file carries, each credential once. Refused if it is none of the three kinds of file.

    A message never quotes the file.
    """
    if b"-----BEGIN " in content and b"apiVersion" not in content:
        found = tuple(_in_pem(content))
    else:
        document = _kubeconfig(content)
        found = tuple(_in_kubeconfig(document)) if document is not None else tuple(_bare(content))
    if not found:
        raise Refused(
            "the file carries no credential that is known here",
            remedy="name a kubeconfig, a certificate in PEM, or a file with nothing but a token",
            code="NoCredential",
        )
    return found


def _kubeconfig(content: bytes) -> Mapping[str, Any] | None:
    """Return the document of a kubeconfig. None if the content is something else."""
    try:
        document = YAML(typ="safe").load(io.BytesIO(content))
    except (YAMLError, ValueError):
        return None
    return document if isinstance(document, Mapping) and ("users" in document or "clusters" in document) else None


def _in_kubeconfig(document: Mapping[str, Any]) -> Iterator[FoundCredential]:
    """Yield the credentials of every context, and of users that no context names."""
    try:
        clusters = {str(one["name"]): one.get("cluster") or {} for one in document.get("clusters") or ()}
        users = {str(one["name"]): one.get("user") or {} for one in document.get("users") or ()}
        pairs = [
            (str(one["name"]), str(one["context"].get("cluster")), str(one["context"].get("user")))
            for one in document.get("contexts") or ()
        ]
    except (AttributeError, KeyError, TypeError):
        raise Refused(
            "this is not a kubeconfig with clusters, users and contexts", code="MalformedKubeconfig"
        ) from None
    named = {user for _, _, user in pairs}
    only = next(iter(clusters)) if len(clusters) == 1 else ""
    pairs += [(user, only, user) for user in users if user not in named]
    for name, cluster, user in pairs:
        yield from _of_user(name, clusters.get(cluster, {}), users.get(user, {}))


def _of_user(name: str, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Iterator[FoundCredential]:
    """Yield the credentials of one user at one cluster."""
    ca_pem = _decoded(cluster.get("certificate-authority-data"))
    server = urlsplit(str(cluster.get("server") or "")).hostname or ""
    here = FoundCredential(kind=Kind.STATIC_TOKEN, name=name, server=server)
    authorities = _certificates(ca_pem)
    if authorities:
        here = replace(
            here, authority=describe_authority(ca_pem.decode("ascii")), authority_key=_own_key(authorities[0])
        )
    pem, key = _decoded(user.get("client-certificate-data")), _decoded(user.get("client-key-data"))
    for certificate in _certificates(pem)[:1]:
        yield _certificate(certificate, here, authorities, has_key=_opens(certificate, key))
    for field, kind in (("client-certificate", Kind.CERTIFICATE), ("tokenFile", Kind.STATIC_TOKEN)):
        if user.get(field) and not (pem if kind is Kind.CERTIFICATE else user.get("token")):
            yield replace(here, kind=kind, elsewhere=str(user[field]))
    if user.get("token"):
        yield _token(str(user["token"]), here)
    if user.get("password"):
        yield replace(here, kind=Kind.PASSWORD, subject=str(user.get("username") or ""))
    if user.get("exec") or user.get("auth-provider"):
        plugin = user.get("exec") or {"command": (user.get("auth-provider") or {}).get("name")}
        yield replace(here, kind=Kind.COMMAND, subject=str(plugin.get("command") or "a plug-in"))


def _in_pem(content: bytes) -> Iterator[FoundCredential]:
    """Yield the certificates of a PEM file. A CA certificate among them is the authority of those that it signed."""
    certificates = _certificates(content)
    key = next(iter(_PEM_KEY.findall(content)), b"")
    authorities = [one for one in certificates if _is_authority(one)]
    for one in certificates:
        if _is_authority(one):
            authority = describe_authority(one.public_bytes(Encoding.PEM).decode("ascii"))
            yield FoundCredential(
                kind=Kind.AUTHORITY, subject=_name(one.subject), authority=authority, authority_key=_own_key(one)
            )
            continue
        signer = next((each for each in authorities if _signed_by(one, each)), None)
        here = FoundCredential(kind=Kind.CERTIFICATE)
        if signer is not None:
            pem = signer.public_bytes(Encoding.PEM).decode("ascii")
            here = replace(here, authority=describe_authority(pem), authority_key=_own_key(signer))
        yield _certificate(one, here, authorities, has_key=_opens(one, key))


def _bare(content: bytes) -> Iterator[FoundCredential]:
    """Yield the token that is all of the file."""
    try:
        text = content.decode("ascii").strip().removeprefix("Bearer ")
    except UnicodeDecodeError:
        return
    if _TOKEN.fullmatch(text):
        yield _token(text, FoundCredential(kind=Kind.STATIC_TOKEN))


def _certificate(
    one: x509.Certificate, here: FoundCredential, authorities: list[x509.Certificate], *, has_key: bool
) -> FoundCredential:
    """Describe a client certificate. Kubernetes takes the common name for the user and O for the groups."""
    organizations = one.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return replace(
        here,
        kind=Kind.CERTIFICATE,
        subject=_name(one.subject),
        groups=tuple(str(each.value) for each in organizations),
        issuer=_name(one.issuer),
        issuer_key=_issuer_key(one),
        signed=bool(authorities) and here.authority is not None and any(_signed_by(one, each) for each in authorities),
        has_key=has_key,
        not_before=stamp(one.not_valid_before_utc),
        not_after=stamp(one.not_valid_after_utc),
    )


def _token(text: str, here: FoundCredential) -> FoundCredential:
    """Describe a token. The claims of a JWT are read without checking its signature."""
    try:
        claims: dict[str, Any] = jwt.decode(text, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return here
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    issuer, subject = str(claims.get("iss") or ""), str(claims.get("sub") or "")
    kind = Kind.SERVICE_ACCOUNT_TOKEN
    if _KUBERNETES_APP in audiences or urlsplit(issuer).hostname in {"sts.windows.net", "login.microsoftonline.com"}:
        kind = Kind.ENTRA_TOKEN
        subject = str(claims.get("upn") or claims.get("appid") or claims.get("oid") or subject)
    server = here.server
    if not server and (urlsplit(issuer).hostname or "").endswith(".azmk8s.io"):
        server = urlsplit(issuer).hostname or ""
    return replace(
        here,
        kind=kind,
        server=server,
        subject=subject,
        issuer=issuer,
        not_before=_moment(claims.get("iat") or claims.get("nbf")),
        not_after=_moment(claims.get("exp")),
    )


def _moment(seconds: object) -> str:
    """Return a claim's time as ISO 8601. Empty for anything that is no time."""
    try:
        return stamp(datetime.fromtimestamp(float(str(seconds)), UTC))
    except (ValueError, OverflowError, OSError):
        return ""


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return []


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _is_authority(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _issuer_key(one: x509.Certificate) -> str:
    try:
        key = one.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return ""
    return key.hex() if key else ""


def _own_key(authority: x509.Certificate) -> str:
    """Return a CA's key identifier (hex), which the certificates that it signs repeat. Computed if it has none."""
    try:
        return authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(authority.public_key()).digest.hex()


def _signed_by(one: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(authority)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _opens(certificate: x509.Certificate, key: bytes) -> bool:
    """Whether a private key (PEM) belongs to the certificate. One with a passphrase counts as if it did."""
    if not key:
        return False
    try:
        public = load_pem_private_key(key, None).public_key()
    except TypeError:
        return True
    except ValueError:
        return False
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public.public_bytes(*form) == certificate.public_key().public_bytes(*form)


def _decoded(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=False) if value else b""
    except (binascii.Error, ValueError):
        return b""
