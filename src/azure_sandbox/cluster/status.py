"""Kubernetes' error bodies (`v1.Status`), word for word."""

from __future__ import annotations

import json
from typing import Any

from azure_sandbox.front.http import Problem

JSON = {"content-type": "application/json"}


def _status(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> Problem:
    body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body |= {"message": message, "reason": reason}
    if details is not None:
        body["details"] = details
    body["code"] = code
    return Problem(code, body, dict(JSON))


def unauthorized() -> Problem:
    """Return a 401: not authenticated."""
    return _status(401, "Unauthorized", "Unauthorized")


def forbidden(message: str, details: dict[str, Any]) -> Problem:
    """Return a 403: authenticated, but not allowed."""
    return _status(403, "Forbidden", message, details)


def _details(group: str, kind: str, name: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> Problem:
    """Return a 404: the object does not exist."""
    message = f'{_qualified(group, plural)} "{name}" not found'
    return _status(404, "NotFound", message, _details(group, plural, name))


def no_such_path() -> Problem:
    """Return a 404 for a path that no API server has."""
    return _status(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, plural: str, name: str) -> Problem:
    """Return a 409: an object with this name exists."""
    message = f'{_qualified(group, plural)} "{name}" already exists'
    return _status(409, "AlreadyExists", message, _details(group, plural, name))


def bad_request(message: str) -> Problem:
    """Return a 400: the request cannot be parsed."""
    return _status(400, "BadRequest", message)


def invalid(group: str, kind: str, name: str, message: str) -> Problem:
    """Return a 422: the object breaks a rule."""
    text = f'{_qualified(group, kind)} "{name}" is invalid: {message}'
    return _status(422, "Invalid", text, _details(group, kind, name))


def invalid_part(group: str, kind: str, name: str, field: str, message: str) -> Problem:
    """Return a 422 for one field of an object, with its cause."""
    reason = "FieldValueRequired" if message.startswith("Required") else "FieldValueInvalid"
    cause = {"reason": reason, "message": message, "field": field}
    text = f'{_qualified(group, kind)} "{name}" is invalid: {field}: {message}'
    return _status(422, "Invalid", text, {**_details(group, kind, name), "causes": [cause]})


def invalid_field(group: str, field: str, message: str) -> Problem:
    """Return a 422 for a field of an object without a name. The API server does not state its kind either."""
    text = f'.{group} "" is invalid: {field}: {message}'
    cause = {"reason": "FieldValueInvalid", "message": message, "field": field}
    return _status(422, "Invalid", text, {"group": group, "causes": [cause]})


def unsupported_value(group: str, kind: str, field: str, value: Any, known: tuple[str, ...]) -> Problem:
    """Return a 422 for an option with a value that Kubernetes does not know. The value is quoted as JSON."""
    supported = ", ".join(f'"{it}"' for it in known)
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    message = f"Unsupported value: {shown}: supported values: {supported}"
    cause = {"reason": "FieldValueNotSupported", "message": message, "field": field}
    text = f'{kind}.{group} "" is invalid: {field}: {message}'
    return _status(422, "Invalid", text, {"group": group, "kind": kind, "causes": [cause]})


def conflict(group: str, kind: str, name: str, message: str) -> Problem:
    """Return a 409: the object is not as the request expects it."""
    text = f'Operation cannot be fulfilled on {_qualified(group, kind)} "{name}": {message}'
    return _status(409, "Conflict", text, _details(group, kind, name))


def modified(group: str, plural: str, name: str) -> Problem:
    """Return a 409: the object was changed since it was read."""
    words = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(group, plural, name, words)


def unsupported_media() -> Problem:
    """Return a 415: the body has a type that the request cannot have."""
    return _status(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def too_large(limit: int) -> Problem:
    """Return a 413: the body has more bytes than the limit."""
    return _status(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def expired(message: str) -> Problem:
    """Return a 410: the continue token is not of this list."""
    return _status(410, "Expired", message)


def gone(message: str) -> Problem:
    """Return a 410: the watch begins at a version that is no longer stored."""
    return _status(410, "Expired", message)


def internal(message: str) -> Problem:
    """Return a 500: something that the API server needs has failed."""
    text = f"Internal error occurred: {message}"
    return _status(500, "InternalError", text, {"causes": [{"message": message}]})


def not_allowed() -> Problem:
    """Return a 405: the resource does not support the verb."""
    text = "the server does not allow this method on the requested resource"
    return _status(405, "MethodNotAllowed", text, {})


def not_modelled(what: str) -> Problem:
    """Return a 501 for something that a real API server supports and the sandbox does not."""
    return _status(501, "NotImplemented", f"azure-sandbox: {what} is not modelled", {})
