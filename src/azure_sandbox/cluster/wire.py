"""Request bodies: JSON, or the protobuf of kubectl 1.32 and newer (a runtime.Unknown).

Only some kinds are supported as protobuf. The field numbers are those of k8s.io/api's generated.proto.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from azure_sandbox.cluster.status import bad_request, not_modelled
from azure_sandbox.front.http import TOO_DEEP, Problem, Request, parsed

SHOWN = 30  # bytes of a body that an error quotes
MAGIC = b"k8s\0"
Shape = Mapping[int, "tuple[str, Any]"]
TEXT, TEXTS, NUMBER, FLAG, IGNORED = "text", "texts", "number", "flag", "ignored"
TEXT_MAP, BYTES_MAP = "map of texts", "map of bytes"  # the bytes become base64, as in JSON


@dataclass(frozen=True, slots=True)
class Many:
    """A repeated message."""

    shape: Shape


_ATTRIBUTES: Shape = {
    1: ("namespace", TEXT),
    2: ("verb", TEXT),
    3: ("group", TEXT),
    4: ("version", TEXT),
    5: ("resource", TEXT),
    6: ("subresource", TEXT),
    7: ("name", TEXT),
}
_PATH: Shape = {1: ("path", TEXT), 2: ("verb", TEXT)}
_SELF: Shape = {1: ("resourceAttributes", _ATTRIBUTES), 2: ("nonResourceAttributes", _PATH)}
_SUBJECT: Shape = {**_SELF, 3: ("user", TEXT), 4: ("groups", TEXTS), 6: ("uid", TEXT)}
_METADATA: Shape = {
    1: ("name", TEXT),
    3: ("namespace", TEXT),
    8: ("creationTimestamp", IGNORED),
    11: ("labels", TEXT_MAP),
    12: ("annotations", TEXT_MAP),
}
_NAMED: Shape = {1: ("metadata", _METADATA)}
_BOUND: Shape = {1: ("kind", TEXT), 2: ("apiGroup", TEXT), 3: ("name", TEXT), 4: ("namespace", TEXT)}
_BINDING: Shape = {
    **_NAMED,
    2: ("subjects", Many(_BOUND)),
    3: ("roleRef", {1: ("apiGroup", TEXT), 2: ("kind", TEXT), 3: ("name", TEXT)}),
}
_RULE: Shape = {
    1: ("verbs", TEXTS),
    2: ("apiGroups", TEXTS),
    3: ("resources", TEXTS),
    4: ("resourceNames", TEXTS),
    5: ("nonResourceURLs", TEXTS),
}
_ROLE: Shape = {**_NAMED, 2: ("rules", Many(_RULE))}


def _review(spec: Shape) -> Shape:
    return {1: ("metadata", _METADATA), 2: ("spec", spec), 3: ("status", IGNORED)}


SHAPES: Mapping[str, Shape] = {
    "SelfSubjectReview": {1: ("metadata", _METADATA), 2: ("status", IGNORED)},
    "SelfSubjectAccessReview": _review(_SELF),
    "SelfSubjectRulesReview": _review({1: ("namespace", TEXT)}),
    "SubjectAccessReview": _review(_SUBJECT),
    "LocalSubjectAccessReview": _review(_SUBJECT),
    "TokenReview": _review({1: ("token", TEXT), 2: ("audiences", TEXTS)}),
    "TokenRequest": _review({1: ("audiences", TEXTS), 4: ("expirationSeconds", NUMBER)}),
    "DeleteOptions": {
        1: ("gracePeriodSeconds", NUMBER),
        2: ("preconditions", {1: ("uid", TEXT), 2: ("resourceVersion", TEXT)}),
        3: ("orphanDependents", FLAG),
        4: ("propagationPolicy", TEXT),
        5: ("dryRun", TEXTS),
    },
    "Namespace": {**_NAMED, 3: ("status", IGNORED)},
    "ServiceAccount": _NAMED,
    "ConfigMap": {**_NAMED, 2: ("data", TEXT_MAP), 3: ("binaryData", BYTES_MAP), 4: ("immutable", FLAG)},
    "Secret": {
        **_NAMED,
        2: ("data", BYTES_MAP),
        3: ("type", TEXT),
        4: ("stringData", TEXT_MAP),
        5: ("immutable", FLAG),
    },
    "ClusterRoleBinding": _BINDING,
    "RoleBinding": _BINDING,
    "ClusterRole": _ROLE,
    "Role": _ROLE,
}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # protobuf's continuation bit
            return value, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield length-delimited and integer fields of a message. Raises IndexError if the message is truncated."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
            case 2:
                length, at = _varint(data, at)
                if at + length > len(data):
                    raise IndexError("a field is longer than its message")
                yield tag >> 3, data[at : at + length]
                at += length
            case kind:
                raise IndexError(f"wire type {kind} is not used by these kinds")


def _bytes(data: bytes) -> dict[int, bytes]:
    return {number: value for number, value in _fields(data) if isinstance(value, bytes)}


def _read(data: bytes, shape: Shape) -> dict[str, Any]:
    """Decode a message by its shape. An unknown field raises a 501, so that no content is lost."""
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        name, kind = shape.get(number, ("", None))
        if not value and kind != TEXTS:  # in a list, "" counts: it is the name of the core group
            continue
        if kind is None or isinstance(value, int) is not (kind in (NUMBER, FLAG)):
            raise not_modelled(f"field {number} of this protobuf message")
        if isinstance(value, int):
            found[name] = value if kind == NUMBER else bool(value)
        elif kind in (TEXT_MAP, BYTES_MAP):
            entry = _bytes(value)
            content = entry.get(2, b"")
            shown = content.decode() if kind == TEXT_MAP else b64encode(content).decode()
            found.setdefault(name, {})[entry.get(1, b"").decode()] = shown
        elif kind == TEXT:
            found[name] = value.decode()
        elif kind == TEXTS:
            found.setdefault(name, []).append(value.decode())
        elif isinstance(kind, Many):
            found.setdefault(name, []).append(_read(value, kind.shape))
        elif kind != IGNORED:
            found[name] = _read(value, kind)
    return found


def _protobuf(body: bytes) -> dict[str, Any]:
    envelope = _bytes(body)
    kinds = {number: value.decode() for number, value in _bytes(envelope.get(1, b"")).items()}
    kind = kinds.get(2, "")
    if kind not in SHAPES:
        raise not_modelled(f"a {kind or 'nameless'} object as protobuf")
    return {"apiVersion": kinds.get(1, ""), "kind": kind, **_read(envelope.get(2, b""), SHAPES[kind])}


def document(request: Request, kind: str = "") -> dict[str, Any]:
    """Return the body as a document of a kind. Raises a 400 in Kubernetes' words for an invalid body."""
    if request.body.startswith(MAGIC):
        try:
            return _protobuf(request.body[len(MAGIC) :])
        except (IndexError, UnicodeDecodeError) as error:
            raise bad_request(f"the protobuf body cannot be read: {error}") from error
    try:
        return request.json()
    except Problem as problem:
        expected = f" (must be of type {kind})" if kind else ""
        why = f"couldn't get version/kind; json parse error: {_complaint(request.body)} ({_summary(request.body)})"
        raise bad_request(f"the object provided is unrecognized{expected}: {why}") from problem


def _complaint(body: bytes) -> str:
    """Return the error of Go's JSON parser, as far as Python's errors allow."""
    try:
        parsed(body)
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :].strip()
        return (
            f"invalid character '{rest[0]}' looking for beginning of value" if rest else "unexpected end of JSON input"
        )
    except ValueError as error:
        deep = str(error) == TOO_DEEP
        return f"invalid character '[' {TOO_DEEP}" if deep else "invalid character looking for beginning of value"
    return "json: cannot unmarshal into an object"


def _summary(body: bytes) -> str:
    if not body:
        return "empty"
    shown = body[:SHOWN].decode(errors="replace") if body.startswith(b"{") else body[:SHOWN].hex()
    return shown if len(body) <= SHOWN else f"{shown} ..."
