"""What the executor and the verifier need from Azure, Microsoft Graph, a cluster and a clock: only the calls they make.

Every call raises the four errors of `aks_entra.errors` and nothing else. Credentials never cross a port: what is held
stays in the adapters' vault under the cluster's key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aks_entra.core.callers import AuditedCallers
from aks_entra.core.cluster import CertificateAuthority, ClusterId, Posture, ServingCertificate
from aks_entra.core.debt import Record
from aks_entra.core.evidence import AdminCredentialRefused, Baseline, Credential, Node, Workload
from aks_entra.core.groups import GroupContents
from aks_entra.core.preflight import (
    GroupFacts,
    Home,
    Inside,
    Lock,
    Memberships,
    Policy,
    Quota,
    SignInRule,
    Subnet,
    Tools,
    Writer,
)
from aks_entra.core.steps import Guarded
from aks_entra.core.target import GroupTarget
from aks_entra.core.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A long-running operation of ARM: whose it is, and its own URL (polled verbatim; empty when it was lost)."""

    cluster: ClusterId
    url: str
    correlation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationState:
    """How an operation stands. ARM's status is an open set; only `Succeeded`, `Failed` and `Canceled` are ends."""

    status: str
    code: str = ""
    message: str = ""

    @property
    def terminal(self) -> bool:
        """Whether the operation ended."""
        return self.status.casefold() in {"succeeded", "failed", "canceled"}

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.status.casefold() == "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCluster:
    """A cluster to create: Microsoft Entra ID and Azure RBAC on, local accounts off from the first day."""

    cluster: ClusterId
    location: str
    admin_group_ids: tuple[str, ...]
    tenant_id: str
    azure_rbac: bool = True
    version: str | None = None  # None: Azure's default
    tier: str = "Standard"
    node_count: int = 3
    node_vm_size: str | None = None  # None: Azure chooses
    dns_prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A credential held in the vault: what may be said of it. Times are the certificate's, ISO 8601."""

    cluster: ClusterId
    has_certificate: bool
    has_static_token: bool
    ca: CertificateAuthority


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A SelfSubjectReview and a SelfSubjectAccessReview at the API server: who one is, and whether all is allowed."""

    username: str
    groups: tuple[str, ...]
    everything: bool


class Place(Protocol):
    """The one place that a person named for an admin kubeconfig."""

    def put(self, content: bytes) -> None:
        """Write the content, once. Raises Refused the second time."""


class ControlPlane(Protocol):
    """Azure Resource Manager, as far as AKS is concerned."""

    async def tenant_of(self, subscription_id: str) -> str:
        """The subscription's tenant id. Raises Refused when the subscription cannot be seen."""

    async def subscription_id(self, name_or_id: str) -> str:
        """The id of a subscription that is named by id or by display name. Refused when there is none, or two."""

    def list_clusters(self, subscription_id: str, resource_group: str | None = None) -> AsyncIterator[Posture]:
        """Every managed cluster, one page of ARM's list at a time, at depth "listed"."""

    async def cluster(self, cluster: ClusterId) -> Posture:
        """One cluster at depth "listed". Refused (code ResourceNotFound) when it does not exist."""

    async def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority:
        """The CA in the cluster's user kubeconfig; everything else in that answer is dropped at once."""

    async def missing_permissions(self, cluster: ClusterId, actions: tuple[str, ...]) -> tuple[str, ...] | None:
        """Which of the ARM actions the caller lacks on the cluster; None when that cannot be read."""

    async def is_cluster_admin(self, cluster: ClusterId, principal_id: str) -> bool | None:
        """Whether the principal holds Azure Kubernetes Service RBAC Cluster Admin here; None when unreadable."""

    async def locks(self, cluster: ClusterId, node_resource_group: str) -> tuple[Lock, ...] | None:
        """Management locks that reach the cluster or its node resource group; None: unreadable."""

    async def supported_versions(self, subscription_id: str, location: str) -> tuple[str, ...] | None:
        """The minor versions (`1.33`) that Azure offers in a region; None: unreadable."""

    async def policies(self, cluster: ClusterId) -> tuple[Policy, ...] | None:
        """Policy assignments that reach the cluster and are about how people sign in; None: unreadable."""

    async def maintenance_windows(self, cluster: ClusterId) -> tuple[Window, ...] | None:
        """The cluster's maintenance configurations; None: unreadable."""

    async def quotas(self, subscription_id: str, location: str) -> tuple[Quota, ...] | None:
        """The vCPUs that a subscription has left in a region; None: unreadable."""

    async def subnet(self, subnet_id: str) -> Subnet:
        """How many addresses a subnet has left; `free` None: unreadable."""

    async def published_addresses(self, cluster: ClusterId, node_resource_group: str) -> tuple[str, ...] | None:
        """Addresses that the cluster publishes services under: public ones and those of its load balancers."""

    async def writers(self, cluster: ClusterId) -> tuple[Writer, ...] | None:
        """Who wrote the cluster in the last 90 days, the newest first; None: unreadable."""

    async def handed_out(self, cluster: ClusterId) -> tuple[Record, ...] | None:
        """When Azure handed out an admin credential in the last 90 days: accounts were open then; None: unreadable."""

    async def enable_entra(
        self,
        cluster: ClusterId,
        expected: Guarded,
        tenant_id: str,
        admin_group_ids: tuple[str, ...],
        azure_rbac: bool | None,
    ) -> Operation:
        """PUT with `aadProfile` replaced. Reads at once before; Refused when the cluster is not as `expected`."""

    async def update_entra(
        self, cluster: ClusterId, expected: Guarded, admin_group_ids: tuple[str, ...], azure_rbac: bool
    ) -> Operation:
        """PUT with the admin groups and the Azure RBAC flag of a managed cluster changed, under the same guard."""

    async def set_local_accounts(
        self, cluster: ClusterId, expected: Guarded, *, enabled: bool, tags: tuple[tuple[str, str | None], ...] = ()
    ) -> Operation:
        """PUT with `disableLocalAccounts` changed, under the same guard; `tags` are set (None: removed)."""

    async def rotate_certificates(self, cluster: ClusterId) -> Operation:
        """POST rotateClusterCertificates, never repeated by the client. TryLater (code OperationNotAllowed) on 409."""

    async def operation(self, operation: Operation) -> OperationState:
        """One GET of the operation's own URL, verbatim."""

    async def hold_admin_credential(self, cluster: ClusterId) -> Witness | AdminCredentialRefused:
        """Fetch the admin kubeconfig into the vault, or return ARM's 400 of the disabled account as evidence."""

    async def hand_out_admin_kubeconfig(self, cluster: ClusterId, place: Place) -> None:
        """Write the admin kubeconfig to the one place. TryLater while Azure still refuses it."""

    async def subscription_ids(self) -> tuple[str, ...]:
        """The ids of the subscriptions that the caller can see."""

    async def ensure_resource_group(self, subscription_id: str, name: str, location: str) -> bool:
        """Create the resource group unless it exists; whether it was created."""

    async def create_cluster(self, spec: NewCluster) -> Operation:
        """PUT of a cluster that does not exist (If-None-Match: *). Rejected when it does."""


class Directory(Protocol):
    """Microsoft Graph, as far as admin groups are concerned."""

    async def group(self, group_id: str, *, prover: str) -> GroupFacts:
        """What the directory says of a group by id, deleted or not; `exists=False` when it never heard of it."""

    async def contents(self, group_id: str) -> GroupContents:
        """A group by id with its direct owners and members; None of those whose reading is refused."""

    async def memberships(self, principal_id: str) -> Memberships | None:
        """In how many security groups a principal is, transitively, and whether it is a person; None: unreadable."""

    async def groups_named(self, display_name: str) -> tuple[str, ...]:
        """Object ids of the groups with exactly this display name (names are not unique)."""

    async def group_with_unique_name(self, unique_name: str) -> str | None:
        """Object id of the group with this `uniqueName`."""

    async def user_id(self, name: str) -> str:
        """Object id of a user principal name or an application's service principal (by appId). Refused when unknown."""

    async def ensure_group(self, target: GroupTarget, first_member: str) -> tuple[str, bool, str]:
        """Create the group under its uniqueName unless it exists: (object id, created, request id).

        Returns when it can be read with its members from several reads in a row; TryLater before that.
        """


class Kubernetes(Protocol):
    """One cluster's API server from outside. `ca_pem` and credentials come from the vault, by the cluster's key."""

    async def handshake(self, fqdn: str) -> ServingCertificate:
        """TLS only: no credential. TryLater when nobody answers."""

    async def sign_in(self, posture: Posture, *, fresh: bool) -> SignedIn:
        """Who the prover is at the API server. `fresh`: with a token newer than any cached one (groups travel in it).

        TryLater when it does not answer, or refuses the token with 401 (groups and webhooks take a while).
        """

    async def nodes(self, posture: Posture) -> tuple[Node, ...]:
        """All nodes, as the prover sees them."""

    async def workloads(self, posture: Posture) -> tuple[Workload, ...]:
        """All deployments, daemon sets and stateful sets, as the prover sees them."""

    async def inside(self, posture: Posture) -> Inside:
        """What runs in the cluster as far as a rotation hurts it, as the prover sees it; of secrets only names."""

    async def try_credential(self, posture: Posture, credential: Credential) -> int | None:
        """Use one held credential alone against the API server, trusting the CA that serves now: the HTTP status.

        None when nothing is held, or no HTTP answer came (a TLS failure is not a refusal).
        """


class Vault(Protocol):
    """Where held credentials live: in this process's memory, keyed by cluster."""

    def holds(self, cluster: ClusterId) -> bool:
        """Whether an admin credential of the cluster is held."""

    def forget(self, cluster: ClusterId) -> None:
        """Drop it."""

    def authority(self, cluster: ClusterId) -> str | None:
        """The CA certificate (PEM, public) that was last seen to serve; None before it was read."""

    def hand_in(self, cluster: ClusterId, kubeconfig: str) -> Witness:
        """Hold what an old admin kubeconfig (YAML text) carries. Refused when it carries no static credential."""


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Journal(Protocol):
    """What must survive a death and is no secret, stored before it is needed, under digest and cluster."""

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        """The stored baseline, if one was stored."""

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        """Store it; a second one for the same cluster and digest replaces the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a token is made out to: the directory object's id, its tenant, and what a person would call it."""

    object_id: str
    tenant_id: str
    name: str = ""


class Callers(Protocol):
    """The identities at work."""

    async def runner(self) -> Caller:
        """Who speaks to ARM and Graph. Refused when no credential is found or it is refused (code AADSTS…)."""

    async def prover(self) -> Caller:
        """Who proves sign-in: the runner, unless the fleet names another. Refused as above."""


class SignInRules(Protocol):
    """The tenant's Conditional Access."""

    async def in_the_way(self, principal_id: str, *, person: bool) -> tuple[SignInRule, ...]:
        """The enforced policies that a sign-in of this identity to AKS meets. Refused where they may not be read."""


class AuditTrail(Protocol):
    """Where the audit logs of clusters are kept."""

    async def callers(self, cluster: ClusterId, days: int) -> tuple[AuditedCallers | None, str]:
        """Who called a cluster's API server in the last days; None, and why, where that is unknown."""


class Surroundings(Protocol):
    """The machine that this process runs on."""

    async def home(self) -> Home:
        """Whether it runs in a cluster, and where the services lead to that it depends on."""

    async def tools(self) -> Tools | None:
        """What people type with, as it stands here; None: it was not looked for."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses behind a name; none when it has none from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that the executor and the verifier reach the world through."""

    arm: ControlPlane
    directory: Directory
    kubernetes: Kubernetes
    vault: Vault
    clock: Clock
    journal: Journal
    callers: Callers
    audit: AuditTrail | None = None
    sign_in: SignInRules | None = None
    surroundings: Surroundings | None = None  # None: unknown
