"""Which clients a user may sign in with, and their delegated permissions: preauthorized or consented.

Sources: ids of entra-wire-facts section 0; AADSTS65001 and 65002 from Entra's error reference. The tokens of the Azure
CLI show that it has no permission for PIM or Conditional Access.
"""

from __future__ import annotations

from azure_sandbox.entra import applications, errors
from azure_sandbox.entra.asked import NAMES, Asked, application_of
from azure_sandbox.entra.conditional import ARM_APP_ID
from azure_sandbox.entra.directory import Directory, ServicePrincipal
from azure_sandbox.entra.tokens import AKS_SERVER_APP_ID, AZURE_CLI, AZURE_CLI_SCOPES, GRAPH_APP_ID
from azure_sandbox.front.http import Request

AKS_CLIENT = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
_IMPERSONATION = frozenset({"user_impersonation"})
_AKS_USER = frozenset({"user.read"})
PREAUTHORIZED: dict[str, dict[str, frozenset[str]]] = {
    AKS_CLIENT: {AKS_SERVER_APP_ID: _AKS_USER},
    AZURE_CLI: {ARM_APP_ID: _IMPERSONATION, AKS_SERVER_APP_ID: _AKS_USER, GRAPH_APP_ID: AZURE_CLI_SCOPES},
}
CLIENT_NAMES = {AKS_CLIENT: "Azure Kubernetes Service AAD Client", AZURE_CLI: "Microsoft Azure CLI"}


def client_name(client_id: str, directory: Directory) -> str:
    """Return the display name of the client."""
    found = directory.application(client_id)
    return CLIENT_NAMES.get(client_id.lower()) or (found.display_name if found else client_id)


def resource_name(app_id: str, directory: Directory) -> str:
    """Return the display name of the resource."""
    found = directory.application(app_id)
    return NAMES.get(app_id) or (found.display_name if found else app_id)


def known(request: Request, client_id: str, directory: Directory) -> ServicePrincipal | None:
    """Return the client if it is registered in this tenant, None for a client of Microsoft's. Raises AADSTS700016."""
    found = directory.application(client_id)
    if found is None and client_id.lower() not in PREAUTHORIZED:
        raise errors.unknown_application(request, client_id, directory.tenant.display_name or directory.tenant.domain)
    return found


def scopes(asked: Asked, directory: Directory) -> frozenset[str]:
    """Return the delegated permissions of the token. Raises AADSTS65001 or 65002 if some or all are missing."""
    resource = application_of(asked.resource, directory)
    application = known(asked.request, asked.form["client_id"], directory)
    wanted = {it.lower() for it in asked.permissions}
    if application is None:
        granted = PREAUTHORIZED[asked.client].get(resource, frozenset())
        if not granted or wanted - {it.lower() for it in granted}:
            raise errors.not_preauthorized(asked.request, asked.client, resource)
        return granted
    granted = _consented(application, resource)
    if not granted or wanted - {it.lower() for it in granted}:
        raise errors.no_consent(asked.request, application.app_id, application.display_name)
    return granted


def must_be_let_in(asked: Asked, directory: Directory) -> None:
    """Check the credential of a client that is not public. Raises AADSTS7000218 and similar errors."""
    application = known(asked.request, asked.form["client_id"], directory)
    if application is not None and not (application.public and "client_assertion" not in asked.form):
        applications.prove(asked, application, directory)


def _consented(application: ServicePrincipal, resource: str) -> frozenset[str]:
    found = set()
    for permission in application.delegated:
        prefix, slash, name = permission.rpartition("/")
        owner = {"https://management.azure.com": ARM_APP_ID}.get(prefix, prefix) if slash else GRAPH_APP_ID
        if owner.lower() == resource.lower():
            found.add(name)
    return frozenset(found)
