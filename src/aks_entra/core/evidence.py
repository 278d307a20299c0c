"""What was seen, each thing on its own: the material that verdicts are made of. No secret ever stands here.

Times are ISO 8601 in UTC. A correlation id is the service's own, so that Azure's support can find the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

BY_ROLE: Final = "Azure RBAC Cluster Admin"
"""`SignInProven.by` of somebody who gets in by role assignment, where Azure RBAC is on."""

LOOKING: Final = "verify"
"""`Failure.step` of a look that writes nothing: what it could not see is missing, nothing went wrong by it."""


def by_group(group_id: str) -> str:
    """`SignInProven.by` of somebody who gets in as a member of an admin group."""
    return f"admin group {group_id}"


class Moment(StrEnum):
    """On which side of the rotation something was seen."""

    BEFORE = "before rotation"
    AFTER = "after rotation"


class Credential(StrEnum):
    """The two static credentials that an admin kubeconfig carries; each is tried alone."""

    CERTIFICATE = "client certificate"
    STATIC_TOKEN = "static token"  # noqa: S105 - the name of a kind, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEnsured:
    """An admin group exists and can be read."""

    at: str
    group_id: str
    display_name: str
    unique_name: str
    created: bool
    correlation_id: str = ""
    kind: Literal["group-ensured"] = "group-ensured"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntraSet:
    """ARM shows AKS-managed Microsoft Entra ID with these groups."""

    at: str
    changed: bool
    admin_group_ids: tuple[str, ...]
    tenant_id: str
    azure_rbac: bool
    correlation_id: str = ""
    kind: Literal["entra-set"] = "entra-set"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSeen:
    """A group that the fleet file declares, looked at again: what is otherwise, and what could not be read.

    `group` is how the plan names it: its object id, or `uniqueName:…`.
    """

    at: str
    group: str
    display_name: str
    differs: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    kind: Literal["group-seen"] = "group-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProven:
    """The prover got in at this API server: who it was there, by which right, and that everything is allowed."""

    at: str
    username: str
    by: str  # `by_group(<id>)` or `BY_ROLE`; empty when it was by neither
    everything: bool
    moment: Moment
    ca: str
    kind: Literal["sign-in-proven"] = "sign-in-proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminCredentialRefused:
    """ARM's own answer to a request for admin credentials: proof only as the 400 of the disabled account."""

    at: str
    status: int
    code: str
    message: str
    correlation_id: str = ""
    kind: Literal["admin-credential-refused"] = "admin-credential-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialTried:
    """A credential held from before, tried alone. `status` is the API server's; None when no answer came."""

    at: str
    credential: Credential
    moment: Moment
    status: int | None
    ca: str  # fingerprint of the CA that was trusted
    detail: str = ""
    issued_under: str = ""  # fingerprint of the CA in the kubeconfig that it came from; empty when unknown
    kind: Literal["credential-tried"] = "credential-tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAccountsDisabled:
    """ARM shows `disableLocalAccounts: true`."""

    at: str
    changed: bool
    correlation_id: str = ""
    kind: Literal["local-accounts-disabled"] = "local-accounts-disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAccountsEnabled:
    """ARM shows local accounts on again. `until` (ISO 8601) and the rest are those of a break-glass opening."""

    at: str
    changed: bool
    until: str = ""
    reason: str = ""
    ticket: str = ""
    opener: str = ""
    correlation_id: str = ""
    kind: Literal["local-accounts-enabled"] = "local-accounts-enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesRotated:
    """The CA is another one than before. `attached`: an operation that was found running was followed to its end."""

    at: str
    ca_before: str
    ca_after: str
    ca_not_before: str
    changed: bool
    attached: bool = False
    correlation_id: str = ""
    kind: Literal["certificates-rotated"] = "certificates-rotated"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesSeen:
    """How many nodes are Ready, beside the pools' bounds. `missing` names what is not as it should be."""

    at: str
    ready: int
    fewest: int
    most: int
    missing: tuple[str, ...] = ()
    kind: Literal["nodes-seen"] = "nodes-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadsSeen:
    """Controllers compared with the baseline. `worse` names those less available than before."""

    at: str
    compared: int
    worse: tuple[str, ...] = ()
    baseline_at: str = ""
    kind: Literal["workloads-seen"] = "workloads-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSeen:
    """What ARM and the cluster's CA show at the end."""

    at: str
    identity: str
    local_accounts: bool
    admin_group_ids: tuple[str, ...]
    azure_rbac: bool
    ca: str
    ca_not_before: str
    provisioning_state: str = "Succeeded"
    uid: str = ""  # ARM's `resourceUID`
    kind: Literal["state-seen"] = "state-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCreated:
    """A cluster was created with Microsoft Entra ID on and local accounts off from its first day."""

    at: str
    changed: bool
    correlation_id: str = ""
    kind: Literal["cluster-created"] = "cluster-created"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a cluster stopped where it did: the error's class, its text and what to do next."""

    at: str
    error: str  # Refused | TryLater | Rejected | Diverged | the unforeseen error's class
    step: str
    message: str
    remedy: str = ""
    code: str = ""
    correlation_id: str = ""
    kind: Literal["failure"] = "failure"


Evidence: TypeAlias = (
    GroupEnsured
    | GroupSeen
    | EntraSet
    | SignInProven
    | AdminCredentialRefused
    | CredentialTried
    | LocalAccountsDisabled
    | LocalAccountsEnabled
    | CertificatesRotated
    | NodesSeen
    | WorkloadsSeen
    | StateSeen
    | ClusterCreated
    | Failure
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as the API server shows it."""

    name: str
    pool: str
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One controller: how many replicas it wants and how many are available."""

    kind: str
    namespace: str
    name: str
    desired: int
    available: int

    @property
    def label(self) -> str:
        """`Deployment pay/ledger`."""
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A cluster before anything was closed: stored before it is needed, because the process may die."""

    cluster: str  # ClusterId.key
    at: str
    ca: str
    nodes: tuple[Node, ...]
    workloads: tuple[Workload, ...]
    credential_held: bool
    kind: Literal["baseline"] = "baseline"
