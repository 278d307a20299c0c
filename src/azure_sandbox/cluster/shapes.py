"""Types of the fields of an object, as an API server checks them while it decodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure_sandbox.cluster.status import bad_request

Document = dict[str, Any]
TEXTS: tuple[type, type] = (list, str)
_RULE = {
    "verbs": TEXTS,
    "apiGroups": TEXTS,
    "resources": TEXTS,
    "resourceNames": TEXTS,
    "nonResourceURLs": TEXTS,
    "operations": TEXTS,
    "apiVersions": TEXTS,
}
_NAMED = {"kind": str, "name": str, "namespace": str, "apiGroup": str}
_ATTRIBUTES = dict.fromkeys(("namespace", "verb", "group", "version", "resource", "subresource", "name", "path"), str)
SHAPE: Mapping[str, Any] = {
    "kind": str,
    "apiVersion": str,
    "metadata": {"name": str, "namespace": str, "labels": dict, "annotations": dict},
    "spec": {
        "resourceAttributes": _ATTRIBUTES,
        "nonResourceAttributes": _ATTRIBUTES,
        "user": str,
        "uid": str,
        "groups": TEXTS,
        "audiences": TEXTS,
        "token": str,
        "namespace": str,
        "expirationSeconds": int,
        "selector": {"matchLabels": dict},
    },
    "status": dict,
    "roleRef": _NAMED,
    "subjects": [_NAMED],
    "rules": [_RULE],
    "webhooks": [{"name": str, "clientConfig": {"caBundle": str, "service": dict}, "rules": [_RULE]}],
    "data": dict,
    "stringData": dict,
    "dryRun": TEXTS,
    "propagationPolicy": str,
    "gracePeriodSeconds": int,
    "preconditions": {"uid": str, "resourceVersion": str},
}


def check(document: Document) -> None:
    """Raise a 400 if a known field has another type. Null is allowed everywhere."""
    _check(document, SHAPE, "")


def _check(value: Any, shape: Any, path: str) -> None:
    if value is None:
        return
    if isinstance(shape, Mapping):
        _expect(value, dict, path)
        for key, inner in shape.items():
            _check(value.get(key), inner, f"{path}.{key}")
    elif isinstance(shape, list):
        _expect(value, list, path)
        for it in value:
            _expect(it, dict, path)
            _check(it, shape[0], path)
    elif isinstance(shape, tuple):
        _expect(value, list, path)
        for it in value:
            _expect(it, str, path)
    else:
        _expect(value, shape, path)


def _expect(value: Any, kind: type, path: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {dict: "object", list: "array", str: "string", int: "number", bool: "bool", float: "number"}
        found = names.get(type(value), "null")
        raise bad_request(f"the object cannot be decoded: json: cannot unmarshal {found} into field {path or '.'}")
