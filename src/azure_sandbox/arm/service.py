"""The Azure Resource Manager of a world. The world fills it, and the front asks it. It knows no sockets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.arm.authorization.access import Assignment, normal
from azure_sandbox.arm.authorization.deny_assignment_routes import DenyAssignmentRoutes
from azure_sandbox.arm.authorization.locks import LockRoutes
from azure_sandbox.arm.authorization.policies import PolicyAssignment
from azure_sandbox.arm.authorization.policy_exemptions import PolicyExemptionRoutes
from azure_sandbox.arm.authorization.policy_routes import PolicyRoutes
from azure_sandbox.arm.authorization.role_assignments import RoleAssignmentRoutes
from azure_sandbox.arm.authorization.role_definitions import RoleDefinitionRoutes
from azure_sandbox.arm.authorization.roles import Role
from azure_sandbox.arm.containerservice import existence, maintenance
from azure_sandbox.arm.containerservice.agent_pools import AgentPools
from azure_sandbox.arm.containerservice.api_servers import Builder, regime_of
from azure_sandbox.arm.containerservice.child_resources import JwtAuthenticators, ManagedNamespaces, children_of
from azure_sandbox.arm.containerservice.clusters import Clusters, add_node_group
from azure_sandbox.arm.containerservice.credential_ledger import Ledger
from azure_sandbox.arm.containerservice.credentials import Credentials
from azure_sandbox.arm.containerservice.document import add_created_parts, complete, derived, merge
from azure_sandbox.arm.containerservice.durations import Durations
from azure_sandbox.arm.containerservice.fleets import FleetRoutes, fleet_id
from azure_sandbox.arm.containerservice.maintenance import Maintenance
from azure_sandbox.arm.containerservice.operations import Operations
from azure_sandbox.arm.containerservice.run_command import RunCommand
from azure_sandbox.arm.containerservice.scale_sets import ScaleSets
from azure_sandbox.arm.containerservice.spec import ClusterSpec, LockLevel
from azure_sandbox.arm.containerservice.upgrades import Upgrades
from azure_sandbox.arm.containerservice.validation import check_new, check_types, check_whole
from azure_sandbox.arm.containerservice.versions import DEFAULT, OFFERS, Offer
from azure_sandbox.arm.containerservice.world_cluster import restore_read_only, sent_for
from azure_sandbox.arm.front_door import FrontDoor
from azure_sandbox.arm.insights.activity_log import Entry
from azure_sandbox.arm.insights.routes import Monitor
from azure_sandbox.arm.network.networks import VirtualNetwork
from azure_sandbox.arm.network.routes import NetworkRoutes
from azure_sandbox.arm.resources.management_group_routes import ManagementGroupRoutes
from azure_sandbox.arm.resources.management_groups import ManagementGroup
from azure_sandbox.arm.resources.plain import PlainRoutes
from azure_sandbox.arm.resources.regions import is_region
from azure_sandbox.arm.resources.registration import Registration
from azure_sandbox.arm.resources.resource_graph import ResourceGraph
from azure_sandbox.arm.resources.resource_list import ResourceList
from azure_sandbox.arm.resources.subscriptions import Subscriptions
from azure_sandbox.arm.resources.tags import TagRoutes
from azure_sandbox.arm.state import ManagedCluster, ManagementLock, Operation, Quota, ResourceGroup, State, Subscription
from azure_sandbox.arm.throttling import Throttle
from azure_sandbox.clock import Clock
from azure_sandbox.cluster.declared import resource_of
from azure_sandbox.cluster.servers import ApiServers
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.faults.operations import OperationFaults
from azure_sandbox.front.http import Problem, Request, Router
from azure_sandbox.logs.routes import LogRoutes

YEAR = dt.timedelta(days=365)
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSettings:
    """The settings of a sandbox's control plane.

    `durations`: seconds of Azure's time, by kind of operation (the keys of `DURATIONS`); they are exact.
    `seed`: draw all other durations from the recorded ranges; without it they are the recorded medians.
    `throttling`: an empty token bucket refuses the request.
    `real_control_planes`: each cluster that a client creates gets its own kube-apiserver.
    `offers`: the Kubernetes versions that regions offer.
    `accepted_versions`: api-versions that are accepted although the resource type does not have them any more.
    """

    durations: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    throttling: bool = False
    real_control_planes: bool = False
    page_size: int = 500
    default_version: str = DEFAULT
    offers: tuple[Offer, ...] = OFFERS
    accepted_versions: frozenset[str] = frozenset()


class Arm:
    """management.azure.com: `router` answers requests, the `add_*` methods fill the world. Names ignore case."""

    def __init__(
        self,
        directory: Directory,
        tokens: Tokens,
        clock: Clock,
        settings: ArmSettings | None = None,
        faults: OperationFaults | None = None,
    ) -> None:
        settings = settings or ArmSettings()
        self.router = Router("Azure Resource Manager", decodes_slashes=True)
        self._state = State(progress=clock.progress)
        self._directory = directory
        self.clock = clock
        self.throttle = Throttle(clock, refusing=settings.throttling)
        door = FrontDoor(
            state=self._state,
            directory=directory,
            tokens=tokens,
            clock=clock,
            router=self.router,
            throttle=self.throttle,
            accepted_versions=settings.accepted_versions,
        )
        self._build = Builder(
            clock=clock,
            directory=directory,
            tokens=tokens,
            access=self._state.access,
            real=settings.real_control_planes,
        )
        durations = Durations(settings.durations, settings.seed)
        self._state.policy_delay = durations("policy", "")
        operations = self.operations = Operations(door, durations, faults)
        self.ledger = Ledger()
        credentials = Credentials(door, self.ledger)
        JwtAuthenticators(door, operations)
        ManagedNamespaces(door, operations, credentials)
        self._pools = AgentPools(door, operations)
        clusters = self._clusters = Clusters(door, operations, self._build, version=settings.default_version)
        RoleAssignmentRoutes(door, directory)
        RoleDefinitionRoutes(door)
        Upgrades(door, settings.offers)
        around = (Maintenance, Monitor, ResourceGraph, NetworkRoutes, LogRoutes, ManagementGroupRoutes)
        rules = (LockRoutes, PolicyRoutes, PolicyExemptionRoutes, DenyAssignmentRoutes, FleetRoutes)
        for routes in (*around, *rules):
            routes(door)
        RunCommand(door, durations)
        Subscriptions(door, page=settings.page_size, delete_cluster=clusters.delete)
        ScaleSets(door, page=settings.page_size)
        Registration(door)
        TagRoutes(door)
        PlainRoutes(door, directory)
        ResourceList(door)

    @property
    def state(self) -> State:
        """All subscriptions, resources, assignments and operations."""
        return self._state

    @property
    def clusters(self) -> ApiServers:
        """The API servers of all clusters."""
        return self._state.servers

    def add_subscription(self, id: str, name: str, tenant_id: str) -> None:  # noqa: A002  # Azure's word
        """Add an enabled subscription; `id` and `tenant_id` are GUIDs."""
        self._state.subscriptions[id.lower()] = Subscription(id=id, name=name, tenant=tenant_id)

    def _subscription(self, id: str) -> Subscription:  # noqa: A002  # Azure's word
        found = self._state.subscriptions.get(id.lower())
        if found is None:
            raise ValueError(f"there is no subscription {id}")
        return found

    def add_resource_group(
        self, subscription: str, name: str, location: str, tags: Mapping[str, str] | None = None
    ) -> None:
        """Add a resource group to a subscription, given by its id.

        Raises:
            ValueError: The subscription or the region is unknown.
        """
        home = self._subscription(subscription)
        if not is_region(location):
            raise ValueError(f"resource group {name}: Azure has no region {location!r}")
        home.groups[name.lower()] = ResourceGroup(
            subscription=home.id, name=name, location=location, tags=dict(tags) if tags else None
        )

    def add_cluster(self, subscription: str, resource_group: str, spec: ClusterSpec) -> str:
        """Add a cluster on which no operation runs, and return its resource id.

        Raises:
            ValueError: The subscription or group is unknown, the name is taken, or AKS would refuse the cluster.
        """
        home = self._subscription(subscription)
        group = home.groups.get(resource_group.lower())
        if group is None:
            raise ValueError(f"cluster {spec.name}: there is no resource group {resource_group}")
        if spec.real and spec.declared.webhooks:
            raise ValueError(
                f"cluster {spec.name}: a real control plane calls its webhooks, and the sandbox serves none"
            )
        sent = sent_for(spec, group, home.tenant)
        try:
            for manifest in spec.declared.objects:
                resource_of(manifest)
            for name, window in spec.maintenance.items():
                maintenance.check(name, dict(window))
            check_types(sent)
            existence.check(spec.name, sent)
            check_new(spec.name, sent)
            document = complete(sent, None, subscription=home.id, group=group.name, name=spec.name, tenant=home.tenant)
            check_whole(document, sent)
        except Problem as problem:
            raise ValueError(f"cluster {spec.name}: {problem.body.get('message') or problem.body}") from problem
        add_created_parts(document, subscription=home.id, name=spec.name)
        state = restore_read_only(document, spec)
        created = spec.created or self.clock.now() - YEAR
        server = self._build(
            group,
            spec.name,
            document,
            created=created,
            ca_created=spec.ca_created or created,
            workloads=spec.workloads,
            declared=spec.declared,
            real=spec.real,
        )
        cluster = ManagedCluster(
            subscription=home.id, group=group.name, name=spec.name, document=document, server=server
        )
        cluster.maintenance = {key: deepcopy(dict(it)) for key, it in spec.maintenance.items()}
        cluster.children = children_of(spec)
        cluster.set_state(state)
        cluster.touch()
        if cluster.stopped:
            server.empty()
            server.take_down(created)
        if cluster.id.lower() in self._state.clusters:
            raise ValueError(f"cluster {spec.name}: there are two clusters of that name in {resource_group}")
        self._state.clusters[cluster.id.lower()] = cluster
        self._state.servers.add(server)
        add_node_group(self._state, cluster)
        return cluster.id

    def add_network(self, network: VirtualNetwork) -> None:
        """Add a virtual network with its subnets."""
        self._state.networks.put(network)

    def add_quota(self, subscription: str, location: str, name: str, quota: Quota) -> None:
        """Limit the vCPUs of a region. `name` is `cores` for all of them, or a family such as `standardDSv5Family`."""
        self._state.quotas[subscription.lower(), location, name] = quota

    def add_role(self, role: Role) -> None:
        """Add a custom role definition.

        Raises:
            ValueError: The name is taken.
        """
        if self._state.roles.find(role.name):
            raise ValueError(f"there are two roles called {role.name!r}")
        self._state.roles.put(role)

    def add_management_group(self, group: ManagementGroup) -> None:
        """Add a management group. Raises ValueError if its parent or one of its subscriptions does not exist."""
        if unknown := set(group.subscriptions) - set(self._state.subscriptions):
            raise ValueError(f"management group {group.name}: there is no subscription {', '.join(sorted(unknown))}")
        self._state.management_groups.add(group)

    def add_fleet(self, subscription: str, group: str, name: str, members: Iterable[str]) -> str:
        """Add a fleet of Azure Kubernetes Fleet Manager with clusters as members, and return its resource id."""
        made = fleet_id(subscription, group, name)
        self._state.fleets[made] = tuple(members)
        return made

    def assign(
        self, scope: str, principal_id: str, role_name: str, *, name: str | None = None, description: str | None = None
    ) -> None:
        """Assign a role, given by its name or id, to a principal.

        Raises:
            ValueError: The role or the principal does not exist.
        """
        role = self._state.roles.find(role_name)
        if role is None:
            known = ", ".join(sorted(it.name for it in self._state.roles.all()))
            raise ValueError(f"there is no role {role_name!r}; known: {known}")
        kind = self._directory.kind_of(principal_id)
        if kind is None:
            raise ValueError(f"there is no principal {principal_id}")
        self._state.access.add(
            Assignment(
                name=name or derived(scope, principal_id, role.id),
                scope=scope.rstrip("/"),
                principal=principal_id,
                principal_type=kind,
                role=role,
                created=self.clock.now(),
                description=description,
            )
        )

    def interfere(self, request: Request, change: Mapping[str, Any]) -> None:
        """Change the cluster in a request's path as another client would: merge JSON into it and renew its ETags.

        Does nothing if the path leads to no cluster.
        """
        parts = [it for it in request.path.split("/") if it]
        cluster = self._state.clusters.get(normal("/" + "/".join(parts[:8])))
        if cluster is None:
            return
        cluster.server.settle()
        merged = merge(cluster.document, change or {"tags": {"changed-by": "another-writer"}})
        cluster.document = merged
        cluster.server.govern(regime_of(merged), request.now)
        cluster.touch()

    def resume(self, operation: Operation, share: float) -> None:
        """Resume an operation of a stopped sandbox; `share` (0 to 1) of it was done."""
        makers = self._pools if operation.pool else self._clusters
        self.operations.resume(operation, makers.course(operation.cluster, operation.course), share)

    def add_policy(self, assignment: PolicyAssignment) -> None:
        """Add a policy assignment."""
        self._state.policies[normal(assignment.id)] = assignment

    def delay_activity(self, late: dt.timedelta) -> None:
        """Show each entry of the activity log this much later from now on."""
        self._state.activity.late = late

    def add_activity(self, entry: Entry) -> None:
        """Add an entry to the activity log, for something that happened before the sandbox started."""
        self._state.activity.add(entry)

    def add_lock(self, scope: str, name: str, level: LockLevel, *, notes: str | None = None) -> None:
        """Add a management lock to a scope."""
        lock = ManagementLock(scope=scope.rstrip("/"), name=name, level=level, notes=notes)
        self._state.locks[lock.id.lower()] = lock
