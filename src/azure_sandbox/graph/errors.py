"""Graph's refusals. The ids of the request are put into each by `azure_sandbox.graph.service`."""

from __future__ import annotations

from azure_sandbox.http import Problem


def problem(status: int, code: str, message: str) -> Problem:
    """Any refusal in Graph's envelope."""
    return Problem(status, {"error": {"code": code, "message": message}})


def bad_request(message: str) -> Problem:
    """400: what was asked makes no sense."""
    return problem(400, "Request_BadRequest", message)


def invalid_value(name: str, resource: str = "Group") -> Problem:
    """400: a property has a value that it cannot have."""
    return bad_request(f"Invalid value specified for property '{name}' of resource '{resource}'.")


def not_found(object_id: str) -> Problem:
    """404: there is no such object, or it has not been replicated yet."""
    return problem(
        404,
        "Request_ResourceNotFound",
        f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present.",
    )


def denied() -> Problem:
    """403: the token lacks a permission."""
    return problem(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def not_modelled(what: str) -> Problem:
    """501: the real Graph may know this; the sandbox does not, and says so instead of guessing."""
    return problem(501, "SandboxNotModelled", f"The sandbox's Microsoft Graph does not model {what}.")
