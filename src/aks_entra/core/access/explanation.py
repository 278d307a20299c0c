"""The answer to why a person can or cannot get into a cluster: a verdict, and reasons with their remedies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aks_entra.core.access.resource_access import ResourceAttributes

OVERAGE: Final = 200
"""A token has room for this many groups."""
CREDENTIAL_ACTION: Final = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
ADMIN_ACTION: Final = "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action"
ACCESS_ADMIN: Final = "an Owner, User Access Administrator or Role Based Access Control Administrator of the cluster"
DIRECTORY_ADMIN: Final = (
    "an owner of the group, or a Groups Administrator (Privileged Role Administrator if role-assignable)"
)
CONTRIBUTOR: Final = "anybody with Azure Kubernetes Service Contributor on the cluster"


class Effect(StrEnum):
    """How a reason affects the answer."""

    GRANTS = "grants"
    BLOCKS = "blocks"
    WARNS = "warns"
    TELLS = "tells"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason for the answer: what was seen, what to do about it, and who can do it."""

    rule: str
    effect: Effect
    message: str
    remedy: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token that is issued now would contain."""

    username: str
    object_id: str
    tenant_id: str
    groups: tuple[str, ...] | None
    overage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer: whether the person is allowed (None: not known), with which token, and why."""

    wanted: ResourceAttributes
    allowed: bool | None
    kubeconfig: bool | None  # whether the person may fetch it
    token: Token
    reasons: tuple[Reason, ...]

    @property
    def because(self) -> str:
        """The answer in one line."""
        wanted = {True: Effect.GRANTS, False: Effect.BLOCKS, None: Effect.UNKNOWN}[self.allowed]
        return next((one.message for one in self.reasons if one.effect is wanted), "nothing allows it")


def reason(rule: str, effect: Effect, message: str, remedy: str = "", by: str = "") -> Reason:
    """Make a reason. `by` says who can apply the remedy."""
    return Reason(rule=rule, effect=effect, message=message, remedy=remedy, by=by)
