"""Kubernetes' own error bodies (`v1.Status`), word for word."""

from __future__ import annotations

from typing import Any

from azure_sandbox.http import Problem

JSON = {"content-type": "application/json"}


def _status(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> Problem:
    body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body |= {"message": message, "reason": reason}
    if details is not None:
        body["details"] = details
    body["code"] = code
    return Problem(code, body, dict(JSON))


def unauthorized() -> Problem:
    """401: nobody we know."""
    return _status(401, "Unauthorized", "Unauthorized")


def forbidden(message: str, details: dict[str, Any]) -> Problem:
    """403: known, but not allowed."""
    return _status(403, "Forbidden", message, details)


def _details(group: str, kind: str, name: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> Problem:
    """404: no such object."""
    message = f'{_qualified(group, plural)} "{name}" not found'
    return _status(404, "NotFound", message, _details(group, plural, name))


def no_such_path() -> Problem:
    """404 for a path that no API server has."""
    return _status(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, plural: str, name: str) -> Problem:
    """409: an object of that name exists."""
    message = f'{_qualified(group, plural)} "{name}" already exists'
    return _status(409, "AlreadyExists", message, _details(group, plural, name))


def bad_request(message: str) -> Problem:
    """400: the request cannot be understood."""
    return _status(400, "BadRequest", message)


def invalid(group: str, kind: str, name: str, message: str) -> Problem:
    """422: the object breaks a rule."""
    text = f'{_qualified(group, kind)} "{name}" is invalid: {message}'
    return _status(422, "Invalid", text, _details(group, kind, name))


def invalid_field(group: str, field: str, message: str) -> Problem:
    """422 for one field of an object that has no name, and whose kind the API server does not say."""
    text = f'.{group} "" is invalid: {field}: {message}'
    cause = {"reason": "FieldValueInvalid", "message": message, "field": field}
    return _status(422, "Invalid", text, {"group": group, "causes": [cause]})


def expired(message: str) -> Problem:
    """410: the continue token is not of this list."""
    return _status(410, "Expired", message)


def gone(message: str) -> Problem:
    """410: a watch from a version that is forgotten."""
    return _status(410, "Expired", message)


def internal(message: str) -> Problem:
    """500: something that the API server depends on failed."""
    text = f"Internal error occurred: {message}"
    return _status(500, "InternalError", text, {"causes": [{"message": message}]})


def not_allowed() -> Problem:
    """405: the resource has no such verb."""
    text = "the server does not allow this method on the requested resource"
    return _status(405, "MethodNotAllowed", text, {})


def not_modelled(what: str) -> Problem:
    """501: a real API server does this; the sandbox does not, and says so instead of inventing an answer."""
    return _status(501, "NotImplemented", f"azure-sandbox: {what} is not modelled", {})
