"""The facts from which doors are weighed. A fact that could not be read is `Unread` and says why."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from aks_entra.core.cluster import Posture


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A fact that could not be read: why, and the right or the change that would make it readable."""

    why: str
    remedy: str = ""


NOBODY_LOOKED: Final = Unread(why="nobody looked")
"""A fact that this run did not ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtAuthenticator:
    """One of ARM's `jwtAuthenticators`: an issuer of tokens that the API server accepts as well as Entra ID's."""

    name: str
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A CertificateSigningRequest for the signer `kubernetes.io/kube-apiserver-client`.

    `status` is `pending`, `approved`, `issued` (approved, with a certificate), `denied` or `failed`.
    """

    name: str
    requester: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Who holds a right, each with the way: `dana: edit by rolebinding shop/team`.

    `administrators` may do everything in the cluster and sign in with Entra ID. `conditional` hold the right only under
    a condition, which is not evaluated here. `own` are the holders that Kubernetes and AKS bring themselves.
    `unread` says why there may be more holders.
    """

    who: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorFacts:
    """Everything that was read about the doors of one cluster."""

    posture: Posture | Unread = NOBODY_LOOKED
    jwt_authenticators: tuple[JwtAuthenticator, ...] | Unread = NOBODY_LOOKED
    managed_namespaces: tuple[str, ...] | Unread = NOBODY_LOOKED  # their names
    certificate_requests: tuple[CertificateRequest, ...] | Unread = NOBODY_LOOKED
    certificate_approvers: Holders | Unread = NOBODY_LOOKED
    service_account_secrets: tuple[str, ...] | Unread = NOBODY_LOOKED  # type kubernetes.io/service-account-token
    token_makers: Holders | Unread = NOBODY_LOOKED
    impersonators: Holders | Unread = NOBODY_LOOKED
    certificate_names: Holders | Unread = NOBODY_LOOKED  # subjects that only certificates or everybody can match
    unknown_principals: Holders | Unread = NOBODY_LOOKED  # subjects that the directory does not find
    run_command: Holders | Unread = NOBODY_LOOKED  # who holds its action
    credential_readers: Holders | Unread = NOBODY_LOOKED  # who may fetch a static credential, other than this program
    conditional_roles: Holders | Unread = NOBODY_LOOKED
    fleet_roles: Holders | Unread = NOBODY_LOOKED


def shown_by(posture: Posture) -> DoorFacts:
    """Return the facts that a posture shows, for a plan that asks for no others.

    Each look takes two of the requests that AKS allows once a second for all clusters of a subscription.
    """
    unasked = Unread(
        why="a plan asks about them only if `target.doors` names a door",
        remedy=f"look at them: `aks-entra doors {posture.cluster}`",
    )
    others = {one.name: unasked for one in fields(DoorFacts) if one.name != "posture"}
    return DoorFacts(posture=posture, **others)
