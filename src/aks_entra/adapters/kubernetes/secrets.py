"""Secrets of hubs: read one, replace one value of one, and tell whether a credential in one ended with a rotation."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from aks_entra.adapters.certificates import signed_by
from aks_entra.adapters.identity.credentials import issued_at
from aks_entra.adapters.kubernetes.api_server import answer_of
from aks_entra.core.durations import when
from aks_entra.errors import Refused, TryLater

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

MERGE: Final = "application/merge-patch+json"

_TIMEOUT: Final = 30
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_INVALID: Final = 422


async def read_secret(api: ApiClient, namespace: str, name: str) -> Mapping[str, Any] | None:
    """Return a Secret. None: there is none of this name."""
    from kubernetes.aio import client

    try:
        return await answer_of(
            client.CoreV1Api(api).read_namespaced_secret_without_preload_content(
                name, namespace, _request_timeout=_TIMEOUT
            )
        )
    except Refused as refused:
        if refused.status != _NOT_FOUND:
            raise
        return None


async def replace_value(api: ApiClient, namespace: str, secret: Mapping[str, Any], key: str, text: str) -> None:
    """Replace one value, if the Secret is still the one that was read. TryLater if somebody wrote it meanwhile."""
    body = {
        "metadata": {"resourceVersion": str(secret["metadata"].get("resourceVersion") or "")},
        "data": {key: base64.b64encode(text.encode()).decode("ascii")},
    }
    try:
        await answer_of(
            api.rest_client.request(  # type: ignore[no-untyped-call]  # the client's own transport has no types
                "PATCH",
                f"{api.configuration.host}/api/v1/namespaces/{namespace}/secrets/{name_of(secret)}",
                headers={
                    "Accept": "application/json",
                    "Content-Type": MERGE,
                    "Authorization": api.configuration.api_key["BearerToken"],
                },
                body=body,
                _request_timeout=_TIMEOUT,
            )
        )
    except Refused as refused:
        if refused.status == _INVALID:
            refused.remedy = "make the Secret anew without `immutable: true`, or write the new CA into its source"
        if refused.status != _CONFLICT:
            raise
        raise TryLater(
            f"somebody wrote the secret {namespace}/{name_of(secret)} just now", after=2, code="Conflict"
        ) from refused


def decoded(secret: Mapping[str, Any], key: str) -> str:
    """Return a value of a Secret as text. Empty if it is missing or no text."""
    data = secret.get("data")
    try:
        return base64.b64decode(str((data or {}).get(key) or "")).decode()
    except (binascii.Error, ValueError, AttributeError):
        return ""


def name_of(secret: Mapping[str, Any]) -> str:
    """Return the name of a Secret."""
    return str(secret["metadata"].get("name") or "")


def token_ended(token: str, rotated_at: str) -> bool:
    """Whether a rotation (its end: ISO 8601) ended a bearer token. A token that shows no time counts as ended."""
    issued, rotated = when(issued_at(token)), when(rotated_at)
    return issued is None or rotated is None or issued < rotated


def certificate_ended(certificate: str, ca_data: str) -> bool:
    """Whether a client certificate is not of this CA (both PEM in base64). What cannot be read counts as ended."""
    try:
        mine = x509.load_pem_x509_certificate(base64.b64decode(certificate))
        authority = x509.load_pem_x509_certificate(base64.b64decode(ca_data))
    except ValueError:
        return True
    return not signed_by(mine, authority)
