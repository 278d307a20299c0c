"""The documents that clients read before they ask for a token: cloud, endpoints of the tenant, realm of a user."""

from __future__ import annotations

from typing import Any

from azure_sandbox.entra import errors
from azure_sandbox.entra.directory import Tenant
from azure_sandbox.front.http import Request

HOST = "login.microsoftonline.com"
_V2 = 2


def instances(request: Request) -> dict[str, Any]:
    """Return the instance discovery document: the hosts of this cloud. Raises AADSTS50049 for another cloud's host."""
    endpoint = request.query.get("authorization_endpoint", "")
    if not endpoint.lower().startswith(f"https://{HOST}/"):
        raise errors.aadsts(request, 400, "invalid_instance", 50049, "Unknown or invalid instance.")
    tenant = endpoint.split("/")[3]
    return {
        "tenant_discovery_endpoint": f"https://{HOST}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": request.query.get("api-version", "1.1"),
        "metadata": [
            {
                "preferred_network": HOST,
                "preferred_cache": "login.windows.net",
                "aliases": [HOST, "login.windows.net", "login.microsoft.com", "sts.windows.net"],
            }
        ],
    }


def openid_configuration(tenant: Tenant | None, asked: str, version: int) -> dict[str, Any]:
    """Return the endpoints and the issuer, v1.0 or v2.0, of a tenant, or of `organizations` and `common`."""
    base = f"https://{HOST}/{tenant.id if tenant else asked}"
    name = tenant.id if tenant else "{tenantid}"
    oauth, keys = ("/oauth2/v2.0", "/discovery/v2.0/keys") if version == _V2 else ("/oauth2", "/discovery/keys")
    issuer = f"https://{HOST}/{name}/v2.0" if version == _V2 else f"https://sts.windows.net/{name}/"
    return {
        "token_endpoint": f"{base}{oauth}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "jwks_uri": f"{base}{keys}",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "request_uri_parameter_supported": False,
        "authorization_endpoint": f"{base}{oauth}/authorize",
        "device_authorization_endpoint": f"{base}{oauth}/devicecode",
        "http_logout_supported": True,
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "name", "tid", "ver"],
        "tenant_region_scope": None,
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
    }


def user_realm(domain: str, *, managed: bool) -> dict[str, Any]:
    """Return whether Entra manages the domain's users (`managed`) or does not know it."""
    if not managed:
        return {"ver": "1.0", "account_type": "Unknown", "domain_name": domain}
    return {
        "ver": "1.0",
        "account_type": "Managed",
        "domain_name": domain,
        "cloud_instance_name": "microsoftonline.com",
        "cloud_audience_urn": "urn:federation:MicrosoftOnline",
    }
