"""Client credentials: an application authenticates with a secret or an assertion. Conditional Access does not apply."""

from __future__ import annotations

import hmac

from azure_sandbox.entra import assertions, errors
from azure_sandbox.entra.asked import Asked, answer
from azure_sandbox.entra.directory import Directory, ServicePrincipal
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.http import Reply


def sign_in(asked: Asked, directory: Directory, tokens: Tokens) -> Reply:
    """Return a token for the application itself. Raises Entra's error."""
    if asked.tenant is None:
        raise errors.aadsts(
            asked.request,
            400,
            "invalid_request",
            50059,
            "No tenant-identifying information found in either the request or implied by any provided credentials.",
        )
    application = directory.application(asked.client)
    if application is None and asked.tenant is directory.tenant and directory.registration(asked.client):
        raise errors.aadsts(
            asked.request,
            400,
            "unauthorized_client",
            7000229,
            f"The client application {asked.client} is missing service principal in the tenant {asked.tenant.id}.",
        )
    if application is None or asked.tenant is not directory.tenant:
        raise errors.unknown_application(
            asked.request, asked.form["client_id"], asked.tenant.display_name or asked.tenant.domain
        )
    prove(asked, application, directory)
    if not application.enabled:
        raise errors.aadsts(
            asked.request,
            400,
            "unauthorized_client",
            7000112,
            f"Application '{application.app_id}'({application.display_name}) is disabled.",
        )
    method = "2" if "client_assertion" in asked.form else "1"
    return answer(asked, tokens.issue(application, audience=asked.resource, method=method, more=asked.more_claims()))


def prove(asked: Asked, application: ServicePrincipal, directory: Directory) -> None:
    """Check that the form holds a credential of the application. Raises AADSTS7000215, 7000218, 7000222 or 700027."""
    if "client_assertion" in asked.form:
        assertions.prove(asked, application, directory)
        return
    if "client_secret" not in asked.form:
        raise errors.no_credential(asked.request)
    valid, expired = directory.secrets_of(application)
    if _among(asked.form["client_secret"], expired):
        raise errors.aadsts(
            asked.request,
            401,
            "invalid_client",
            7000222,
            f"The provided client secret keys for app '{application.app_id}' are expired. Visit the Azure portal to "
            "create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials "
            "for added security: https://aka.ms/certCreds.",
        )
    if not _among(asked.form["client_secret"], valid):
        raise errors.aadsts(
            asked.request,
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            f"not the client secret ID, for a secret added to app '{application.app_id}'.",
        )


def _among(secret: str, known: list[str]) -> bool:
    return any(hmac.compare_digest(secret.encode(), it.encode()) for it in known)
