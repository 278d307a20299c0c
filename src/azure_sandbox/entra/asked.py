"""A token request, parsed: form, tenant, resource and requested permissions; and its response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from azure_sandbox.entra import errors
from azure_sandbox.entra.conditional import ARM_APP_ID
from azure_sandbox.entra.directory import Directory, Tenant
from azure_sandbox.entra.tokens import (
    AKS_AUDIENCES,
    AKS_SERVER_APP_ID,
    ARM_AUDIENCES,
    GRAPH_APP_ID,
    GRAPH_AUDIENCES,
    LIFETIME,
    LOG_ANALYTICS_APP_ID,
    LOG_ANALYTICS_AUDIENCES,
    VAULT_APP_ID,
    VAULT_AUDIENCES,
)
from azure_sandbox.front.http import Reply, Request, parsed

RESOURCES = ARM_AUDIENCES | GRAPH_AUDIENCES | AKS_AUDIENCES | LOG_ANALYTICS_AUDIENCES | VAULT_AUDIENCES
OIDC_SCOPES = frozenset({"openid", "profile", "offline_access", "email"})
ANY_TENANT = frozenset({"common", "organizations", "consumers"})
NAMES = {
    ARM_APP_ID: "Windows Azure Service Management API",
    GRAPH_APP_ID: "Microsoft Graph",
    AKS_SERVER_APP_ID: "Azure Kubernetes Service AAD Server",
}
_CHALLENGES = {"xms_cc", "capolids", "nbf", "xms_rp_ipaddr"}
_V2 = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A parsed token request.

    `resource` is the audience, `version` the endpoint's (1 or 2), `permissions` the scopes other than `.default`.
    `tenant` is None for `common` and `organizations`.
    """

    request: Request
    form: dict[str, str]
    tenant: Tenant | None
    resource: str
    version: int
    permissions: frozenset[str] = frozenset()

    @property
    def client(self) -> str:
        """Return the appId of the client."""
        return self.form["client_id"].lower()

    def more_claims(self) -> dict[str, Any]:
        """Return the claims that the `claims` parameter adds to the token. Raises a 501 for an unmodelled claim."""
        text = self.form.get("claims")
        if not text:
            return {}
        try:
            wanted = parsed(text)["access_token"]
            capabilities = (wanted.get("xms_cc") or {}).get("values", [])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise errors.malformed(self.request) from error
        if unknown := sorted(set(wanted) - _CHALLENGES):
            raise errors.not_modelled(f"the claim {unknown[0]!r} in `claims`")
        return {"xms_cc": ["cp1"]} if "cp1" in {str(it).lower() for it in capabilities} else {}


def application_of(resource: str, directory: Directory) -> str:
    """Return the appId of an audience."""
    if resource in ARM_AUDIENCES:
        return ARM_APP_ID
    if resource in GRAPH_AUDIENCES:
        return GRAPH_APP_ID
    if resource in LOG_ANALYTICS_AUDIENCES:
        return LOG_ANALYTICS_APP_ID
    if resource in VAULT_AUDIENCES:
        return VAULT_APP_ID
    found = directory.application(resource.removeprefix("api://"))
    return resource if found is None else found.app_id


def tenant_named(request: Request, directory: Directory, name: str) -> Tenant | None:
    """Return the tenant in a path. Returns None for `common` and `organizations`. Raises AADSTS90002."""
    if name.lower() in ANY_TENANT:
        return None
    tenant = directory.find_tenant(name)
    if tenant is None:
        raise errors.unknown_tenant(request, name)
    return tenant


def read(
    request: Request,
    form: dict[str, str],
    directory: Directory,
    tenant: Tenant | None,
    version: int,
    *,
    application: bool,
) -> Asked:
    """Parse the form of a token request. Raises AADSTS900144, 70011, 1002012 or 500011."""
    if version != _V2:
        if "resource" not in form:
            raise errors.missing(request, "resource")
        resource, permissions = form["resource"].removeprefix("spn:"), frozenset[str]()
    else:
        if "scope" not in form:
            raise errors.missing(request, "scope")
        resource, permissions = _resource_of(request, form["scope"], application=application)
    if resource not in RESOURCES and directory.application(resource.removeprefix("api://")) is None:
        raise errors.unknown_resource(request, resource, directory.tenant.domain)
    return Asked(request=request, form=form, tenant=tenant, resource=resource, version=version, permissions=permissions)


def _resource_of(request: Request, scope: str, *, application: bool) -> tuple[str, frozenset[str]]:
    resources: set[str] = set()
    permissions: set[str] = set()
    for name in (it for it in scope.split() if it not in OIDC_SCOPES):
        resource, slash, permission = name.rpartition("/")
        if application and permission != ".default":
            raise errors.not_default_scope(request, name)
        if not slash and "." in name[1:]:
            resource = "https://graph.microsoft.com"  # a scope without a resource is Graph's
        if not resource:
            raise errors.invalid_scope(request, name)
        resources.add(resource)
        permissions.add(permission)
    asked = OIDC_SCOPES & set(scope.split())
    if not resources and "openid" in asked and not application:
        return "https://graph.microsoft.com", asked - {"offline_access"}  # Graph owns the OpenID permissions
    if len(resources) != 1:
        raise errors.invalid_scope(request, scope)
    return resources.pop(), frozenset(permissions - {".default"})


def read_form(request: Request) -> dict[str, str]:
    """Return the form of a request. Raises AADSTS9002313 for any other body."""
    try:
        fields = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=bool(request.body))
    except ValueError as error:
        raise errors.malformed(request) from error
    return {name: values[-1] for name, values in fields.items()}


def answer(asked: Asked, access_token: str, more: dict[str, Any] | None = None) -> Reply:
    """Return a token response. v1.0 sends numbers as strings, v2.0 as numbers."""
    seconds = int(LIFETIME.total_seconds()) - 1
    now = int(asked.request.now.timestamp())
    body: dict[str, Any] = {"token_type": "Bearer", "access_token": access_token, **(more or {})}
    if asked.version != _V2:
        body |= {"expires_in": str(seconds), "ext_expires_in": str(seconds), "resource": asked.resource}
        body |= {"expires_on": str(now + seconds), "not_before": str(now)}
    else:
        body |= {"expires_in": seconds, "ext_expires_in": seconds}
    return Reply(body=body, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})
