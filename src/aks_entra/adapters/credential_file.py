"""Describes the credentials in a kubeconfig, in a file of certificates (PEM) or in a bare token.

No secret leaves this module.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from ruamel.yaml.error import YAMLError

from aks_entra.adapters.certificates import described, issuer_key, key_identifier, signed_by
from aks_entra.adapters.recognition import Recognition
from aks_entra.adapters.shallow_yaml import load_shallow
from aks_entra.core.durations import stamp
from aks_entra.core.evidence.found_credentials import FoundCredential, Kind
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.errors import Refused

_PEM_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_SECRET: Final = re.compile(
    r"(secret|password|passphrase|credentials?|token|(private|api|access|account)[-_]?key)$", re.IGNORECASE
)
"""How names of arguments, variables and fields end that hold a secret. One of a file ends with `-file` or `_FILE`."""
_TOKEN: Final = re.compile(r"[!-~]{16,4096}")
_KUBERNETES_APP: Final = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""The audience of the tokens that AKS accepts from Microsoft Entra ID: `Azure Kubernetes Service AAD Server`."""


def read_credentials(content: bytes, records: Iterable[Record] = ()) -> tuple[FoundCredential, ...]:
    """Return what the file carries, each credential once, and which of the records recognise it.

    Refused if it is none of the three kinds of file. A message never quotes the file.
    """
    known = Recognition(records)
    content = _as_utf8(content)
    if b"-----BEGIN " in content and b"apiVersion" not in content:
        found = tuple(_in_pem(content, known))
    else:
        document = _kubeconfig(content)
        found = tuple(_in_kubeconfig(document, known)) if document is not None else tuple(_bare(content, known))
    if not found:
        raise Refused(
            "the file carries no credential that is known here",
            remedy="name a kubeconfig, a certificate in PEM, or a file with nothing but a token",
            code="NoCredential",
        )
    return found


def with_current_context(content: bytes, name: str) -> str:
    """Return a kubeconfig with another current context, so that the credential of that context is the one in use.

    Refused if the content is no kubeconfig, or has not exactly one context of this name.
    """
    document = _kubeconfig(_as_utf8(content))
    if document is None or [one for one, _ in _contexts(document)].count(name) != 1:
        raise Refused("only a credential that one context of a kubeconfig names can be presented", code="NoContext")
    return json.dumps({**document, "current-context": name}, default=str)


def _as_utf8(content: bytes) -> bytes:
    """Return a text without its byte order mark, in UTF-8. PowerShell writes UTF-16."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace").removeprefix("\ufeff").encode()
    return content


def _kubeconfig(content: bytes) -> Mapping[str, Any] | None:
    """Return the document of a kubeconfig. None if the content is something else."""
    try:
        document = load_shallow(content)
    except (YAMLError, ValueError):
        return None
    return document if isinstance(document, Mapping) and ("users" in document or "clusters" in document) else None


def _in_kubeconfig(document: Mapping[str, Any], known: Recognition) -> Iterator[FoundCredential]:
    """Yield the credentials of every context, and of users that no context names."""
    try:
        clusters = {str(one["name"]): one.get("cluster") or {} for one in document.get("clusters") or ()}
        users = {str(one["name"]): one.get("user") or {} for one in document.get("users") or ()}
        pairs = [(name, str(one.get("cluster")), str(one.get("user"))) for name, one in _contexts(document)]
        named = {user for _, _, user in pairs}
        only = next(iter(clusters)) if len(clusters) == 1 else ""
        pairs += [(user, only, user) for user in users if user not in named]
        for name, cluster, user in pairs:
            yield from _of_user(name, clusters.get(cluster, {}), users.get(user, {}), known)
    except (AttributeError, KeyError, TypeError):
        raise Refused(
            "this is not a kubeconfig with clusters, users and contexts", code="MalformedKubeconfig"
        ) from None


def _contexts(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(str(one["name"]), one["context"]) for one in document.get("contexts") or ()]


def _of_user(
    name: str, cluster: Mapping[str, Any], user: Mapping[str, Any], known: Recognition
) -> Iterator[FoundCredential]:
    """Yield the credentials of one user at one cluster."""
    authorities = _certificates(_decoded(cluster.get("certificate-authority-data")))
    here = FoundCredential(kind=Kind.STATIC_TOKEN, name=name, server=_host(cluster.get("server")))
    if len(authorities) == 1:  # of several, nobody knows with which one a token came
        here = _with_authority(here, authorities[0])
    pem, key = _decoded(user.get("client-certificate-data")), _decoded(user.get("client-key-data"))
    certificates = _certificates(pem)[:1]
    for certificate in certificates:
        yield _certificate(certificate, here, authorities, known, has_key=_opens(certificate, key))
    if user.get("client-certificate-data") and not certificates:
        yield replace(here, kind=Kind.CERTIFICATE, unread=True)
    elif user.get("client-key-data") and not (certificates or user.get("client-certificate")):
        yield replace(here, kind=Kind.PRIVATE_KEY)
    for field, kind in (("client-certificate", Kind.CERTIFICATE), ("tokenFile", Kind.STATIC_TOKEN)):
        if user.get(field) and not (
            user.get("client-certificate-data") if kind is Kind.CERTIFICATE else user.get("token")
        ):
            yield replace(here, kind=kind, elsewhere=str(user[field]))
    if user.get("token"):
        yield _token(str(user["token"]), here, known)
    if user.get("password"):
        yield replace(here, kind=Kind.PASSWORD, subject=str(user.get("username") or ""))
    if user.get("exec") or user.get("auth-provider"):
        yield _command(user.get("exec") or {}, user.get("auth-provider") or {}, here)


def _command(plugin: Mapping[str, Any], provider: Mapping[str, Any], here: FoundCredential) -> FoundCredential:
    """Describe what signs in, and name what holds a secret there. No value is kept."""
    arguments = [str(one) for one in plugin.get("args") or ()]
    given = [
        (name if name.startswith("--") else "an argument", value if equals else following)
        for (name, equals, value), following in zip(
            (one.partition("=") for one in arguments), (*arguments[1:], ""), strict=False
        )
        if name.startswith("-") and _SECRET.search(name)
    ]
    fields = [(one.get("name"), one.get("value")) for one in plugin.get("env") or ()]
    fields += (provider.get("config") or {}).items()
    given += [(str(name), str(value or "")) for name, value in fields if _SECRET.search(str(name))]
    return replace(
        here,
        kind=Kind.COMMAND,
        subject=str(plugin.get("command") or provider.get("name") or "a plug-in"),
        secrets=tuple(dict.fromkeys(name for name, value in given if value)),
    )


def _in_pem(content: bytes, known: Recognition) -> Iterator[FoundCredential]:
    """Yield what each certificate of a PEM file is. A CA certificate in the file may have signed the others."""
    certificates = _certificates(content)
    keys = _PEM_KEY.findall(content)
    authorities = [one for one in certificates if _is_authority(one)]
    for one in certificates:
        if _is_authority(one):
            yield _with_authority(FoundCredential(kind=Kind.AUTHORITY, subject=_name(one.subject)), one)
        else:
            here = FoundCredential(kind=Kind.CERTIFICATE)
            yield _certificate(one, here, authorities, known, has_key=any(_opens(one, key) for key in keys))
    clients = [one for one in certificates if not _is_authority(one)]
    for key in keys:
        if not any(_opens(one, key) for one in clients):
            yield FoundCredential(kind=Kind.PRIVATE_KEY)


def _bare(content: bytes, known: Recognition) -> Iterator[FoundCredential]:
    """Yield the token that is all of the file."""
    try:
        text = content.decode("ascii").strip().removeprefix("Bearer ")
    except UnicodeDecodeError:
        return
    if _TOKEN.fullmatch(text):
        yield _token(text, FoundCredential(kind=Kind.STATIC_TOKEN), known)


def _certificate(
    one: x509.Certificate,
    here: FoundCredential,
    authorities: list[x509.Certificate],
    known: Recognition,
    *,
    has_key: bool,
) -> FoundCredential:
    """Describe a client certificate. Kubernetes takes the common name for the user and O for the groups."""
    organizations = one.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    signer = next((each for each in authorities if signed_by(one, each)), None)
    if signer is not None:
        here = _with_authority(here, signer)
    found = replace(
        here,
        kind=Kind.CERTIFICATE,
        subject=_name(one.subject),
        groups=tuple(str(each.value) for each in organizations),
        issuer=_name(one.issuer),
        issuer_key=issuer_key(one),
        signed=signer is not None,
        has_key=has_key,
        not_before=stamp(one.not_valid_before_utc),
        not_after=stamp(one.not_valid_after_utc),
        certificate=one.public_bytes(Encoding.PEM).decode("ascii"),
    )
    return known.certificate(found, one)


def _token(text: str, here: FoundCredential, known: Recognition) -> FoundCredential:
    """Describe a token. The claims of a JWT are read without checking its signature."""
    try:
        claims: dict[str, Any] = jwt.decode(text, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return known.token(here, text)
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    issuer, subject = str(claims.get("iss") or ""), str(claims.get("sub") or "")
    kind = Kind.SERVICE_ACCOUNT_TOKEN
    if _KUBERNETES_APP in audiences or _host(issuer) in {"sts.windows.net", "login.microsoftonline.com"}:
        kind = Kind.ENTRA_TOKEN
        subject = str(claims.get("upn") or claims.get("appid") or claims.get("oid") or subject)
    server = here.server
    if not server and _host(issuer).endswith(".azmk8s.io"):
        server = _host(issuer)
    return replace(
        here,
        kind=kind,
        server=server,
        subject=subject,
        issuer=issuer,
        not_before=_moment(claims.get("iat") or claims.get("nbf")),
        not_after=_moment(claims.get("exp")),
    )


def _host(url: object) -> str:
    """Return the host of a URL. Empty for anything that is no URL."""
    try:
        return urlsplit(str(url or "")).hostname or ""
    except ValueError:
        return ""


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
    except (x509.ExtensionNotFound, ValueError):
        return False


def _with_authority(here: FoundCredential, authority: x509.Certificate) -> FoundCredential:
    """Add the CA that a credential came with. Its key identifier is computed if the CA has none."""
    own = key_identifier(authority) or x509.SubjectKeyIdentifier.from_public_key(authority.public_key()).digest.hex()
    return replace(here, authority=described(authority), authority_key=own)


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
