"""What a world holds behind management.azure.com: subscriptions, groups, clusters, operations and locks."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.arm.access import Access, covers, normal
from azure_sandbox.arm.activity import ActivityLog, Ending
from azure_sandbox.arm.custom_roles import Roles
from azure_sandbox.arm.errors import group_not_found, resource_not_found, subscription_not_found
from azure_sandbox.arm.networks import NETWORK_TYPE, Networks
from azure_sandbox.arm.policies import PolicyAssignment
from azure_sandbox.arm.spec import LockLevel
from azure_sandbox.cluster.servers import ApiServers
from azure_sandbox.cluster.service import ApiServer
from azure_sandbox.logs.state import Logs
from azure_sandbox.operation_faults import OperationFault

Document = dict[str, Any]
CLUSTER_TYPE = "Microsoft.ContainerService/managedClusters"


@dataclass(slots=True, kw_only=True)
class ResourceGroup:
    """A resource group; `manager` is the cluster that owns it."""

    subscription: str
    name: str
    location: str
    tags: dict[str, str] | None = None
    manager: str = ""
    deleting: bool = False

    @property
    def id(self) -> str:
        """Its resource id."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.name}"


@dataclass(slots=True, kw_only=True)
class Subscription:
    """A subscription with its groups, by name in lower case."""

    id: str
    name: str
    tenant: str
    groups: dict[str, ResourceGroup] = field(default_factory=dict)

    @property
    def scope(self) -> str:
        """Its scope."""
        return f"/subscriptions/{self.id}"


@dataclass(slots=True, kw_only=True)
class Operation:
    """A long-running operation. `kind` is the provisioning state while it runs."""

    id: str
    subscription: str
    location: str
    kind: str
    started: dt.datetime
    cluster: ManagedCluster
    signature: str
    pool: str = ""
    status: str = "InProgress"
    ended: dt.datetime | None = None
    error: Document | None = None
    asked: Ending | None = None  # notes its end in the activity log
    begun: dt.datetime  # by the clock of operations
    span: float = 0.0  # its length in Azure's seconds
    course: Document = field(default_factory=dict)  # what its course can be made of again
    met: tuple[OperationFault, ...] = ()

    def go_on(self) -> None:
        """From its first words to InProgress."""
        self.status = "InProgress"

    def say(self, error: Document) -> None:
        """An error beside a status that is not final."""
        self.error = error

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None


@dataclass(slots=True, kw_only=True)
class ManagedCluster:
    """A managed cluster: Azure's own document, and the API server that it describes."""

    subscription: str
    group: str
    name: str
    document: Document
    server: ApiServer
    state: str = "Succeeded"
    pool_states: dict[str, str] = field(default_factory=dict)
    etag: str = field(default_factory=lambda: str(uuid.uuid4()))
    pool_etags: dict[str, str] = field(default_factory=dict)
    uid: str = field(default_factory=lambda: uuid.uuid4().hex[:24])
    operation: Operation | None = None
    maintenance: dict[str, Document] = field(default_factory=dict)
    commands: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its resource id, in the spelling of Azure's answers."""
        return f"/subscriptions/{self.subscription}/resourcegroups/{self.group}/providers/{CLUSTER_TYPE}/{self.name}"

    @property
    def properties(self) -> Document:
        """The document's properties."""
        found: Document = self.document["properties"]
        return found

    @property
    def pools(self) -> list[Document]:
        """The agent pools."""
        found: list[Document] = self.properties["agentPoolProfiles"]
        return found

    @property
    def location(self) -> str:
        """The region."""
        return str(self.document["location"])

    @property
    def node_group(self) -> str:
        """The id of the group that holds the nodes."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.properties['nodeResourceGroup']}"

    @property
    def stopped(self) -> bool:
        """Whether its power is off."""
        return bool(self.properties["powerState"]["code"] == "Stopped")

    def touch(self, *, pool: str = "") -> None:
        """New ETags: of a pool, or of the cluster and all its pools."""
        if pool:
            self.pool_etags[pool] = str(uuid.uuid4())
            return
        self.etag = str(uuid.uuid4())
        self.pool_etags = {it["name"]: str(uuid.uuid4()) for it in self.pools}

    def set_state(self, state: str) -> None:
        """A provisioning state, of the cluster and its pools."""
        self.state = state
        self.pool_states = {it["name"]: state for it in self.pools}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementLock:
    """A management lock."""

    scope: str
    name: str
    level: LockLevel
    notes: str | None = None

    @property
    def id(self) -> str:
        """Its resource id."""
        return f"{self.scope}/providers/Microsoft.Authorization/locks/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many vCPUs a subscription may use in a region; `used`: by something other than the clusters here."""

    limit: int
    used: int = 0


@dataclass(slots=True, kw_only=True)
class State:
    """Everything, with the look-ups that raise Azure's own 404s."""

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    clusters: dict[str, ManagedCluster] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    locks: dict[str, ManagementLock] = field(default_factory=dict)
    access: Access = field(default_factory=Access)
    roles: Roles = field(default_factory=Roles)
    networks: Networks = field(default_factory=Networks)
    quotas: dict[tuple[str, str, str], Quota] = field(default_factory=dict)  # by subscription, region and name
    policies: dict[str, PolicyAssignment] = field(default_factory=dict)
    activity: ActivityLog = field(default_factory=ActivityLog)
    registered: dict[str, set[str]] = field(default_factory=dict)  # providers, by subscription
    features: dict[str, set[str]] = field(default_factory=dict)
    logs: Logs = field(default_factory=Logs)
    servers: ApiServers = field(default_factory=ApiServers)

    def subscription(self, name: str) -> Subscription:
        """A subscription, or 404."""
        found = self.subscriptions.get(name.lower())
        if found is None:
            raise subscription_not_found(name)
        return found

    def group(self, subscription: str, name: str) -> ResourceGroup:
        """A resource group, or 404."""
        self.sweep(subscription)
        found = self.subscription(subscription).groups.get(name.lower())
        if found is None:
            raise group_not_found(name)
        return found

    def sweep(self, subscription: str) -> None:
        """Drop the groups that are being deleted and have no cluster left."""
        groups = self.subscription(subscription).groups
        for name, group in tuple(groups.items()):
            if group.deleting and not self.clusters_below(group.id):
                groups.pop(name, None)
                self.access.remove_below(group.id)

    def find(self, subscription: str, group: str, name: str) -> ManagedCluster | None:
        """A cluster with everything settled that is due, or None."""
        self.subscription(subscription)
        scope = f"/subscriptions/{subscription}/resourcegroups/{group}/providers/{CLUSTER_TYPE}/{name}"
        found = self.clusters.get(normal(scope))
        if found is not None:
            found.server.settle()
            found = self.clusters.get(normal(scope))  # a deletion may have come to its end just now
        return found

    def cluster(self, subscription: str, group: str, name: str) -> ManagedCluster:
        """A cluster, or 404 as recorded."""
        found = self.find(subscription, group, name)
        if found is None:
            raise resource_not_found(group, CLUSTER_TYPE, name)
        return found

    def region(self, path: str) -> str:
        """The region that a path leads to: its own, or its cluster's (of one that is to be, its group's); else none."""
        parts = [it for it in path.lower().split("/") if it]
        if "locations" in parts[:-1]:
            return parts[parts.index("locations") + 1]
        group, cluster = 4, 8  # segments of their ids
        if len(parts) < cluster:
            return ""
        if found := self.clusters.get("/" + "/".join(parts[:cluster])):
            return found.location
        home = self.subscriptions.get(parts[1])
        held = None if home is None else home.groups.get(parts[group - 1])
        return "" if held is None else held.location

    def clusters_below(self, scope: str) -> list[ManagedCluster]:
        """Every cluster in a subscription or group, settled."""
        for it in tuple(self.clusters.values()):
            if covers(scope, it.id):
                it.server.settle()
        return [it for it in self.clusters.values() if covers(scope, it.id)]

    def locks_above(self, scope: str) -> Iterator[ManagementLock]:
        """The locks on a scope and those that it inherits."""
        return (it for it in self.locks.values() if covers(it.scope, scope))

    def exists(self, scope: str) -> bool:
        """Whether a scope names something that stands here; what stands inside a cluster is its own business."""
        parts = [it for it in scope.split("/") if it]
        match [it.lower() for it in parts]:
            case ["subscriptions", name]:
                return name in self.subscriptions
            case ["subscriptions", name, "resourcegroups", group, *rest]:
                if name not in self.subscriptions or group not in self.subscriptions[name].groups:
                    return False
                resource = normal("/" + "/".join(parts[:8]))
                if f"/{NETWORK_TYPE}/".lower() not in resource:
                    return not rest or resource in self.clusters
                whole = normal(scope)
                return bool(self.networks.get(whole) or self.networks.subnet(whole))
            case _:
                return False
