"""The facts about a cluster's surroundings that preflight needs. None means that a fact could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aks_entra.core.cluster import LinkedRight
from aks_entra.core.doors.model import Door
from aks_entra.core.evidence.admin_reads import AdminRead
from aks_entra.core.evidence.rotation_debt import OldCredentials
from aks_entra.core.group_drift import Drift
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.preflight.audit_callers import AuditedCallers
from aks_entra.core.preflight.workloads import Inside


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """What the directory says about one group. None means that it could not be read, not zero."""

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
    eligible: int | None = None  # people who may activate a membership (Privileged Identity Management)
    prover_is_member: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A management lock that reaches the cluster: level `CanNotDelete` or `ReadOnly`, and the scope that it is on."""

    name: str
    level: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """A deny assignment that reaches the cluster, and the actions of the plan that it forbids.

    `certain` is False if it could not be read whether the assignment applies to the runner.
    """

    name: str
    scope: str
    actions: tuple[str, ...]
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An Azure Policy assignment that reaches the cluster and is about sign-in.

    `effect` is None if it could not be resolved. `admin_groups` holds the groups that the assignment sets.
    """

    name: str
    scope: str
    definition: str  # the built-in definition's GUID, lower case
    effect: str | None
    enforced: bool = True
    exempt: bool = False
    admin_groups: tuple[str, ...] = ()
    assignment: str = ""  # the assignment's resource id
    ours: bool = False  # it is the one that `keep: deny` makes


WAY_BACK: Final = "turn local accounts on again"
"""The PUT that a migration needs if it has to go back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEvaluation:
    """What Azure Policy says of one PUT. `effect` is `deny`, `audit`, or None if the answer has another one.

    `write` says in words what the PUT does. `assignment` is the assignment's id, `definition` the definition's name.
    `reference` names the definition in its initiative, or is empty.
    """

    write: str
    assignment: str
    name: str
    scope: str
    definition: str
    effect: str | None
    reference: str = ""
    ours: bool = False  # of the assignment that `keep: deny` makes


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A caller that wrote the cluster, from the activity log (90 days). `own`: it is the identity of this plan."""

    name: str
    at: str
    application: bool
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memberships:
    """The number of security groups that the prover is in, transitively, and whether it is a person's account."""

    groups: int
    person: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalAccessPolicy:
    """An enforced Conditional Access policy that may apply to the prover's sign-in to AKS, and what it requires.

    `certain` is False if the policy depends on conditions that are unknown beforehand (location, device, risk).
    """

    name: str
    controls: tuple[str, ...] = ()
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSignIn:
    """The last sign-in to AKS of a person who is in an admin group: the name, and when (ISO 8601)."""

    name: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A service that this process depends on: the variable that names it, its host, and the host's addresses."""

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
    """The versions of the tools on this machine: `1.33.2`, empty if a tool is missing, None if it is unknown."""

    kubectl: str | None = ""
    kubelogin: str | None = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSetAddition:
    """Something on a node pool's scale set that AKS did not put there: an identity, an extension or a tag.

    `what` is its kind and name in words, such as `identity shop-pods`.
    """

    scale_set: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDisruption:
    """What a preview of ARM shows about operations that recreate nodes.

    `policy` is `nodeDisruptionPolicy`: Allow, AllowDuringMaintenanceWindow or Block. `gated` names what has an upgrade
    health gate: `the cluster`, `pool a`.
    """

    policy: str = "Allow"
    gated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSeen:
    """The hub of a hook that writes the new CA there. `program`: whose secret it is, Argo CD or Flux.

    `secrets` names the secrets for this cluster. None: the hub could not be read, and `problem` says why. Otherwise
    `problem` says why the program will not sign in with its secret after the rotation.
    """

    hub: str
    namespace: str
    secrets: tuple[str, ...] | None
    problem: str = ""
    remedy: str = ""
    program: str = "Argo CD"
    hook: str = "update_argocd_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet of a pool. `free` is None if the number of free addresses could not be read."""

    id: str
    free: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """vCPUs that a subscription has left in a region: in all (`cores`), or of a family (`standardDSv5Family`)."""

    name: str
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All facts about one cluster's surroundings. None means unknown."""

    tenant_id: str  # of the cluster's subscription
    old_credentials: OldCredentials
    groups: tuple[GroupFacts, ...] = ()
    drifts: tuple[Drift, ...] = ()  # of the groups that the fleet file declares and that exist
    prover: str = ""  # the name of the identity that proves sign-in
    prover_address: str = ""  # the IP address with which this process reaches the internet; empty: unknown
    prover_is_cluster_admin: bool | None = False  # Azure RBAC Cluster Admin on this cluster
    runner: str = ""  # object id of the identity that writes; empty: unknown
    missing_permissions: tuple[str, ...] | None = ()
    linked_held: tuple[LinkedRight, ...] = ()  # of the posture's, those that the runner has
    linked_missing: tuple[LinkedRight, ...] = ()  # those that it lacks; the others are unknown
    locks: tuple[Lock, ...] | None = ()
    denials: tuple[Denial, ...] | None = ()
    unreachable: str = ""  # why the API server cannot be reached from here; empty when it can
    now: str = ""  # when the facts were read, ISO 8601
    directory_tenant: str = ""  # the tenant in which groups were looked up; empty: the subscription's
    memberships: Memberships | None = None
    person_sign_in: PersonSignIn | None = None
    sign_ins_read: bool = False  # False: it is unknown who signed in
    conditional_access: tuple[ConditionalAccessPolicy, ...] | None = None
    supported_versions: tuple[str, ...] | None = None  # minor versions that the region offers: `1.33`
    home: Home | None = None
    addresses: tuple[str, ...] | None = ()  # of the cluster: its API server and its public services
    tools: Tools | None = None
    policies: tuple[Policy, ...] | None = None
    policy_evaluations: tuple[PolicyEvaluation, ...] | None = None  # of the plan's PUTs and of the way back
    may_assign_policies: bool | None = None  # whether the runner may assign a policy to the cluster
    maintenance_windows: tuple[MaintenanceWindow, ...] | None = None
    windows_unasked: str = ""  # why the plan did not ask for them; empty: it asked
    subnets: tuple[Subnet, ...] | None = None
    node_disruption: NodeDisruption | None = None
    scale_set_additions: tuple[ScaleSetAddition, ...] | None = None
    quotas: tuple[Quota, ...] | None = None
    inside: Inside | None = None
    outside_because: str = ""  # why the workloads could not be read
    admin_credential_read: bool = False  # Azure handed out the admin credential, to read the workloads with it
    admin_read: AdminRead | None = None  # what was called with the admin credential
    writers: tuple[Writer, ...] | None = None
    callers: AuditedCallers | None = None
    callers_unread: str = ""  # why no audit log could be read
    hubs: tuple[HubSeen, ...] = ()  # where hooks write the new CA, if this plan rotates
    unread: str = ""  # why the cluster could not be read at all
    doors: tuple[Door, ...] | None = None  # None: this plan did not look at doors
