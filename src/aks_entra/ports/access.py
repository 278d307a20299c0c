"""The calls that the access commands make to Azure RBAC, Kubernetes RBAC, PIM and Conditional Access.

Every call raises only the four errors of `aks_entra.errors`. A read without the needed right raises Refused with status
403, and only `access.explain` turns that into "unknown".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from aks_entra.core.access.access_facts import PolicyResult
from aks_entra.core.access.conditional_access import ExistingPolicy, SeenSignIn, WantedPolicy
from aks_entra.core.access.explanation import Token
from aks_entra.core.access.grants import Ask, Grant
from aks_entra.core.access.pim import ActivationPolicy, Kind, Membership, MembershipAsk, MembershipRequest
from aks_entra.core.access.rbac import Binding, RoleAssignment
from aks_entra.core.access.resource_access import ResourceAttributes
from aks_entra.core.cluster import ClusterId, Posture


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSpec:
    """How a person signs in: the public client, and device code or browser. `tell` shows the person what to do."""

    client_id: str
    tell: Callable[[str], None]
    login: Literal["devicecode", "interactive"] = "devicecode"
    tenant_id: str = ""  # empty: AZURE_TENANT_ID, or any organization's


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an API server answered to a SubjectAccessReview."""

    allowed: bool
    reason: str = ""


class RoleAssignments(Protocol):
    """Azure RBAC on clusters and their namespaces."""

    async def held(self, cluster: ClusterId, principal_id: str | None) -> tuple[RoleAssignment, ...]:
        """Return the role assignments at, above and below a cluster.

        With a principal, return only those of the principal and its groups.
        """

    async def grants(self, subscription_id: str) -> tuple[Grant, ...]:
        """Return every grant of ours in a subscription, for all its clusters."""

    async def assign(self, ask: Ask, text: str) -> Grant:
        """PUT under the request's own name, with principalType and the text with its end.

        TryLater while the principal is not replicated. Refused (RoleAssignmentExists) if somebody else made the same
        assignment.
        """

    async def remove(self, grant: Grant) -> bool:
        """DELETE the role assignment. Returns whether it existed."""


class Bindings(Protocol):
    """Kubernetes RBAC of one cluster, as the prover sees it."""

    async def bindings(self, posture: Posture) -> tuple[Binding, ...]:
        """Return every binding with the rules of its role."""

    async def grants(self, posture: Posture) -> tuple[Grant, ...]:
        """Return the bindings that are grants of ours."""

    async def bind(self, posture: Posture, ask: Ask, text: str) -> Grant:
        """Create the binding under the request's own name; one that exists is not changed."""

    async def unbind(self, posture: Posture, grant: Grant) -> bool:
        """Delete the binding. Returns whether it existed."""

    async def would_allow(self, posture: Posture, token: Token, wanted: ResourceAttributes) -> Answer:
        """Ask the API server what a token with these claims may do (SubjectAccessReview)."""


class GroupPim(Protocol):
    """Privileged Identity Management for Groups."""

    async def memberships(self, *, group_id: str = "", principal_id: str = "") -> tuple[Membership, ...]:
        """Return the present eligible and active memberships of a group or a principal. Give one of the two."""

    async def ask(self, ask: MembershipAsk) -> MembershipRequest:
        """Give (adminAssign) or activate (selfActivate) a membership. TryLater on SubjectNotFound of a fresh group."""

    async def request(self, request_id: str) -> MembershipRequest:
        """Return the present state of a request for an active membership."""

    async def end(
        self, kind: Kind, group_id: str, principal_id: str, reason: str, *, own: bool
    ) -> MembershipRequest | None:
        """End a membership (adminRemove, or selfDeactivate). Returns None if it did not exist."""

    async def waiting(self) -> tuple[MembershipRequest, ...]:
        """Return the requests that wait for a decision of the caller."""

    async def decide(self, approval_id: str, *, approve: bool, reason: str) -> None:
        """Approve or deny a request's activation."""

    async def policy(self, group_id: str) -> ActivationPolicy | None:
        """Return the activation policy of a group's members. None if the group is not onboarded to PIM."""

    async def set_policy(self, group_id: str, policy: ActivationPolicy) -> None:
        """Write the rules that differ."""

    async def create_group(
        self, name: str, unique_name: str, description: str, owners: tuple[str, ...]
    ) -> tuple[str, bool]:
        """Create a role-assignable security group under its uniqueName unless it exists: (object id, created)."""


class ConditionalAccessPolicies(Protocol):
    """Conditional Access for the AKS server application."""

    async def evaluate(self, user_id: str) -> tuple[PolicyResult, ...]:
        """Return the what-if results for a sign-in of this user with kubectl."""

    async def named(self, name: str) -> tuple[ExistingPolicy, ...]:
        """Return the policies with this display name."""

    async def create(self, wanted: WantedPolicy) -> ExistingPolicy:
        """POST the policy in state report-only."""

    async def update(self, policy_id: str, wanted: WantedPolicy, *, state: str) -> None:
        """PATCH everything that was asked for, and the state."""

    async def sign_ins(self, policy_id: str, since: datetime, user_id: str = "") -> tuple[SeenSignIn, ...]:
        """Return the sign-ins at the AKS server application, newest first, with this policy's result for each."""

    async def ensure_server_application(self) -> bool:
        """Create the service principal of the AKS server application unless it exists. Returns whether it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInApplication:
    """An application for signed approvals. `owners`: user principal names, or names or ids of applications."""

    client_id: str
    name: str
    owners: tuple[str, ...]


class SignInApplications(Protocol):
    """The registrations of applications through which people sign approvals."""

    async def found(self) -> tuple[SignInApplication, ...]:
        """Return those that carry our tag. Anybody who may register applications can make one."""

    async def make(self, name: str) -> str:
        """Make one: a public client without a secret. Returns its client id. Rejected if Graph refuses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPorts:
    """Every port that the access commands use in addition to `Ports`."""

    roles: RoleAssignments
    bindings: Bindings
    pim: GroupPim
    policies: ConditionalAccessPolicies
    applications: SignInApplications | None = None
