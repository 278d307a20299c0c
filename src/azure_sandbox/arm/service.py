"""The Azure Resource Manager of a world: one object that the world fills and the front asks. It knows no sockets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.arm.access import Assignment
from azure_sandbox.arm.agent_pools import AgentPools
from azure_sandbox.arm.authorization import Authorization
from azure_sandbox.arm.building import Builder
from azure_sandbox.arm.clusters import Clusters, add_node_group
from azure_sandbox.arm.credentials import Credentials
from azure_sandbox.arm.document import complete, derived, settle_in, short
from azure_sandbox.arm.gate import Gate
from azure_sandbox.arm.locks import Locks
from azure_sandbox.arm.operations import Operations
from azure_sandbox.arm.roles import BY_NAME, find
from azure_sandbox.arm.spec import ClusterSpec, LockLevel, PoolSpec
from azure_sandbox.arm.state import ManagedCluster, ManagementLock, ResourceGroup, State, Subscription
from azure_sandbox.arm.subscriptions import Subscriptions
from azure_sandbox.arm.validation import check_new, check_whole
from azure_sandbox.arm.versions import DEFAULT
from azure_sandbox.clock import Clock
from azure_sandbox.cluster.service import ApiServers
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.http import Problem, Router

YEAR = dt.timedelta(days=365)
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSettings:
    """What a sandbox may decide about its control plane; `durations` are in Azure's seconds, by kind of operation."""

    durations: Mapping[str, float] = field(default_factory=dict)
    page_size: int = 500
    default_version: str = DEFAULT


class Arm:
    """management.azure.com: `router` answers, `add_*` fills; names are matched without regard to case."""

    def __init__(self, directory: Directory, tokens: Tokens, clock: Clock, settings: ArmSettings | None = None) -> None:
        settings = settings or ArmSettings()
        self.router = Router("Azure Resource Manager")
        self._state = State()
        self._directory = directory
        self._clock = clock
        gate = Gate(state=self._state, directory=directory, tokens=tokens, clock=clock, router=self.router)
        self._build = Builder(clock=clock, directory=directory, tokens=tokens, access=self._state.access)
        Authorization(gate, directory)
        Locks(gate)
        operations = Operations(gate, settings.durations)
        Credentials(gate)
        AgentPools(gate, operations)
        Clusters(gate, operations, self._build, version=settings.default_version)
        Subscriptions(gate, page=settings.page_size)

    @property
    def clusters(self) -> ApiServers:
        """The API servers of all clusters."""
        return self._state.servers

    def add_subscription(self, id: str, name: str, tenant_id: str) -> None:  # noqa: A002  # Azure's word
        """Add an enabled subscription."""
        self._state.subscriptions[id.lower()] = Subscription(id=id, name=name, tenant=tenant_id)

    def _subscription(self, id: str) -> Subscription:  # noqa: A002  # Azure's word
        found = self._state.subscriptions.get(id.lower())
        if found is None:
            raise ValueError(f"there is no subscription {id}")
        return found

    def add_resource_group(
        self, subscription: str, name: str, location: str, tags: Mapping[str, str] | None = None
    ) -> None:
        """Add a resource group; ValueError if the subscription (an id) is unknown."""
        home = self._subscription(subscription)
        home.groups[name.lower()] = ResourceGroup(
            subscription=home.id, name=name, location=location, tags=dict(tags) if tags else None
        )

    def add_cluster(self, subscription: str, resource_group: str, spec: ClusterSpec) -> str:
        """Add a cluster at rest and return its resource id; ValueError names what is wrong."""
        home = self._subscription(subscription)
        group = home.groups.get(resource_group.lower())
        if group is None:
            raise ValueError(f"cluster {spec.name}: there is no resource group {resource_group}")
        sent = _sent(spec, group, home.tenant)
        try:
            check_new(spec.name, sent)
            document = complete(sent, None, subscription=home.id, group=group.name, name=spec.name, tenant=home.tenant)
            check_whole(document, sent)
        except Problem as problem:
            raise ValueError(f"cluster {spec.name}: {problem.body.get('message') or problem.body}") from problem
        settle_in(document, subscription=home.id, name=spec.name)
        state = _restore(document, spec)
        created = spec.created or self._clock.now() - YEAR
        server = self._build(
            group,
            spec.name,
            document,
            created=created,
            ca_created=spec.ca_created or created,
            workloads=spec.workloads,
        )
        cluster = ManagedCluster(
            subscription=home.id, group=group.name, name=spec.name, document=document, server=server
        )
        cluster.set_state(state)
        cluster.touch()
        if cluster.stopped:
            server.empty()
            server.take_down(created)
        if cluster.id.lower() in self._state.clusters:
            raise ValueError(f"cluster {spec.name}: there are two of that name in {resource_group}")
        self._state.clusters[cluster.id.lower()] = cluster
        self._state.servers.add(server)
        add_node_group(self._state, cluster)
        return cluster.id

    def assign(self, scope: str, principal_id: str, role_name: str) -> None:
        """Assign a role by its name or its id; ValueError if there is no such role or principal."""
        role = find(role_name)
        if role is None:
            raise ValueError(f"there is no role {role_name!r}; known: {', '.join(sorted(BY_NAME))}")
        kind = self._directory.kind_of(principal_id)
        if kind is None:
            raise ValueError(f"there is no principal {principal_id}")
        self._state.access.add(
            Assignment(
                name=derived(scope, principal_id, role.id),
                scope=scope.rstrip("/"),
                principal=principal_id,
                principal_type=kind,
                role=role,
                created=self._clock.now(),
            )
        )

    def add_lock(self, scope: str, name: str, level: LockLevel) -> None:
        """Put a management lock on a scope."""
        lock = ManagementLock(scope=scope.rstrip("/"), name=name, level=level)
        self._state.locks[lock.id.lower()] = lock


def _sent(spec: ClusterSpec, group: ResourceGroup, tenant: str) -> Document:
    """What somebody would have sent to create the cluster of a spec."""
    if spec.document is not None:
        sent: Document = deepcopy(dict(spec.document))
        sent.setdefault("location", spec.location or group.location)
        sent.setdefault("properties", {}).setdefault("dnsPrefix", spec.name)
        return sent
    pools = spec.pools or (PoolSpec(name="nodepool1", count=spec.nodes),)
    properties: Document = {
        "dnsPrefix": f"{spec.name}-dns",
        "kubernetesVersion": spec.version,
        "enableRBAC": spec.kubernetes_rbac,
        "disableLocalAccounts": not spec.local_accounts,
        "agentPoolProfiles": [_pool(it) for it in pools],
    }
    entra = spec.entra_tenant or tenant
    match spec.identity:
        case "legacy":
            apps = {name: derived(group.subscription, spec.name, name) for name in ("clientAppID", "serverAppID")}
            properties["aadProfile"] = {**apps, "tenantID": entra}
        case "managed":
            properties["aadProfile"] = {
                "managed": True,
                "enableAzureRBAC": spec.azure_rbac,
                "adminGroupObjectIDs": list(spec.admin_groups),
                "tenantID": entra,
            }
        case "none":
            pass
    if spec.private:
        properties["apiServerAccessProfile"] = {"enablePrivateCluster": True, "enablePrivateClusterPublicFQDN": True}
    return {
        "location": spec.location or group.location,
        "tags": dict(spec.tags),
        "sku": {"name": "Base", "tier": spec.tier},
        "properties": properties,
    }


def _pool(it: PoolSpec) -> Document:
    pool: Document = {"name": it.name, "count": it.count, "mode": it.mode, "vmSize": it.vm_size}
    if it.low is not None or it.high is not None:
        pool |= {"enableAutoScaling": True, "minCount": it.low or it.count, "maxCount": it.high or it.count}
    if it.labels:
        pool["nodeLabels"] = dict(it.labels)
    return pool


def _restore(document: Document, spec: ClusterSpec) -> str:
    """Put back what a raw document says of read-only properties; returns the provisioning state."""
    properties = document["properties"]
    if spec.document is None:
        properties["powerState"] = {"code": spec.power_state}
        for pool in properties["agentPoolProfiles"]:
            pool["powerState"] = {"code": spec.power_state}
        return "Succeeded"
    raw: Document = dict(spec.document).get("properties") or {}
    for key in ("currentKubernetesVersion", "fqdn", "privateFQDN", "azurePortalFQDN", "powerState"):
        if key in raw:
            properties[key] = deepcopy(raw[key])
    if "fqdn" not in properties:
        properties["fqdn"] = f"{spec.name}-{short(spec.name)}.hcp.{document['location']}.azmk8s.io"
    return str(raw.get("provisioningState", "Succeeded"))
