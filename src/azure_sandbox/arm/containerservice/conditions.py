"""Check the conditions of a write (ETags), and classify an update by how long it takes."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.errors import bad_request, provider
from azure_sandbox.arm.front_door import Call

Document = dict[str, Any]


def duration_key(before: Document, after: Document) -> str:
    """Return the key of `DURATIONS` for an update, from the `properties` before and after it."""
    old, new = before.get("aadProfile"), after.get("aadProfile")
    if new and new.get("managed") and not old:
        return "enable-entra"
    if new and old and new.get("managed") and not old.get("managed"):
        return "legacy-to-managed"
    if new and old and bool(new.get("enableAzureRBAC")) != bool(old.get("enableAzureRBAC")):
        return "azure-rbac"
    if before.get("disableLocalAccounts") and not after.get("disableLocalAccounts"):
        return "enable-local-accounts"
    return "update"


def check_preconditions(call: Call, etag: str | None) -> None:
    """Raise 400 or 412 unless If-Match and If-None-Match hold; `etag` is None if the resource does not exist.

    The rules are those that AKS documents. Quotes around an ETag are ignored, because Azure's SDK sends them.
    """
    headers = {name.lower(): value for name, value in call.request.headers.items()}
    match = headers.get("if-match", "").strip().strip('"')
    none_match = headers.get("if-none-match", "").strip().strip('"')
    if match and none_match:
        raise bad_request("If-Match and If-None-Match cannot be set together.")
    if none_match and none_match != "*":
        raise bad_request("If-None-Match can only be empty or '*'.")
    if none_match and etag is not None:
        raise provider(412, "PreconditionFailed", "Resource already exists.")
    if match and etag is None:
        text = (
            "Resource not found but ETag header is provided. If this is a request to create, please do not provide "
            "ETag."
        )
        raise provider(412, "PreconditionFailed", text)
    if match and match not in {"*", etag}:
        raise provider(412, "PreconditionFailed", "ETag provided in If-Match header does not match the resource's.")
