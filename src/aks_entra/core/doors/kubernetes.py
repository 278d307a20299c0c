"""The doors in Kubernetes: certificates, service-account tokens, impersonation, and names that Entra ID does not give.

Sources: Kubernetes' pages on certificate signing requests (who approves needs `approve` on the signer), on service
accounts (a Secret of their type holds a token without an end), and on authentication (impersonation). The right to
`sign` opens nothing by itself: it needs the key of the cluster's CA, which only the control plane has.
"""

from __future__ import annotations

from typing import Final

from aks_entra.core.doors.facts import CertificateRequest, DoorFacts, Holders, Unread
from aks_entra.core.doors.holders import weigh
from aks_entra.core.doors.model import Door, DoorKind, door_kind

CLIENT_CERTIFICATES: Final = "client-certificates"
SERVICE_ACCOUNT_TOKENS: Final = "service-account-tokens"
IMPERSONATION: Final = "impersonation"
CERTIFICATE_NAMES: Final = "certificate-names"
UNKNOWN_PRINCIPALS: Final = "unknown-principals"

_BINDING: Final = "delete the bindings, or bind groups of Entra ID by their object ids"


@door_kind(CLIENT_CERTIFICATES, "Client certificates from signing requests")
def client_certificates(facts: DoorFacts) -> Door:
    """Someone who may approve a CertificateSigningRequest can make a client certificate for any name."""
    found = facts.certificate_requests
    requests = found if isinstance(found, Unread) else Holders(who=tuple(_request(one) for one in found if _gives(one)))
    return weigh(
        CLIENT_CERTIFICATES,
        requests,
        facts.certificate_approvers,
        proof="no request for the signer kubernetes.io/kube-apiserver-client waits or was approved, "
        "and only administrators may approve one",
        remedy="take `certificatesigningrequests/approval` from these roles; a rotation ends certificates that exist",
    )


@door_kind(SERVICE_ACCOUNT_TOKENS, "Tokens of service accounts")
def service_account_tokens(facts: DoorFacts) -> Door:
    """A Secret of type kubernetes.io/service-account-token holds a token without an end; some may make new tokens."""
    found = facts.service_account_secrets
    secrets = found if isinstance(found, Unread) else Holders(who=tuple(f"everyone who holds {one}" for one in found))
    return weigh(
        SERVICE_ACCOUNT_TOKENS,
        secrets,
        facts.token_makers,
        proof="no Secret has the type kubernetes.io/service-account-token, and only administrators may make tokens",
        remedy="delete these secrets, and take `create` of `serviceaccounts/token` from these roles",
    )


@door_kind(IMPERSONATION, "Impersonation")
def impersonation(facts: DoorFacts) -> Door:
    """Someone with the verb `impersonate` acts as another user, group or service account."""
    return weigh(
        IMPERSONATION,
        facts.impersonators,
        proof="only administrators may impersonate users, groups or service accounts",
        remedy="take the verb `impersonate` from these roles",
    )


@door_kind(CERTIFICATE_NAMES, "Bindings to names that Entra ID does not give")
def certificate_names(facts: DoorFacts) -> Door:
    """A binding to system:masters, to everybody, or to a name that only a certificate carries, bypasses Entra ID."""
    return weigh(
        CERTIFICATE_NAMES,
        facts.certificate_names,
        proof="every binding names users and groups of Entra ID, or service accounts",
        remedy=_BINDING,
    )


@door_kind(UNKNOWN_PRINCIPALS, "Bindings to principals that the directory does not know")
def unknown_principals(facts: DoorFacts) -> Door:
    """A binding to an object id or user principal name that does not exist gives access to the next account with it."""
    return weigh(
        UNKNOWN_PRINCIPALS,
        facts.unknown_principals,
        proof="the directory knows every user and group that a binding names",
        remedy=_BINDING,
    )


def _gives(request: CertificateRequest) -> bool:
    return request.status not in {"denied", "failed"}


def _request(request: CertificateRequest) -> str:
    return f"{request.requester or 'somebody'}: request {request.name} ({request.status})"


KINDS: tuple[DoorKind, ...] = (
    client_certificates,
    service_account_tokens,
    impersonation,
    certificate_names,
    unknown_principals,
)
