"""Client assertions: signed with a certificate of the application, or by an issuer that it trusts.

Sources: Entra's certificate-credentials and workload-identity-federation pages; the words of AADSTS700213 from a
published log, those of 700027 from msal-node#8339, the others from Entra's error reference.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any, cast

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from azure_sandbox.entra import errors
from azure_sandbox.entra.asked import Asked
from azure_sandbox.entra.directory import Directory, FederatedCredential, ServicePrincipal
from azure_sandbox.entra.discovery import HOST
from azure_sandbox.front.http import Problem

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SKEW = 300  # seconds
_UNVERIFIED = {"verify_signature": False}
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256")


def prove(asked: Asked, application: ServicePrincipal, directory: Directory) -> None:
    """Check that the assertion authenticates the application. Raises Entra's error if it does not."""
    form = asked.form
    if form.get("client_assertion_type") != TYPE:
        raise errors.missing(asked.request, "client_assertion_type")
    try:
        header = jwt.get_unverified_header(form["client_assertion"])
        claims = jwt.decode(form["client_assertion"], options=cast("Any", _UNVERIFIED))
    except (jwt.PyJWTError, RecursionError) as error:
        raise _refused(asked, 50027, "JWT token is invalid or malformed.") from error
    if str(claims.get("iss", "")).lower() == application.app_id.lower():
        _by_certificate(asked, application, directory, header, claims)
    else:
        _by_federation(asked, application, directory, header, claims)


def _by_certificate(
    asked: Asked, application: ServicePrincipal, directory: Directory, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    known = {name: der for der in directory.certificates_of(application) for name in thumbprints(der)}
    named = header.get("x5t#S256") or header.get("x5t")
    if not isinstance(named, str):
        raise _refused(asked, 50027, "Invalid JWT token. No certificate thumbprint specified in token header.")
    der = known.get(named.rstrip("="))
    if der is None:
        raise _unregistered(asked, "The key was not found.", named)
    certificate = x509.load_der_x509_certificate(der)
    now = asked.request.now
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise _unregistered(asked, "The key used is expired.", named)
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise errors.not_modelled("a certificate whose key is not RSA")
    try:
        jwt.decode(asked.form["client_assertion"], key, algorithms=["RS256", "PS256"], options=cast("Any", _LOOSE))
    except jwt.PyJWTError as error:
        reason = "The provided signature value did not match the expected signature value."
        raise _unregistered(asked, reason, named) from error
    tenant = directory.tenant
    endpoints = {f"https://{HOST}/{it}/{path}" for it in (tenant.id, tenant.domain) for path in _AUDIENCE_PATHS}
    if not endpoints & _audiences(claims):
        raise _refused(asked, 50012, "Client assertion audience claim does not match Realm issuer.")
    _in_time(asked, claims)
    if str(claims.get("sub", "")).lower() != application.app_id.lower():
        raise _refused(asked, 700021, "Client assertion application identifier doesn't match 'client_id' parameter.")


def _by_federation(
    asked: Asked, application: ServicePrincipal, directory: Directory, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    subject, issuer = str(claims.get("sub", "")), str(claims.get("iss", ""))
    if not application.federated:
        words = f"The client '{application.app_id}' has no configured federated identity credentials."
        raise _refused(asked, 70025, words)
    if not any(it.issuer == issuer for it in application.federated):
        raise _unmatched(asked, 700211, "issuer", issuer)
    if not any((it.issuer, it.subject) == (issuer, subject) for it in application.federated):
        raise _unmatched(asked, 700213, "subject", subject)
    if not any(_fits(it, claims) for it in application.federated):
        raise _unmatched(asked, 700212, "audience", ", ".join(sorted(_audiences(claims))))
    keys = [
        it for it in directory.issuers.get(issuer, {}).get("keys", ()) if it.get("kid") in {None, header.get("kid")}
    ]
    for entry in keys:
        try:
            jwt.decode(
                asked.form["client_assertion"],
                jwt.PyJWK(entry),
                algorithms=list(_ALGORITHMS),
                options=cast("Any", _LOOSE),
            )
        except jwt.PyJWTError:
            continue
        _in_time(asked, claims)
        return
    words = "Assertion failed signature validation. [Reason - The key was not found.]"
    raise _refused(asked, 50013, f"{words} The issuer is {issuer}.")


_LOOSE = {
    "verify_aud": False,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}  # compared in this module
_AUDIENCE_PATHS = ("oauth2/v2.0/token", "oauth2/token", "v2.0")


def _fits(credential: FederatedCredential, claims: dict[str, Any]) -> bool:
    same = (credential.issuer, credential.subject) == (claims.get("iss"), claims.get("sub"))
    return same and credential.audience in _audiences(claims)


def _audiences(claims: dict[str, Any]) -> set[str]:
    audience = claims.get("aud", [])
    return {audience} if isinstance(audience, str) else {str(it) for it in audience}


def _in_time(asked: Asked, claims: dict[str, Any]) -> None:
    try:
        start, end = float(claims.get("nbf", 0)), float(claims["exp"])
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(asked, 50027, "Invalid JWT token. Token is missing 'exp'.") from error
    if not start - SKEW <= asked.request.now.timestamp() < end + SKEW:
        ends = datetime.fromtimestamp(end, UTC)
        raise _refused(
            asked,
            700024,
            "Client assertion is not within its valid time range. Current time: "
            f"{asked.request.now:%Y-%m-%dT%H:%M:%SZ}, expiry time of assertion {ends:%Y-%m-%dT%H:%M:%SZ}.",
        )


def thumbprints(der: bytes) -> tuple[str, ...]:
    """Return a certificate's `x5t` and `x5t#S256`. Older clients send SHA-1 in the first, newer ones either."""
    digests = (hashlib.sha1(der, usedforsecurity=False).digest(), hashlib.sha256(der).digest())
    return tuple(base64.urlsafe_b64encode(it).decode().rstrip("=") for it in digests)


def _refused(asked: Asked, code: int, words: str) -> Problem:
    return errors.aadsts(asked.request, 401, "invalid_client", code, words)


def _unregistered(asked: Asked, reason: str, named: str) -> Problem:
    try:
        printed = base64.urlsafe_b64decode(named + "=" * (-len(named) % 4)).hex().upper()
    except ValueError:
        printed = named
    return _refused(
        asked,
        700027,
        f"The certificate with identifier used to sign the client assertion is not registered on application. [Reason "
        f"- {reason}, Thumbprint of key used by client: '{printed}', Please visit the Azure Portal, Graph Explorer or "
        f"directly use MS Graph to see configured keys for app Id '{asked.client}'.]",
    )


def _unmatched(asked: Asked, code: int, what: str, value: str) -> Problem:
    return _refused(
        asked,
        code,
        f"No matching federated identity record found for presented assertion {what} '{value}'. Check your federated "
        "identity credential Subject, Audience and Issuer against the presented assertion. "
        "https://learn.microsoft.com/entra/workload-id/workload-identity-federation",
    )
