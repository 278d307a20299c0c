"""What the access commands need of the directory, of Azure RBAC, of Kubernetes RBAC and of the machine, beside `ports`.

The same contract: every call raises the four errors of `aks_entra.errors` and nothing else; a read for which a right is
missing raises Refused with status 403, and `access_survey` alone turns that into "unknown".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from aks_entra.core.access import PolicyResult, Token
from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.conditional_access import SeenSignIn, StandingPolicy, WantedPolicy
from aks_entra.core.doctor import Reach, Tool
from aks_entra.core.grants import Ask, Grant, Principal
from aks_entra.core.pim import ActivationPolicy, Kind, Membership, MembershipAsk, MembershipRequest
from aks_entra.core.rules import Binding, HeldRole
from aks_entra.core.wishes import Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSpec:
    """A person's own sign-in: the public client that they sign in to, and how. `tell` shows them what to do."""

    client_id: str
    tell: Callable[[str], None]
    login: Literal["devicecode", "interactive"] = "devicecode"
    tenant_id: str = ""  # empty: AZURE_TENANT_ID, or any organization's


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an API server answered to a SubjectAccessReview."""

    allowed: bool
    reason: str = ""


class Machine(Protocol):
    """The machine that one works on."""

    async def tools(self) -> tuple[Tool, ...]:
        """az, kubectl, kubelogin and helm, found or not."""

    async def reach(self, now: datetime) -> tuple[Reach, ...]:
        """Whether Azure's hosts answer, and how far their clocks are from `now`."""


class People(Protocol):
    """Who there is in the directory, and in which groups."""

    async def principal(self, name: str) -> Principal:
        """A user (by UPN or id), group or service principal (by appId or id). Refused when there is none."""

    async def principals(self, ids: tuple[str, ...]) -> Mapping[str, Principal]:
        """Those of the objects that exist, by id in lower case."""

    async def groups_of(self, principal_id: str) -> frozenset[str]:
        """Security groups that hold it, transitively: what a token carries."""

    async def direct_groups_of(self, principal_id: str) -> frozenset[str]:
        """Groups that hold it themselves."""

    async def members_of(self, group_id: str) -> tuple[Principal, ...]:
        """Everybody in a group, transitively: users and service principals."""


class RoleAssignments(Protocol):
    """Azure RBAC on clusters and their namespaces."""

    async def held(self, cluster: ClusterId, principal_id: str | None) -> tuple[HeldRole, ...]:
        """Role assignments at, above and below a cluster: of one principal and its groups, or (None) of everybody."""

    async def grants(self, subscription_id: str) -> tuple[Grant, ...]:
        """Every grant of ours in a subscription, whichever cluster it is for."""

    async def assign(self, ask: Ask, text: str) -> Grant:
        """PUT under the request's own name, with principalType and the text with its end.

        TryLater while the principal is not replicated; Refused (RoleAssignmentExists) when an assignment that is not
        ours says the same.
        """

    async def remove(self, grant: Grant) -> bool:
        """DELETE; whether it was there."""


class Bindings(Protocol):
    """Kubernetes RBAC of one cluster, as the prover sees it."""

    async def bindings(self, posture: Posture) -> tuple[Binding, ...]:
        """Every binding with the rules of its role."""

    async def grants(self, posture: Posture) -> tuple[Grant, ...]:
        """The bindings that are grants of ours."""

    async def bind(self, posture: Posture, ask: Ask, text: str) -> Grant:
        """Create the binding under the request's own name; one that is there is left as it is."""

    async def unbind(self, posture: Posture, grant: Grant) -> bool:
        """Delete it; whether it was there."""

    async def would_allow(self, posture: Posture, token: Token, wish: Wish) -> Answer:
        """What the API server says to a token that carries this (SubjectAccessReview)."""


class GroupPim(Protocol):
    """Privileged Identity Management for Groups."""

    async def memberships(self, *, group_id: str = "", principal_id: str = "") -> tuple[Membership, ...]:
        """Eligible and active memberships that stand now, of a group or of a principal (exactly one is given)."""

    async def ask(self, ask: MembershipAsk) -> MembershipRequest:
        """Give (adminAssign) or activate (selfActivate) a membership. TryLater on SubjectNotFound of a fresh group."""

    async def request(self, request_id: str) -> MembershipRequest:
        """What has become of a request for an active membership."""

    async def end(
        self, kind: Kind, group_id: str, principal_id: str, reason: str, *, own: bool
    ) -> MembershipRequest | None:
        """End a membership (adminRemove, or selfDeactivate); None when there was none."""

    async def waiting(self) -> tuple[MembershipRequest, ...]:
        """Requests that wait for a decision of the caller."""

    async def decide(self, approval_id: str, *, approve: bool, reason: str) -> None:
        """Approve or deny a request's activation."""

    async def policy(self, group_id: str) -> ActivationPolicy | None:
        """The activation policy of a group's members; None when the group has none (not onboarded)."""

    async def set_policy(self, group_id: str, policy: ActivationPolicy) -> None:
        """Write the rules that differ."""

    async def create_group(
        self, name: str, unique_name: str, description: str, owners: tuple[str, ...]
    ) -> tuple[str, bool]:
        """A role-assignable security group under its uniqueName: (object id, created)."""


class SignInPolicies(Protocol):
    """Conditional Access for the AKS server application."""

    async def evaluate(self, user_id: str) -> tuple[PolicyResult, ...]:
        """What-if of a sign-in of this user with kubectl."""

    async def named(self, name: str) -> tuple[StandingPolicy, ...]:
        """The policies of this display name."""

    async def create(self, wanted: WantedPolicy) -> StandingPolicy:
        """POST, report-only."""

    async def update(self, policy_id: str, wanted: WantedPolicy, *, state: str) -> None:
        """PATCH of everything that was asked for, and of the state."""

    async def sign_ins(self, policy_id: str, since: datetime, user_id: str = "") -> tuple[SeenSignIn, ...]:
        """Sign-ins at the AKS server application, newest first, with what this policy said to each."""

    async def ensure_server_application(self) -> bool:
        """See that the AKS server application has a service principal in the tenant; whether it was created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPorts:
    """Everything that the access commands reach the world through, beside `ports.Ports`."""

    people: People
    roles: RoleAssignments
    bindings: Bindings
    pim: GroupPim
    policies: SignInPolicies
