"""What is read around a cluster for its plan: each thing on its own, and None where it could not be read."""

from __future__ import annotations

from dataclasses import dataclass

from aks_entra.core.callers import AuditedCallers
from aks_entra.core.debt import OldCredentials
from aks_entra.core.groups import Drift
from aks_entra.core.preflight.inside import Inside
from aks_entra.core.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """What the directory says of one group. None means: could not be read, which is never the same as "none"."""

    id: str
    display_name: str = ""
    exists: bool = True
    security_enabled: bool = True
    mail_enabled: bool = False
    deleted_on: str | None = None
    restorable_until: str | None = None
    members: int | None = None  # transitive, active
    people: int | None = None  # enabled users among them
    guests: int | None = None  # enabled users among them who are guests
    eligible: int | None = None  # who may activate a membership (Privileged Identity Management)
    prover_is_member: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A management lock that reaches the cluster: level `CanNotDelete` or `ReadOnly`, and the scope it stands on."""

    name: str
    level: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An assignment of Azure Policy that reaches the cluster and is about how people sign in.

    `effect` None: it could not be resolved. `admin_groups`: what the assignment sets, of the policy that sets them.
    """

    name: str
    scope: str
    definition: str  # the built-in definition's GUID, lower case
    effect: str | None
    enforced: bool = True
    exempt: bool = False
    admin_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who wrote the cluster in Azure, as the activity log (90 days) has it; newest first. `own`: who plans this."""

    name: str
    at: str
    application: bool
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memberships:
    """How many security groups, transitively, the prover is in; whether it is a person's account."""

    groups: int
    person: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRule:
    """An enforced Conditional Access policy that the prover's sign-in to AKS meets, and what it asks for.

    `certain`: whether it applies does not rest on what is not known beforehand (place, device, risk).
    """

    name: str
    controls: tuple[str, ...] = ()
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A service that this process depends on: the variable that names it, its host, and where that leads to."""

    variable: str
    host: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where this process runs. `ca`: SHA-256 of the CA of the cluster that it runs in; None when it cannot be read."""

    in_cluster: bool = False
    ca: str | None = None
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What people type with, as it stands on this machine: `1.33.2`; empty when it is not there, None: unreadable."""

    kubectl: str | None = ""
    kubelogin: str | None = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet that pools take their addresses from; `free` None: could not be read."""

    id: str
    free: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """vCPUs that a subscription has left in a region: in all (`cores`), or of a family (`standardDSv5Family`)."""

    name: str
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was read around a cluster for its plan. None means unknown."""

    tenant_id: str  # of the cluster's subscription
    old_credentials: OldCredentials
    groups: tuple[GroupFacts, ...] = ()
    drifts: tuple[Drift, ...] = ()  # of the groups that the fleet file declares and that exist
    prover: str = ""  # what a person calls the identity that proves sign-in
    prover_is_cluster_admin: bool | None = False  # Azure RBAC Cluster Admin on this cluster
    missing_permissions: tuple[str, ...] | None = ()
    locks: tuple[Lock, ...] | None = ()
    unreachable: str = ""  # why the API server cannot be reached from here; empty when it can
    now: str = ""  # when it was read, ISO 8601
    directory_tenant: str = ""  # of the directory that groups were looked up in; empty: the subscription's
    memberships: Memberships | None = None
    sign_in_rules: tuple[SignInRule, ...] | None = None
    supported_versions: tuple[str, ...] | None = None  # minors that the region offers: `1.33`
    home: Home | None = None
    addresses: tuple[str, ...] | None = ()  # that the cluster answers under: its API server, what it publishes
    tools: Tools | None = None
    policies: tuple[Policy, ...] | None = None
    windows: tuple[Window, ...] | None = None
    subnets: tuple[Subnet, ...] | None = None
    quotas: tuple[Quota, ...] | None = None
    inside: Inside | None = None
    outside_because: str = ""  # why nothing inside of it could be read
    writers: tuple[Writer, ...] | None = None
    callers: AuditedCallers | None = None
    callers_unread: str = ""  # why no audit log could be read
