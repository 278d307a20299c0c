"""Errors of the token endpoint in Entra's words, with the codes that people search for."""

from __future__ import annotations

import uuid

from azure_sandbox.front.http import Problem, Request


def aadsts(request: Request, status: int, error: str, code: int, message: str, **more: object) -> Problem:
    """Return an error of the token endpoint. `error` is OAuth's error code, `code` Entra's number."""
    trace, moment = str(uuid.uuid4()), f"{request.now:%Y-%m-%d %H:%M:%S}Z"
    correlation = request.headers.get("client-request-id") or str(uuid.uuid4())
    return Problem(
        status,
        {
            "error": error,
            "error_description": (
                f"AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {moment}"
            ),
            "error_codes": [code],
            "timestamp": moment,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={code}",
            **more,
        },
        {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache", "x-ms-request-id": trace},
    )


def unknown_tenant(request: Request, name: str) -> Problem:
    """Return AADSTS90002. Discovery names it `invalid_tenant`, the token endpoint `invalid_request`."""
    return aadsts(
        request,
        400,
        "invalid_tenant" if request.method == "GET" else "invalid_request",
        90002,
        f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    )


def unknown_application(request: Request, app_id: str, tenant: str) -> Problem:
    """Return AADSTS700016."""
    return aadsts(
        request,
        400,
        "unauthorized_client",
        700016,
        f"Application with identifier '{app_id}' was not found in the directory '{tenant}'. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    )


def missing(request: Request, parameter: str) -> Problem:
    """Return AADSTS900144 for a missing parameter."""
    return aadsts(
        request,
        400,
        "invalid_request",
        900144,
        f"The request body must contain the following parameter: '{parameter}'.",
    )


def unknown_resource(request: Request, resource: str, tenant: str) -> Problem:
    """Return AADSTS500011."""
    return aadsts(
        request,
        400,
        "invalid_resource",
        500011,
        f"The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You might have sent your authentication request to the wrong tenant.",
    )


def not_default_scope(request: Request, scope: str) -> Problem:
    """Return AADSTS1002012: an application asked for a scope other than /.default."""
    return aadsts(
        request,
        400,
        "invalid_scope",
        1002012,
        f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI).",
    )


def invalid_scope(request: Request, scope: str) -> Problem:
    """Return AADSTS70011."""
    return aadsts(
        request,
        400,
        "invalid_scope",
        70011,
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter "
        f"'scope' is not valid. The scope {scope} is not valid.",
    )


def malformed(request: Request) -> Problem:
    """Return AADSTS9002313."""
    return aadsts(request, 400, "invalid_request", 9002313, "Invalid request. Request is malformed or invalid.")


def not_modelled(what: str) -> Problem:
    """Return a 501 for something that Entra may support and the sandbox does not."""
    return Problem(501, {"error": "not_modelled", "error_description": f"The sandbox does not model {what}."})


def no_credential(request: Request) -> Problem:
    """Return AADSTS7000218: a confidential client sent no credential."""
    return aadsts(
        request,
        401,
        "invalid_client",
        7000218,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    )


def no_consent(request: Request, app_id: str, name: str) -> Problem:
    """Return AADSTS65001."""
    return aadsts(
        request,
        400,
        "invalid_grant",
        65001,
        f"The user or administrator has not consented to use the application with ID '{app_id}' named '{name}'. Send "
        "an interactive authorization request for this user and resource.",
        suberror="consent_required",
    )


def not_preauthorized(request: Request, app_id: str, resource: str) -> Problem:
    """Return AADSTS65002: a client of Microsoft's has only the permissions that Microsoft preauthorized."""
    return aadsts(
        request,
        400,
        "invalid_grant",
        65002,
        f"Consent between first party application '{app_id}' and first party resource '{resource}' must be configured "
        "via preauthorization - applications owned and operated by Microsoft must get approval from the API owner "
        "before requesting tokens for that API.",
    )
