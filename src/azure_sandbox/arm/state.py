"""The state behind management.azure.com: subscriptions, groups, clusters, operations, locks, assignments."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.arm.authorization.access import RoleAssignments, covers, normal
from azure_sandbox.arm.authorization.custom_roles import RoleDefinitions
from azure_sandbox.arm.authorization.deny_assignments import DenyAssignment
from azure_sandbox.arm.authorization.policies import PolicyAssignment, PolicyExemption, binding
from azure_sandbox.arm.authorization.policy_rules import WrittenDefinition
from azure_sandbox.arm.containerservice.spec import LockLevel
from azure_sandbox.arm.errors import group_not_found, resource_not_found, subscription_not_found
from azure_sandbox.arm.insights.activity_log import ActivityLog, Ending
from azure_sandbox.arm.network.networks import NETWORK_TYPE, Networks
from azure_sandbox.arm.resources.management_groups import ManagementGroups
from azure_sandbox.cluster.servers import ApiServers
from azure_sandbox.cluster.service import ApiServer
from azure_sandbox.faults.operations import OperationFault
from azure_sandbox.logs.state import WORKSPACE_TYPE, Logs, Workspace

Document = dict[str, Any]
CLUSTER_TYPE = "Microsoft.ContainerService/managedClusters"


@dataclass(slots=True, kw_only=True)
class ResourceGroup:
    """A resource group; `manager` is the id of the cluster that owns it, or empty."""

    subscription: str
    name: str
    location: str
    tags: dict[str, str] | None = None
    manager: str = ""
    deleting: bool = False
    gone: dt.datetime | None = None  # when its deletion ends, unless a cluster in it lasts longer

    @property
    def id(self) -> str:
        """The resource id."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.name}"


@dataclass(slots=True, kw_only=True)
class Subscription:
    """A subscription; `groups` are keyed by name in lower case."""

    id: str
    name: str
    tenant: str
    groups: dict[str, ResourceGroup] = field(default_factory=dict)

    @property
    def scope(self) -> str:
        """The scope, `/subscriptions/{id}`."""
        return f"/subscriptions/{self.id}"


@dataclass(slots=True, kw_only=True)
class Operation:
    """A long-running operation; `kind` is the provisioning state while it runs."""

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
    asked: Ending | None = None  # writes the operation's end into the activity log
    begun: dt.datetime  # on the clock of operations, which the pace drives
    span: float = 0.0  # duration in seconds of Azure's time
    course: Document = field(default_factory=dict)  # the recipe from which a restart makes its course again
    met: tuple[OperationFault, ...] = ()  # the injected faults that hit it

    def shows(self, word: str) -> Callable[[dt.datetime], None]:
        """Return the effect that changes the status, while the operation runs, to a word."""

        def show(_: dt.datetime) -> None:
            self.status = word

        return show

    def show_error(self, error: Document) -> None:
        """Show an error although the status is not final."""
        self.error = error

    @property
    def running(self) -> bool:
        """Whether the operation has not ended."""
        return self.ended is None


@dataclass(slots=True, kw_only=True)
class ChildResource:
    """A JWT authenticator or a managed namespace. It shows `state` until it is settled, and then `Succeeded`."""

    name: str
    document: Document
    state: str = "Succeeded"
    settled: dt.datetime | None = None


@dataclass(slots=True, kw_only=True)
class ManagedCluster:
    """A managed cluster: Azure's document of it, and the API server that the document describes."""

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
    children: dict[tuple[str, str], ChildResource] = field(default_factory=dict)  # by kind, and name in lower case

    @property
    def id(self) -> str:
        """The resource id, spelt as in Azure's answers (`resourcegroups` in lower case)."""
        return f"/subscriptions/{self.subscription}/resourcegroups/{self.group}/providers/{CLUSTER_TYPE}/{self.name}"

    @property
    def properties(self) -> Document:
        """The `properties` of the document."""
        found: Document = self.document["properties"]
        return found

    @property
    def pools(self) -> list[Document]:
        """The documents of the agent pools."""
        found: list[Document] = self.properties["agentPoolProfiles"]
        return found

    @property
    def location(self) -> str:
        """The region, such as `westeurope`."""
        return str(self.document["location"])

    @property
    def node_group(self) -> str:
        """The id of the resource group that holds the nodes."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.properties['nodeResourceGroup']}"

    @property
    def stopped(self) -> bool:
        """Whether the power state is `Stopped`."""
        return bool(self.properties["powerState"]["code"] == "Stopped")

    def touch(self, *, pool: str = "") -> None:
        """Renew the ETag of one pool, or those of the cluster and all its pools."""
        if pool:
            self.pool_etags[pool] = str(uuid.uuid4())
            return
        self.etag = str(uuid.uuid4())
        self.pool_etags = {it["name"]: str(uuid.uuid4()) for it in self.pools}

    def set_state(self, state: str) -> None:
        """Set the provisioning state of the cluster and its pools."""
        self.state = state
        self.pool_states = {it["name"]: state for it in self.pools}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementLock:
    """A management lock; `scope` is the id of what it locks."""

    scope: str
    name: str
    level: LockLevel
    notes: str | None = None

    @property
    def id(self) -> str:
        """The resource id."""
        return f"{self.scope}/providers/Microsoft.Authorization/locks/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainResource:
    """A resource that has no behaviour: an identity, a workspace, a public address.

    `envelope` holds what is next to `properties` in the document, such as `sku`.
    """

    subscription: str
    group: str
    kind: str
    name: str
    location: str
    created: dt.datetime
    properties: Document
    tags: dict[str, str] = field(default_factory=dict)
    envelope: Document = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The resource id."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{self.kind}/{self.name}"

    def shown(self) -> Document:
        """Return the resource as ARM answers it."""
        place = {"id": self.id, "name": self.name, "type": self.kind, "location": self.location, "tags": self.tags}
        return {**place, **self.envelope, "properties": self.properties}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The vCPUs that a subscription may use in a region; `used` counts those that no cluster of the world uses."""

    limit: int
    used: int = 0


@dataclass(slots=True, kw_only=True)
class State:
    """All of a world's ARM resources, with look-ups that raise Azure's 404s; `progress` is the clock of operations."""

    progress: Callable[[], dt.datetime]

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    clusters: dict[str, ManagedCluster] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    locks: dict[str, ManagementLock] = field(default_factory=dict)
    denials: dict[str, DenyAssignment] = field(default_factory=dict)
    management_groups: ManagementGroups = field(default_factory=ManagementGroups)
    access: RoleAssignments = field(init=False)
    fleets: dict[str, tuple[str, ...]] = field(default_factory=dict)  # ids of clusters, by the fleet's id
    roles: RoleDefinitions = field(default_factory=RoleDefinitions)
    networks: Networks = field(default_factory=Networks)
    quotas: dict[tuple[str, str, str], Quota] = field(default_factory=dict)  # by subscription, region and quota name
    policies: dict[str, PolicyAssignment] = field(default_factory=dict)
    exemptions: dict[str, PolicyExemption] = field(default_factory=dict)
    former_policies: dict[str, PolicyAssignment] = field(default_factory=dict)  # removed or replaced, enforced a while
    policy_delay: float = 0.0  # seconds until Azure follows a change of a policy assignment or exemption
    definitions: dict[str, WrittenDefinition] = field(default_factory=dict)  # of policies, that clients wrote
    scale_sets: dict[str, Document] = field(default_factory=dict)  # what was put on scale sets, by id in lower case
    activity: ActivityLog = field(default_factory=ActivityLog)
    registered: dict[str, set[str]] = field(default_factory=dict)  # namespaces of providers, by subscription
    features: dict[str, set[str]] = field(default_factory=dict)  # names of preview features, by subscription
    plain: dict[str, PlainResource] = field(default_factory=dict)  # by id in lower case
    logs: Logs = field(default_factory=Logs)
    servers: ApiServers = field(default_factory=ApiServers)
    graph_delay: float = 120.0  # seconds until Azure Resource Graph shows a write

    def __post_init__(self) -> None:
        """Let role assignments reach from a management group to the subscriptions below it."""
        self.access = RoleAssignments(self.management_groups.above)

    def policies_on(self, scope: str, now: dt.datetime) -> list[PolicyAssignment]:
        """Return the policy assignments that Azure enforces, but for those from which the scope is exempt."""
        known = (*self.policies.values(), *self.former_policies.values())
        return binding(known, self.exemptions.values(), scope, now, self.progress())

    def subscription(self, name: str) -> Subscription:
        """Return a subscription by its id; raises 404 if it does not exist."""
        found = self.subscriptions.get(name.lower())
        if found is None:
            raise subscription_not_found(name)
        return found

    def group(self, subscription: str, name: str) -> ResourceGroup:
        """Return a resource group; raises 404 if it or its subscription does not exist."""
        self.sweep(subscription)
        found = self.subscription(subscription).groups.get(name.lower())
        if found is None:
            raise group_not_found(name)
        return found

    def sweep(self, subscription: str) -> None:
        """Remove the groups whose deletion has ended: its time is over, and no cluster is left."""
        groups = self.subscription(subscription).groups
        for name, group in tuple(groups.items()):
            over = group.deleting and (group.gone is None or group.gone <= self.progress())
            if over and not self.clusters_below(group.id):
                groups.pop(name, None)
                self.access.remove_below(group.id)
                for network in self.networks.below(group.id):
                    self.networks.remove(network)
                for it in self.plain_below(group.id):
                    self.forget(it)

    def plain_below(self, scope: str, kind: str = "") -> list[PlainResource]:
        """Return the resources without behaviour in a subscription or group; all types, or one."""
        return [it for it in self.plain.values() if covers(scope, it.id) and kind in {"", it.kind}]

    def keep(self, resource: PlainResource) -> None:
        """Add a resource without behaviour, or replace the one with its id."""
        self.plain[normal(resource.id)] = resource
        if resource.kind == WORKSPACE_TYPE:
            self.logs.workspaces[normal(resource.id)] = Workspace(
                subscription=resource.subscription,
                group=resource.group,
                name=resource.name,
                location=resource.location,
                customer=resource.properties["customerId"],
            )

    def forget(self, resource: PlainResource) -> None:
        """Remove a resource without behaviour."""
        self.plain.pop(normal(resource.id), None)
        self.logs.workspaces.pop(normal(resource.id), None)

    def find(self, subscription: str, group: str, name: str) -> ManagedCluster | None:
        """Return a cluster after everything that is due has happened to it, or None if it does not exist."""
        self.subscription(subscription)
        scope = f"/subscriptions/{subscription}/resourcegroups/{group}/providers/{CLUSTER_TYPE}/{name}"
        found = self.clusters.get(normal(scope))
        if found is not None:
            found.server.settle()
            found = self.clusters.get(normal(scope))  # a deletion may have ended just now
        return found

    def cluster(self, subscription: str, group: str, name: str) -> ManagedCluster:
        """Return a cluster; raises the recorded 404 if it does not exist."""
        found = self.find(subscription, group, name)
        if found is None:
            raise resource_not_found(group, CLUSTER_TYPE, name)
        return found

    def region(self, path: str) -> str:
        """Return the region that a path leads to: the one it names, its cluster's, or its group's; "" if none."""
        parts = [it for it in path.lower().split("/") if it]
        if "locations" in parts[:-1]:
            return parts[parts.index("locations") + 1]
        group, cluster = 4, 8  # the number of segments in their ids
        if len(parts) < cluster:
            return ""
        if found := self.clusters.get("/" + "/".join(parts[:cluster])):
            return found.location
        home = self.subscriptions.get(parts[1])
        held = None if home is None else home.groups.get(parts[group - 1])
        return "" if held is None else held.location

    def clusters_below(self, scope: str) -> list[ManagedCluster]:
        """Return every cluster in a subscription or group, after everything that is due has happened to it."""
        for it in tuple(self.clusters.values()):
            if covers(scope, it.id):
                it.server.settle()
        return [it for it in self.clusters.values() if covers(scope, it.id)]

    def locks_above(self, scope: str) -> Iterator[ManagementLock]:
        """Return the locks on a scope and the locks that it inherits."""
        return (it for it in self.locks.values() if covers(it.scope, scope))

    def denied(self, principals: frozenset[str], action: str, scope: str) -> DenyAssignment | None:
        """Return a deny assignment that forbids these principals an action on a scope, or None."""
        return next((it for it in self.denials.values() if it.denies(principals, action, scope)), None)

    def exists(self, scope: str) -> bool:
        """Return whether a scope names something that exists. What is below a cluster is not looked up."""
        parts = [it for it in scope.split("/") if it]
        match [it.lower() for it in parts]:
            case ["providers", "microsoft.management", "managementgroups", name]:
                return self.management_groups.get(name) is not None
            case ["subscriptions", name]:
                return name in self.subscriptions
            case ["subscriptions", name, "resourcegroups", group, *rest]:
                if name not in self.subscriptions or group not in self.subscriptions[name].groups:
                    return False
                resource = normal("/" + "/".join(parts[:8]))
                if f"/{NETWORK_TYPE}/".lower() not in resource:
                    fleets = {normal(it) for it in self.fleets}
                    return not rest or resource in self.clusters or resource in self.plain or resource in fleets
                whole = normal(scope)
                return bool(self.networks.get(whole) or self.networks.subnet(whole))
            case _:
                return False
