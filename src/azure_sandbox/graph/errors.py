"""Graph's refusals. `azure_sandbox.graph.service` adds the ids of the request to each."""

from __future__ import annotations

from azure_sandbox.front.http import Problem


def problem(status: int, code: str, message: str) -> Problem:
    """Return a refusal in Graph's envelope."""
    return Problem(status, {"error": {"code": code, "message": message}})


def bad_request(message: str) -> Problem:
    """Return Graph's 400 for a malformed request."""
    return problem(400, "Request_BadRequest", message)


def invalid_value(name: str, resource: str = "Group") -> Problem:
    """Return Graph's 400 for an invalid value of a property."""
    return bad_request(f"Invalid value specified for property '{name}' of resource '{resource}'.")


def not_found(object_id: str) -> Problem:
    """Return Graph's 404 for an object that does not exist or is not replicated yet."""
    return problem(
        404,
        "Request_ResourceNotFound",
        f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present.",
    )


def conflict(name: str) -> Problem:
    """Return Graph's 400 for a value that another object has."""
    refusal = bad_request(f"Another object with the same value for property {name} already exists.")
    refusal.body["error"]["details"] = [{"code": "ObjectConflict", "target": name}]
    return refusal


def already_there(relation: str) -> Problem:
    """Return Graph's 400 for an object that is in a relation already."""
    return bad_request(
        f"One or more added object references already exist for the following modified properties: '{relation}'."
    )


def denied() -> Problem:
    """Return Graph's 403 for a missing permission."""
    return problem(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def not_modelled(what: str) -> Problem:
    """Return a 501 that names what the sandbox's Graph does not model."""
    return problem(501, "SandboxNotModelled", f"The sandbox's Microsoft Graph does not model {what}.")
