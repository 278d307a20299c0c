"""Evidence: what was seen, from which verdicts are made. It never contains a secret.

Times are ISO 8601 in UTC. A correlation id is the service's own, so that Azure's support can find the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from aks_entra.core.doors.model import Door
from aks_entra.core.evidence.hook_runs import HookRan

BY_ROLE: Final = "Azure RBAC Cluster Admin"
"""`SignInProven.by` of somebody who gets in by role assignment, where Azure RBAC is on."""

LOOKING: Final = "verify"
"""`Failure.step` of a look that writes nothing. Such a failure means that something is missing, not wrong."""


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
    """A declared group that was read again: how it differs, and what could not be read.

    `group` is its name in the plan: its object id, or `uniqueName:…`.
    """

    at: str
    group: str
    display_name: str
    differs: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    kind: Literal["group-seen"] = "group-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProven:
    """The prover got in at this API server: its name there, by which right, and whether everything is allowed."""

    at: str
    username: str
    by: str  # `by_group(<id>)` or `BY_ROLE`; empty if by neither
    everything: bool
    moment: Moment
    ca: str
    issued_at: str = ""  # when the token was issued (`iat`), ISO 8601; empty: not known
    kind: Literal["sign-in-proven"] = "sign-in-proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminCredentialRefused:
    """ARM's answer to a request for admin credentials. Only the 400 for disabled accounts is a proof."""

    at: str
    status: int
    code: str
    message: str
    correlation_id: str = ""
    kind: Literal["admin-credential-refused"] = "admin-credential-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialTried:
    """A credential held from before, tried alone. `status` is the API server's; None if it did not answer."""

    at: str
    credential: Credential
    moment: Moment
    status: int | None
    ca: str  # fingerprint of the CA that was trusted
    detail: str = ""
    issued_under: str = ""  # fingerprint of the CA that it is known to come from; empty when unknown
    connections: int = 1  # how many new connections got an answer; `status` is the one that speaks most against us
    mixed: str = ""  # what the connections got, where they did not all get the same: "3 x 401, 1 x 200"
    kind: Literal["credential-tried"] = "credential-tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoritySeen:
    """The certificate of the CA that served (PEM), which is public.

    It shows years later which client certificates this CA signed.
    """

    at: str
    ca: str  # fingerprint
    certificate: str
    kind: Literal["authority-seen"] = "authority-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHeld:
    """A salted hash of the static token that came with a CA, by which a leaked copy is recognised.

    `salt` is 16 random bytes in hex, and `token_hash` the HMAC-SHA-256 of the token under it in hex.
    """

    at: str
    ca: str  # fingerprint
    salt: str
    token_hash: str
    kind: Literal["token-held"] = "token-held"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAccountsDisabled:
    """ARM shows `disableLocalAccounts: true`."""

    at: str
    changed: bool
    correlation_id: str = ""
    under_ca: str = ""  # the CA that served then; empty: it was not read
    kind: Literal["local-accounts-disabled"] = "local-accounts-disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAccountsEnabled:
    """ARM shows local accounts on again. `until` (ISO 8601) to `opener` describe a break-glass opening."""

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
    """The CA was replaced. `attached`: the rotation was running already, and this process waited for its end.

    `running` is when the rotation was last seen running, or was asked for, by our clock. Empty: it was only found, or a
    version of this program wrote the evidence that did not note it.
    """

    at: str
    ca_before: str
    ca_after: str
    ca_not_before: str
    changed: bool
    attached: bool = False
    correlation_id: str = ""
    etag: str = ""  # the cluster's, right after it
    running: str = ""
    kind: Literal["certificates-rotated"] = "certificates-rotated"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesSeen:
    """The number of Ready nodes, and the pools' bounds. `missing` names what does not fit."""

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
    etag: str = ""  # the cluster's ETag: it changes with every write
    kind: Literal["state-seen"] = "state-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorsSeen:
    """The doors of the cluster: each is closed with a proof, open for somebody, or was not looked at."""

    at: str
    doors: tuple[Door, ...]
    kind: Literal["doors-seen"] = "doors-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyPolicySeen:
    """The policy assignment that denies local accounts (its resource id), or why there is none.

    `changed`: this run made or removed it. `enforced`: Azure Policy said that it would refuse to turn them on.
    """

    at: str
    assignment: str
    changed: bool = False
    ours: bool = False
    enforced: bool = False
    problem: str = ""
    remedy: str = ""
    correlation_id: str = ""
    kind: Literal["deny-policy-seen"] = "deny-policy-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """A request for an admin credential in the activity log: when and by whom. `ended`: Azure returned a credential.

    If the log shows no end, it is not known how the request was answered.
    """

    at: str
    to: str
    ended: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityLogRead:
    """What Azure's activity log says about admin credentials of a cluster, and which time it covers.

    `since` and `until` are empty if it could not be read, and `problem` says why. Entries come late: the log is
    complete only up to `until`.
    """

    at: str
    since: str = ""
    until: str = ""
    handed_out: tuple[HandedOut, ...] = ()
    problem: str = ""
    kind: Literal["activity-log-read"] = "activity-log-read"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCreated:
    """A cluster was created with Microsoft Entra ID on and local accounts off from its first day.

    `running` is when the creation was last seen running, or was asked for. Empty: evidence of an earlier version.
    """

    at: str
    changed: bool
    correlation_id: str = ""
    etag: str = ""
    running: str = ""
    kind: Literal["cluster-created"] = "cluster-created"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the work on a cluster stopped: the error's class, its text and what to do next."""

    at: str
    error: str  # Refused | TryLater | Rejected | Diverged | the class of an unexpected error
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
    | AuthoritySeen
    | TokenHeld
    | LocalAccountsDisabled
    | LocalAccountsEnabled
    | CertificatesRotated
    | NodesSeen
    | WorkloadsSeen
    | StateSeen
    | ActivityLogRead
    | ClusterCreated
    | DoorsSeen
    | DenyPolicySeen
    | HookRan
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
    """A cluster before anything was closed. It is stored at once, because the process may die.

    `authority` and `token` are None if they were not seen, or in a baseline of an earlier version.
    """

    cluster: str  # ClusterId.key
    at: str
    ca: str
    nodes: tuple[Node, ...]
    workloads: tuple[Workload, ...]
    credential_held: bool
    closed_at: str = ""  # when local accounts were seen off under this CA, just before it was rotated
    authority: AuthoritySeen | None = None
    token: TokenHeld | None = None
    kind: Literal["baseline"] = "baseline"

    @property
    def issued(self) -> tuple[AuthoritySeen | TokenHeld, ...]:
        """Return what recognises credentials that were issued before."""
        return tuple(one for one in (self.authority, self.token) if one is not None)
