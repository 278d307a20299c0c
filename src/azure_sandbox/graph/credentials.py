"""Credentials of applications and service principals: secrets, which Graph shows once, and certificates.

Sources: recorded (addPassword), Graph's passwordCredential and keyCredential pages; the words of refusals are inferred.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from azure_sandbox.entra.directory import Application, Directory, ServicePrincipal
from azure_sandbox.entra.objects import KeyCredential, PasswordCredential
from azure_sandbox.front.http import Reply
from azure_sandbox.graph import errors
from azure_sandbox.graph.call import Call
from azure_sandbox.graph.credential_documents import password
from azure_sandbox.graph.documents import ROOT

LASTS = timedelta(days=730)  # documented: two years, if no end is given
Holder = Application | ServicePrincipal


def add_password(call: Call, holder: Holder) -> Reply:
    """Add a secret and return it. It opens the sandbox's Entra ID from now on."""
    wanted = call.json().get("passwordCredential") or {}
    if not isinstance(wanted, dict):
        raise errors.invalid_value("passwordCredential", "Application")
    if unknown := sorted(set(wanted) - {"displayName", "startDateTime", "endDateTime", "@odata.type"}):
        raise errors.not_modelled(f"{unknown[0]!r} of a new password")
    start = _moment(wanted, "startDateTime") or call.request.now
    end = _moment(wanted, "endDateTime") or start + LASTS
    name = wanted.get("displayName")
    if end <= start or not (name is None or isinstance(name, str)):
        raise errors.bad_request("Credential lifetime or display name is invalid.")
    text = f"{secrets.token_hex(2)[:3]}8Q~{secrets.token_urlsafe(26)[:34]}"
    made = PasswordCredential(key_id=str(uuid.uuid4()), secret=text, start=start, end=end, display_name=name)
    holder.passwords = (*holder.passwords, made)
    context = {"@odata.context": f"{ROOT}/$metadata#microsoft.graph.passwordCredential"}
    return Reply(body={**context, **password(made, text)})


def remove_password(call: Call, holder: Holder, directory: Directory) -> Reply:
    """Remove a secret by its key ID; it opens nothing any more."""
    key_id = str(call.json().get("keyId"))
    gone = next((it for it in holder.passwords if it.key_id.lower() == key_id.lower()), None)
    if gone is None:
        raise errors.bad_request(f"No password credential found with keyId '{key_id}'.")
    holder.passwords = tuple(it for it in holder.passwords if it is not gone)
    principal = directory.application(holder.app_id)
    if principal is not None:  # a secret of the world is kept by its service principal
        principal.secrets = tuple(it for it in principal.secrets if it != gone.secret)
        principal.expired_secrets = tuple(it for it in principal.expired_secrets if it != gone.secret)
    return Reply(204)


def read_keys(value: object, holder: Holder | None, resource: str) -> tuple[KeyCredential, ...]:
    """Return the certificates of a body. A member without a key keeps the one with its key ID. Raises 400."""
    if not isinstance(value, list) or not all(isinstance(it, dict) for it in value):
        raise errors.invalid_value("keyCredentials", resource)
    held = {it.key_id.lower(): it for it in (holder.keys if holder else ())}
    return tuple(_key(it, held, resource) for it in value)


def _key(sent: dict[str, Any], held: dict[str, KeyCredential], resource: str) -> KeyCredential:
    known = held.get(str(sent.get("keyId")).lower())
    if sent.get("key") is None and known is not None:
        return known
    if sent.get("type") != "AsymmetricX509Cert" or sent.get("usage") != "Verify":
        raise errors.not_modelled(f"a key of the type {sent.get('type')!r}")
    certificate = _certificate(sent.get("key"), resource)
    return KeyCredential(
        key_id=str(sent.get("keyId") or uuid.uuid4()),
        certificate=certificate.public_bytes(Encoding.DER),
        start=_moment(sent, "startDateTime") or certificate.not_valid_before_utc,
        end=_moment(sent, "endDateTime") or certificate.not_valid_after_utc,
        display_name=sent.get("displayName") or certificate.subject.rfc4514_string(),
    )


def _certificate(text: object, resource: str) -> x509.Certificate:
    try:
        raw = base64.b64decode("".join(str(text).split()), validate=True)  # az sends the lines of a PEM file
        return x509.load_pem_x509_certificate(raw) if b"-----" in raw else x509.load_der_x509_certificate(raw)
    except ValueError as error:
        raise errors.invalid_value("keyCredentials", resource) from error


def _moment(sent: dict[str, Any], name: str) -> datetime | None:
    text = sent.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise errors.invalid_value(name, "PasswordCredential") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
