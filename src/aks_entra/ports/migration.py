"""The calls that executor and verifier make to Azure, Microsoft Graph, a cluster and a clock, and no others.

Every call raises the four errors of `aks_entra.errors` and nothing else. Credentials never cross a port: the adapters'
vault holds them under the cluster's key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from aks_entra.ports.creation import Creation

if TYPE_CHECKING:
    from aks_entra.core.access.conditional_access import SeenSignIn
    from aks_entra.core.access.deny_assignments import DenyAssignment
    from aks_entra.core.cluster import CertificateAuthority, ClusterId, Posture, ServingCertificate
    from aks_entra.core.evidence.observations import (
        ActivityLogRead,
        AdminCredentialRefused,
        Baseline,
        Credential,
        Evidence,
        Node,
        Workload,
    )
    from aks_entra.core.evidence.rotation_debt import Record
    from aks_entra.core.maintenance_windows import MaintenanceWindow
    from aks_entra.core.planning.plan import ClusterPlan
    from aks_entra.core.preflight import (
        ConditionalAccessPolicy,
        Inside,
        Lock,
        NodeDisruption,
        Policy,
        PolicyEvaluation,
        Quota,
        ScaleSetAddition,
        Subnet,
        Writer,
    )
    from aks_entra.core.preflight.audit_callers import AuditedCallers, AuditLog
    from aks_entra.core.rollout.owners import Owner
    from aks_entra.core.steps import Guarded, Step
    from aks_entra.ports.approvals import Approvals
    from aks_entra.ports.deny_policies import DenyPolicies
    from aks_entra.ports.directory import Directory
    from aks_entra.ports.doors import Doors
    from aks_entra.ports.host import Host
    from aks_entra.ports.hubs import Hubs
    from aks_entra.ports.operations import Operation, OperationState
    from aks_entra.ports.rights import RightsReads


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCredential:
    """A description of a credential that the vault holds.

    `salt` and `token_hash` are those of `TokenHeld`, and empty without a token that gets a hash.
    """

    cluster: ClusterId
    has_certificate: bool
    has_static_token: bool
    ca: CertificateAuthority
    signed: bool = False  # the certificate is in date, and that CA signed it
    salt: str = ""
    token_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """The answers of a SelfSubjectReview and a SelfSubjectAccessReview: the user, and whether it may do everything."""

    username: str
    groups: tuple[str, ...]
    everything: bool
    issued_at: str = ""  # when the token was issued (its `iat`), ISO 8601; empty: it does not say


class KubeconfigSink(Protocol):
    """The one place that a person named for an admin kubeconfig."""

    def put(self, content: bytes) -> None:
        """Write the content, once. Raises Refused the second time."""


class ControlPlane(Creation, Protocol):
    """Azure Resource Manager, as far as AKS is concerned."""

    async def tenant_of(self, subscription_id: str) -> str:
        """Return the subscription's tenant id. Raises Refused when the subscription cannot be seen."""

    async def subscription_id(self, name_or_id: str) -> str:
        """Return a subscription's id by id or display name. Refused if there is no such subscription, or several."""

    def list_clusters(self, subscription_id: str, resource_group: str | None = None) -> AsyncIterator[Posture]:
        """Return every managed cluster at depth "listed", one page of ARM's list at a time."""

    async def cluster(self, cluster: ClusterId) -> Posture:
        """Return one cluster at depth "listed". Refused (code ResourceNotFound) when it does not exist."""

    async def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority:
        """Return the CA in the cluster's user kubeconfig, and drop the rest of that response at once."""

    async def missing_permissions(self, cluster: ClusterId, actions: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the ARM actions that the caller lacks on the cluster. None if that cannot be read."""

    async def may(self, scope: str, action: str) -> bool | None:
        """Return whether the caller has an ARM action on a resource, given by its id. None if unreadable."""

    async def is_cluster_admin(self, cluster: ClusterId, principal_id: str) -> bool | None:
        """Whether the principal holds Azure Kubernetes Service RBAC Cluster Admin here. None if unreadable."""

    async def locks(self, cluster: ClusterId, node_resource_group: str) -> tuple[Lock, ...] | None:
        """Return the management locks on the cluster and its node resource group. None if unreadable."""

    async def deny_assignments(self, cluster: ClusterId) -> tuple[DenyAssignment, ...] | None:
        """Return the deny assignments on the cluster and above it. None if unreadable."""

    async def supported_versions(self, subscription_id: str, location: str) -> tuple[str, ...] | None:
        """Return the minor versions (`1.33`) that Azure offers in a region. None if unreadable."""

    async def policies(self, cluster: ClusterId) -> tuple[Policy, ...] | None:
        """Return the policy assignments on the cluster that are about sign-in. None if unreadable."""

    async def policy_evaluations(
        self, cluster: ClusterId, steps: tuple[Step, ...]
    ) -> tuple[PolicyEvaluation, ...] | None:
        """Return what Azure Policy denies or reports of the steps' PUTs and of the way back. None if unreadable."""

    async def maintenance_windows(self, cluster: ClusterId) -> tuple[MaintenanceWindow, ...] | None:
        """Return the cluster's maintenance configurations. None if unreadable."""

    async def quotas(self, subscription_id: str, location: str) -> tuple[Quota, ...] | None:
        """Return the vCPUs that a subscription has left in a region. None if unreadable."""

    async def subnet(self, subnet_id: str) -> Subnet:
        """Return how many addresses a subnet has left. `free` is None if unreadable."""

    async def node_disruption(self, cluster: ClusterId) -> NodeDisruption | None:
        """Return what may stop an operation that recreates nodes. None if unreadable, or if its preview has ended."""

    async def scale_set_additions(self, cluster: ClusterId) -> tuple[ScaleSetAddition, ...] | None:
        """Return what somebody put on the scale sets of the nodes, and AKS did not. None if unreadable."""

    async def published_addresses(self, cluster: ClusterId, node_resource_group: str) -> tuple[str, ...] | None:
        """Return the addresses of the cluster's services: public ones and those of its load balancers."""

    async def writers(self, cluster: ClusterId) -> tuple[Writer, ...] | None:
        """Return who wrote the cluster in the last 89 days, the newest first. None if unreadable."""

    async def handed_out(self, cluster: ClusterId) -> ActivityLogRead:
        """Return when Azure handed out admin credentials by the activity log, and the time that the log covers.

        A log that is missing or may not be read covers nothing, and `problem` says why.
        """

    async def enable_entra(
        self,
        cluster: ClusterId,
        expected: Guarded,
        tenant_id: str,
        admin_group_ids: tuple[str, ...],
        azure_rbac: bool | None,
    ) -> Operation:
        """PUT with a new `aadProfile`. Reads the cluster just before; Refused if it is not as `expected`."""

    async def update_entra(
        self, cluster: ClusterId, expected: Guarded, admin_group_ids: tuple[str, ...], azure_rbac: bool
    ) -> Operation:
        """PUT with other admin groups and another Azure RBAC flag, under the same guard."""

    async def set_local_accounts(
        self, cluster: ClusterId, expected: Guarded, *, enabled: bool, tags: tuple[tuple[str, str | None], ...] = ()
    ) -> Operation:
        """PUT with another `disableLocalAccounts`, under the same guard. Sets `tags`; None removes a tag."""

    async def rotate_certificates(self, cluster: ClusterId) -> Operation:
        """POST rotateClusterCertificates, never repeated by the client. TryLater (code OperationNotAllowed) on 409."""

    async def operation(self, operation: Operation) -> OperationState:
        """GET the operation's own URL once, verbatim."""

    async def hold_admin_credential(self, cluster: ClusterId) -> HeldCredential | AdminCredentialRefused:
        """Fetch the admin kubeconfig into the vault, or return ARM's 400 of the disabled account as evidence."""

    async def hand_out_admin_kubeconfig(self, cluster: ClusterId, place: KubeconfigSink) -> None:
        """Write the admin kubeconfig to the one place. TryLater while Azure still refuses it."""

    async def subscription_ids(self, management_group: str | None = None) -> tuple[str, ...]:
        """Return the ids of the subscriptions that the caller can see, or of those below a management group."""

    def clusters_in_resource_graph(self, management_group: str | None) -> AsyncIterator[Posture]:
        """Return the clusters below a management group, or of the whole tenant (None), one page at a time.

        Azure Resource Graph lags by minutes. The postures have no ETag.
        """


class Kubernetes(Protocol):
    """One cluster's API server from outside. `ca_pem` and credentials come from the vault, by the cluster's key."""

    async def handshake(self, fqdn: str) -> ServingCertificate:
        """Do a TLS handshake without a credential. TryLater when nobody answers."""

    async def sign_in(self, posture: Posture, *, since: datetime | None) -> SignedIn:
        """Sign in as the prover, with a token that this process asked for at `since` or later; None: at any time.

        Tokens carry the groups of the time of their issue.

        TryLater when it does not answer, or refuses the token with 401 (groups and webhooks take a while).
        """

    async def nodes(self, posture: Posture) -> tuple[Node, ...]:
        """Return all nodes, as the prover sees them."""

    async def workloads(self, posture: Posture) -> tuple[Workload, ...]:
        """Return all deployments, daemon sets and stateful sets, as the prover sees them."""

    async def inside(self, posture: Posture, *, as_admin: bool = False) -> Inside:
        """Return what a rotation affects in the cluster, as the prover or the held credential sees it.

        Of secrets, only names are read.
        """

    async def namespace_owner(self, posture: Posture, namespace: str) -> Owner | None:
        """Return who looks after a namespace, by its labels and annotations. None if nothing says so.

        Refused if there is no such namespace, or if the prover may not read it.
        """

    async def try_credential(self, posture: Posture, credential: Credential) -> int | None:
        """Use one held credential alone, trusting the CA that serves now, and return the HTTP status.

        None if nothing is held, or if there was no HTTP response (a TLS failure is not a refusal).
        """


class Vault(Protocol):
    """The credentials that this process holds in memory, by cluster."""

    def holds(self, cluster: ClusterId) -> bool:
        """Whether an admin credential of the cluster is held."""

    def forget(self, cluster: ClusterId) -> None:
        """Drop the credential of the cluster."""

    def authority(self, cluster: ClusterId) -> str | None:
        """Return the CA certificate (PEM, public) that served last. None before it was read."""

    def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority | None:
        """Return the CA that was read last. None before it was read."""

    def issued(self, cluster: ClusterId, issuer_key: str) -> bool:
        """Whether the CA that was read last has this key identifier (hex). False for an empty one."""

    def signed(self, cluster: ClusterId, certificate: str) -> bool:
        """Whether the CA that was read last signed a client certificate (PEM). False before it was read."""

    def hand_in(self, cluster: ClusterId, kubeconfig: str) -> HeldCredential:
        """Hold the credential of an old admin kubeconfig (YAML text). Refused if it carries no static credential."""


class Clock(Protocol):
    """The clock."""

    def now(self) -> datetime:
        """Return the present time in UTC, with its time zone."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class RunLog(Protocol):
    """What people read who follow a run."""

    def say(self, cluster: ClusterId, text: str) -> None:
        """Write a line about a cluster. It contains no secret."""


class NoLog:
    """A `RunLog` that nobody reads: a command without Prefect shows what it found at its end."""

    def say(self, cluster: ClusterId, text: str) -> None:
        """Write nothing."""


class Journal(Protocol):
    """Stores the baseline and evidence that a later run needs, under digest and cluster. They contain no secret."""

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        """Return the stored baseline. None if none was stored."""

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        """Store a baseline. A second one for the same cluster and digest replaces the first."""

    async def evidence(self, digest: str, plan: ClusterPlan) -> tuple[Evidence, ...]:
        """Return the lasting evidence of earlier runs at the cluster, in the order of the plan's steps.

        Evidence that cannot be read is returned as a Failure that names it.
        """

    async def store_evidence(self, digest: str, cluster: ClusterId, step: str, evidence: tuple[Evidence, ...]) -> None:
        """Store what a step (its `kind`) did, before the next step begins."""

    async def records(self, cluster: ClusterId) -> tuple[Record, ...]:
        """Return what all stored reports say about the cluster's local accounts and CAs.

        A report that cannot be read is a record too, because it may be about the cluster.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The identity in a token: the directory object's id, its tenant, and its name for people.

    `address`: the IP address from which this process reaches the internet, as far as it is known.
    """

    object_id: str
    tenant_id: str
    name: str = ""
    address: str = ""


class Callers(Protocol):
    """The identities that this process uses."""

    async def runner(self) -> Caller:
        """Return the identity that calls ARM and Graph. Refused without a credential, or if Entra refuses it."""

    async def prover(self) -> Caller:
        """Return the identity that proves sign-in: the runner, unless the fleet names another. Refused as above."""


class ConditionalAccess(Protocol):
    """The tenant's Conditional Access."""

    async def in_the_way(self, principal_id: str, *, person: bool) -> tuple[ConditionalAccessPolicy, ...]:
        """Return the enforced policies for a sign-in of this identity to AKS. Refused if they may not be read."""

    async def sign_ins(self, policy_id: str, since: datetime, user_id: str = "") -> tuple[SeenSignIn, ...]:
        """Return the sign-ins of people to AKS, newest first, with a policy's result. Refused if unreadable."""


class AuditTrail(Protocol):
    """The audit logs of clusters."""

    async def callers(self, cluster: ClusterId, days: int) -> tuple[AuditedCallers | None, str]:
        """Return who called a cluster's API server in the last days. None and the reason if that is unknown."""

    async def log_of(self, cluster: ClusterId) -> tuple[AuditLog | None, str]:
        """Return where a cluster sends its audit log. None and the reason if nobody can ask there."""

    async def callers_in(
        self, log: AuditLog, clusters: Sequence[ClusterId], since: timedelta
    ) -> tuple[Mapping[str, AuditedCallers], str]:
        """Return who called clusters of one log, by `ClusterId.key`, and what is missing of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Every port that the executor and the verifier use."""

    arm: ControlPlane
    directory: Directory
    kubernetes: Kubernetes
    vault: Vault
    clock: Clock
    journal: Journal
    callers: Callers
    host: Host
    deny_policies: DenyPolicies
    audit: AuditTrail | None = None
    conditional_access: ConditionalAccess | None = None
    rights: RightsReads | None = None
    doors: Doors | None = None
    approvals: Approvals | None = None
    hubs: Hubs | None = None
    log: RunLog = field(default_factory=NoLog)
