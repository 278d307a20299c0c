"""One AKS cluster as it was read: its name in ARM and its posture."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

_RESOURCE_ID = re.compile(
    r"^/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)"
    r"/providers/microsoft\.containerservice/managedclusters/(?P<name>[^/]+)/?$",
    re.IGNORECASE,
)
ROTATING: Final = "rotatingclustercertificates"
"""The provisioning state, in lower case, of a cluster whose certificates are being rotated."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ClusterId:
    """The name of a managed cluster in ARM. Compare by `key`, because ARM ids ignore case."""

    subscription_id: str
    resource_group: str
    name: str

    @classmethod
    def parse(cls, resource_id: str) -> ClusterId:
        """Read an ARM id. Raises `ValueError` with the expected form."""
        match = _RESOURCE_ID.match(resource_id)
        if match is None:
            raise ValueError(
                f"{resource_id!r} is not the id of a managed cluster; expected /subscriptions/<subscription>"
                "/resourceGroups/<group>/providers/Microsoft.ContainerService/managedClusters/<name>"
            )
        return cls(subscription_id=match["subscription"], resource_group=match["group"], name=match["name"])

    @property
    def subscription(self) -> str:
        """The ARM id of the subscription."""
        return f"/subscriptions/{self.subscription_id}"

    @property
    def group(self) -> str:
        """The ARM id of the resource group."""
        return f"{self.subscription}/resourceGroups/{self.resource_group}"

    @property
    def resource_id(self) -> str:
        """The ARM id in the case that Azure documents."""
        return f"{self.group}/providers/Microsoft.ContainerService/managedClusters/{self.name}"

    @property
    def key(self) -> str:
        """The ARM id in lower case. It is equal for two spellings of one cluster."""
        return self.resource_id.lower()

    def is_within(self, scope: str) -> bool:
        """Whether a scope contains the cluster. ARM lists what a management group has only if the group does."""
        scope = scope.rstrip("/").lower()
        return (
            scope.startswith("/providers/microsoft.management/managementgroups/")
            or self.key == scope
            or self.key.startswith(f"{scope}/")
        )

    def __str__(self) -> str:
        return f"{self.resource_group}/{self.name}"


class Depth(StrEnum):
    """How deep a posture was read. What a depth cannot know is None and shown as "unknown"."""

    LISTED = "listed"  # ARM's list: seconds for a thousand clusters
    PROBED = "probed"  # + a TLS handshake with the API server: no credential, no quota
    READ = "read"  # + the cluster's CA from its user kubeconfig


class Identity(StrEnum):
    """Who answers "who are you?" at the API server (`properties.aadProfile`)."""

    NONE = "none"  # no aadProfile: every kubeconfig is a static cluster-admin credential
    LEGACY = "legacy"  # aadProfile with client and server applications, no `managed`
    MANAGED = "managed"  # aadProfile.managed: AKS-managed Microsoft Entra ID
    UNKNOWN = "unknown"  # an aadProfile, or evidence of one, that this version cannot read

    @classmethod
    def of(cls, text: str) -> Identity:
        """Read the value in evidence. A value of a newer version is unknown."""
        return cls(text) if text in set(cls) else cls.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedRight:
    """An ARM action on another resource, named by its id, that a cluster's document names.

    Azure asks for it at every PUT of the cluster, and refuses one without it (LinkedAuthorizationFailed).
    """

    action: str
    scope: str

    def __str__(self) -> str:
        return f"{self.action} on {self.scope}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One agent pool as ARM lists it. Counts are nodes. Bounds are None without the autoscaler."""

    name: str
    mode: str = "System"
    count: int = 0
    min_count: int | None = None
    max_count: int | None = None
    provisioning_state: str = "Succeeded"
    power_state: str = "Running"
    version: str | None = None
    os_type: str = "Linux"
    vm_size: str = ""
    subnet_id: str | None = None  # None: a subnet that AKS made, with room for every node
    addresses_per_node: int = 1  # that a node takes from its subnet: with Azure CNI one for each pod as well
    ssh_access: str = ""  # `securityProfile.sshAccess`: LocalUser, Disabled or EntraId; empty: ARM does not show it

    @property
    def bounds(self) -> tuple[int, int]:
        """The expected number of Ready nodes: (fewest, most)."""
        if self.power_state == "Stopped":
            return 0, 0
        if self.min_count is not None and self.max_count is not None:
            return self.min_count, self.max_count
        return self.count, self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAuthority:
    """The cluster's CA: SHA-256 of its DER certificate in hex, and its validity in ISO 8601 (UTC).

    `not_after` is None if it was not read.
    """

    fingerprint: str
    not_before: str
    not_after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCertificate:
    """What a TLS handshake shows without a credential: the issuer and dates of the API server's certificate."""

    issuer: str
    issuer_key: str | None  # authority key identifier, hex: changes with the CA's key
    not_before: str
    not_after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """A cluster at one moment. Names follow ARM's `Microsoft.ContainerService/managedClusters`."""

    cluster: ClusterId
    depth: Depth = Depth.LISTED
    location: str = ""
    version: str = ""
    tier: str = "Free"
    identity: Identity = Identity.NONE
    tenant_id: str | None = None
    admin_group_ids: tuple[str, ...] = ()
    azure_rbac: bool = False
    local_accounts: bool = True
    kubernetes_rbac: bool = True
    provisioning_state: str = "Succeeded"
    power_state: str = "Running"
    pools: tuple[Pool, ...] = ()
    fqdn: str | None = None
    private: bool = False
    authorized_ip_ranges: tuple[str, ...] = ()
    run_command_disabled: bool = False  # `apiServerAccessProfile.disableRunCommand`
    node_resource_group: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    etag: str | None = None
    uid: str = ""  # ARM's `resourceUID`: another one for a cluster made anew under the same name; empty: not shown
    linked: tuple[LinkedRight, ...] = ()  # what a PUT of the cluster needs on its identities and subnets
    not_understood: tuple[str, ...] = ()  # what ARM shows in words that this version does not know, `name: value`
    ca: CertificateAuthority | None = None
    serving: ServingCertificate | None = None

    @property
    def nodes(self) -> int:
        """The number of nodes that the running pools should have."""
        return sum(pool.count for pool in self.pools if pool.power_state != "Stopped")

    @property
    def stopped(self) -> bool:
        """Whether the cluster is stopped. Then nothing can be proven from outside."""
        return self.power_state == "Stopped"

    @property
    def at_rest(self) -> bool:
        """Whether no ARM operation runs on the cluster or a pool."""
        states = (self.provisioning_state, *(pool.provisioning_state for pool in self.pools))
        return all(is_terminal(state) for state in states)

    @property
    def rotating(self) -> bool:
        """Whether ARM shows a rotation of the certificates while local accounts are off."""
        return not self.local_accounts and self.provisioning_state.casefold() == ROTATING

    def with_ca(self, ca: CertificateAuthority) -> Posture:
        """The same cluster, read one depth further."""
        return replace(self, ca=ca, depth=Depth.READ)


def is_terminal(provisioning_state: str) -> bool:
    """Whether an ARM provisioning state is final. Any other value counts as "running"."""
    return provisioning_state.casefold() in {"succeeded", "failed", "canceled"}


def same_id(left: str, right: str) -> bool:
    """Whether two object or tenant ids are the same. Directory ids ignore case."""
    return left.casefold() == right.casefold()


def is_guid(text: str) -> bool:
    """Whether a text has the form of an object, tenant or subscription id."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.IGNORECASE) is not None
