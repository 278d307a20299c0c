"""PATCH: merge patches, and strategic merge patches as far as they equal one. Others get a 501.

A strategic merge patch differs from a merge patch in directives (`$patch` …) and in lists that have a merge key.
"""

from __future__ import annotations

from typing import Any

from azure_sandbox.cluster import status
from azure_sandbox.front.http import Request, parsed

Document = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
OTHERS = ("application/json-patch+json", "application/apply-patch+yaml", "application/apply-patch+cbor")
MERGED_BY_KEY = frozenset({"finalizers", "ownerReferences", "webhooks", "secrets", "imagePullSecrets", "conditions"})


def patched(request: Request, held: Document) -> Document:
    """Return an object after a patch. Raises a 400, a 415, or a 501 for a form of patch that is not modelled."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in OTHERS:
        raise status.not_modelled(f"a patch of the type {kind}")
    if kind not in {MERGE, STRATEGIC}:
        raise status.unsupported_media()
    try:
        patch = parsed(request.body)
    except ValueError as error:
        raise status.bad_request(f"error decoding patch: {error}") from error
    if not isinstance(patch, dict):
        words = "json: cannot unmarshal array into Go value of type map[string]interface {}"
        raise status.bad_request(f"error decoding patch: {words}")
    if kind == STRATEGIC:
        _check_plain(patch)
    merged: Document = _merged(held, patch)
    return merged


def _check_plain(patch: Document) -> None:
    for key, value in patch.items():
        if key.startswith("$") or key in MERGED_BY_KEY:
            raise status.not_modelled(f"{key} in a strategic merge patch")
        if isinstance(value, dict):
            _check_plain(value)


def _merged(held: object, patch: object) -> Any:
    if not isinstance(patch, dict):
        return patch
    whole = dict(held) if isinstance(held, dict) else {}
    for key, value in patch.items():
        if value is None:
            whole.pop(key, None)
        else:
            whole[key] = _merged(whole.get(key), value)
    return whole
