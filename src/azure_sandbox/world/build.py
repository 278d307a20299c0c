"""Build a directory and a control plane from a world. Names are resolved to IDs; contradictions raise WorldError."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure_sandbox.arm.authorization.roles import Role
from azure_sandbox.arm.containerservice.child_resources import JWT_AUTHENTICATORS, MANAGED_NAMESPACES
from azure_sandbox.arm.containerservice.spec import ClusterSpec, PoolSpec, WorkloadSpec
from azure_sandbox.arm.network.client_networks import ClientNetwork
from azure_sandbox.arm.network.networks import NETWORK_TYPE, Subnet, VirtualNetwork
from azure_sandbox.arm.resources.management_groups import ManagementGroup
from azure_sandbox.arm.service import Arm
from azure_sandbox.arm.state import Quota
from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory, ServicePrincipal, Tenant
from azure_sandbox.front.http import Problem
from azure_sandbox.world import build_identity
from azure_sandbox.world.cluster import declared
from azure_sandbox.world.identity import ServicePrincipalModel, TenantModel
from azure_sandbox.world.model import (
    DEFAULT_OPERATOR,
    OPERATORS_PERMISSIONS,
    ClusterModel,
    NetworkModel,
    ResourceGroupModel,
    Scope,
    World,
    WorldError,
    raw_document,
    steady_id,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """The service principal whose credentials the environment carries, with its tenant and subscription."""

    principal: ServicePrincipal
    secret: str
    tenant_id: str
    subscription_id: str


class Names:
    """The object IDs behind the names in a world."""

    def __init__(self) -> None:
        self._ids: dict[str, list[str]] = {}

    def add(self, name: str, object_id: str) -> None:
        """Register the name of an object."""
        self._ids.setdefault(name.lower(), []).append(object_id)

    def resolve(self, name: str, where: str) -> str:
        """Return the ID of a name. An ID is returned as it is. Raises WorldError for an unknown or ambiguous name."""
        found = self._ids.get(name.lower(), [])
        if len(found) == 1:
            return found[0]
        if found:
            raise WorldError(f"{where}: {len(found)} objects are called {name!r}; write the id")
        try:
            return str(uuid.UUID(name))
        except ValueError:
            raise WorldError(
                f"{where}: no object is called {name!r}; write the name of a user, group or service principal of this "
                "world, or an object id"
            ) from None


def tenant_of(model: TenantModel) -> Tenant:
    """Return a tenant of the world."""
    display_name = model.display_name or model.name.partition(".")[0].capitalize()
    return Tenant(id=model.id or steady_id("tenant", model.name), domain=model.name, display_name=display_name)


def build_directory(world: World, clock: Clock, *, replication: float = 0.0) -> tuple[Directory, Names]:
    """Return the directory and its names. `replication`: real seconds until a read sees a write."""
    home = tenant_of(world.tenant)
    directory, names = Directory(home, clock=clock, replication=replication), Names()
    for other in world.tenants:
        directory.add_tenant(tenant_of(other))
    applications = list(world.service_principals)
    if world.operator is None and all(it.name != DEFAULT_OPERATOR for it in applications):
        default = {"name": DEFAULT_OPERATOR, "graphPermissions": OPERATORS_PERMISSIONS}
        applications.append(ServicePrincipalModel.model_validate(default))
    try:
        made = [build_identity.service_principal(it, home, world.folder) for it in applications]
        for principal in (*made, *([build_identity.aks_server(home)] if world.aks_server else [])):
            directory.add(principal)
            names.add(principal.display_name, principal.id)
        for person in world.users:
            user = build_identity.user(person, home)
            directory.add(user)
            for name in {person.name.lower(), person.upn.lower()}:
                names.add(name, user.id)
        groups = [(model, build_identity.group(model, home, clock)) for model in world.groups]
        for _, group in groups:
            directory.add(group)
            names.add(group.display_name, group.id)
    except ValueError as error:
        raise WorldError(str(error)) from error
    for model, group in groups:
        group.members |= {names.resolve(it, f"group {model.name}: members") for it in model.members}
        group.owners |= {names.resolve(it, f"group {model.name}: owners") for it in model.owners}
    for model, group in groups:
        build_identity.privilege(model, group, directory, names.resolve)
    build_identity.policies(world, directory, names.resolve)
    return directory, names


def build_arm(world: World, arm: Arm, directory: Directory, names: Names) -> Operator:
    """Fill the control plane and return the operator, whose subscription is the first one."""
    subscriptions: list[str] = []
    _define(world, arm, directory.tenant.id)
    operator = _operator(world, directory, names)
    for model in world.subscriptions:
        tenant = directory.tenant if model.tenant is None else directory.find_tenant(model.tenant)
        if tenant is None:
            raise WorldError(f"subscription {model.name}: `tenants` has no tenant {model.tenant!r}")
        subscription = model.id or steady_id("subscription", directory.tenant.id, model.name)
        subscriptions.append(subscription)
        scope = f"/subscriptions/{subscription}"
        try:
            arm.add_subscription(subscription, model.name, tenant.id)
            if world.operator is None:
                arm.assign(scope, operator.id, "Owner")
            _govern(model, scope, arm, names)
            for quota in model.quotas:
                arm.add_quota(subscription, quota.location, quota.name, Quota(limit=quota.limit, used=quota.used))
            for group in model.resource_groups:
                arm.add_resource_group(subscription, group.name, group.location, group.tags)
                inner = f"{scope}/resourceGroups/{group.name}"
                _govern(group, inner, arm, names)
                for network in group.virtual_networks:
                    arm.add_network(_network(network, subscription, group))
                for cluster in group.clusters:
                    spec = _cluster(world, cluster, names, arm, inner)
                    resource = arm.add_cluster(subscription, group.name, spec)
                    _govern(cluster, resource, arm, names)
                    _audit(cluster, resource, group.location, arm)
        except ValueError as error:
            raise WorldError(f"subscription {model.name}: {error}") from error
    arm.state.graph_delay = world.resource_graph_delay
    _group(world, arm, names)
    if operator.public:
        raise WorldError(f"operator: {operator.display_name!r} is a public client, which has no secret")
    return Operator(
        principal=operator,
        secret=(operator.secrets or operator.expired_secrets)[0],
        tenant_id=directory.tenant.id,
        subscription_id=subscriptions[0] if subscriptions else "",
    )


def _group(world: World, arm: Arm, names: Names) -> None:
    ids = {it.name.lower(): key for key, it in arm.state.subscriptions.items()}
    for model in world.management_groups:
        group = ManagementGroup(
            name=model.name,
            display_name=model.display_name,
            parent=model.parent,
            subscriptions=tuple(ids.get(it.lower(), it.lower()) for it in model.subscriptions),
        )
        try:
            arm.add_management_group(group)
            for it in model.role_assignments:
                who = names.resolve(it.principal, f"roleAssignments of management group {model.name}")
                arm.assign(_below(group.id, it.scope), who, it.role, name=it.name, description=it.description)
        except ValueError as error:
            raise WorldError(f"managementGroups: {error}") from error


def _network(model: NetworkModel, subscription: str, group: ResourceGroupModel) -> VirtualNetwork:
    network = VirtualNetwork(
        subscription=subscription,
        group=group.name,
        name=model.name,
        location=model.location or group.location,
        prefixes=model.address_prefixes,
    )
    for it in model.subnets:
        try:
            network.add(Subnet(name=it.name, prefix=it.address_prefix, used=it.used))
        except Problem as problem:
            text = problem.body["error"]["message"]
            raise WorldError(f"virtualNetworks of {group.name}: {text}") from problem
    return network


def build_networks(world: World, arm: Arm) -> dict[str, ClientNetwork]:
    """Return the networks of clients by name. Raises WorldError for a virtual network that does not exist."""
    found: dict[str, ClientNetwork] = {}
    everything = [one.id.lower() for one in arm.state.networks.below("/subscriptions")]
    for it in world.networks:
        reached: set[str] = set()
        for name in it.virtual_networks:
            group, _, own = name.partition("/")
            end = name if name.startswith("/") else f"/resourceGroups/{group}/providers/{NETWORK_TYPE}/{own}"
            ids = {one for one in everything if one.endswith(end.rstrip("/").lower())}
            if not ids:
                raise WorldError(f"network {it.name}: no resource group has the virtual network {name!r}")
            reached |= ids
        found[it.name] = ClientNetwork(name=it.name, address=it.address, virtual_networks=frozenset(reached))
    if len(found) < len(world.networks):
        raise WorldError("networks: two networks have the same name")
    return found


def _define(world: World, arm: Arm, home: str) -> None:
    everywhere = tuple(
        f"/subscriptions/{it.id or steady_id('subscription', home, it.name)}" for it in world.subscriptions
    )
    for it in world.custom_roles:
        role = Role(
            id=it.id or steady_id("role", it.name),
            name=it.name,
            description=it.description,
            custom=True,
            assignable=tuple(one.rstrip("/") for one in it.assignable_scopes) or everywhere,
            actions=it.actions,
            not_actions=it.not_actions,
            data_actions=it.data_actions,
            not_data_actions=it.not_data_actions,
            created=arm.clock.now(),
            updated=arm.clock.now(),
        )
        try:
            arm.add_role(role)
        except ValueError as error:
            raise WorldError(f"customRoles: {error}") from error


def _operator(world: World, directory: Directory, names: Names) -> ServicePrincipal:
    name = world.operator or DEFAULT_OPERATOR
    found = directory.principal(names.resolve(name, "operator"))
    if not isinstance(found, ServicePrincipal):
        raise WorldError(f"operator: `servicePrincipals` has no {name!r}")
    return found


def _govern(model: Scope, scope: str, arm: Arm, names: Names) -> None:
    for it in model.role_assignments:
        who = names.resolve(it.principal, f"roleAssignments of {scope}")
        arm.assign(_below(scope, it.scope), who, it.role, name=it.name, description=it.description)
    for lock in model.locks:
        arm.add_lock(_below(scope, lock.scope), lock.name, lock.level, notes=lock.notes)
    for policy in model.policies:
        arm.add_policy(policy.assignment(scope))
    for event in model.activity:
        oid = names.resolve(event.caller, f"activity of {scope}")
        arm.add_activity(event.entry(scope, oid, _moment(event.at, arm.clock.now()) or arm.clock.now()))


def _below(scope: str, further: str) -> str:
    return f"{scope}/{further.strip('/')}" if further else scope


def _subnet(model: ClusterModel, arm: Arm, group: str) -> str:
    """Return the id of a cluster's subnet, or an empty string without one. Raises ValueError if it does not exist."""
    network, _, name = model.subnet.partition("/")
    found = f"{group}/providers/{NETWORK_TYPE}/{network}/subnets/{name}" if network else model.subnet
    if found and arm.state.networks.subnet(found) is None:
        raise ValueError(f"cluster {model.name}: no earlier `virtualNetworks` has {model.subnet!r}")
    return found


def _cluster(world: World, model: ClusterModel, names: Names, arm: Arm, group: str) -> ClusterSpec:
    now = arm.clock.now()
    where = f"cluster {model.name}: adminGroups"
    return ClusterSpec(
        name=model.name,
        location=model.location,
        identity=model.identity,
        admin_groups=tuple(names.resolve(it, where) for it in model.admin_groups),
        entra_tenant=model.entra_tenant,
        azure_rbac=model.azure_rbac,
        local_accounts=model.local_accounts,
        kubernetes_rbac=model.kubernetes_rbac,
        nodes=model.nodes,
        pools=tuple(
            PoolSpec(
                name=it.name,
                count=it.count,
                mode=it.mode,
                vm_size=it.vm_size,
                low=it.min,
                high=it.max,
                labels=it.labels,
            )
            for it in model.pools
        ),
        tags=model.tags,
        version=model.version,
        tier=model.tier,
        power_state=model.power_state,
        private=model.private,
        authorized_ip_ranges=tuple(map(str, model.authorized_ip_ranges)),
        subnet=_subnet(model, arm, group),
        created=_moment(model.created, now),
        ca_created=_moment(model.ca_created, now),
        workloads=tuple(
            WorkloadSpec(name=it.name, namespace=it.namespace, kind=it.kind, replicas=it.replicas)
            for it in model.workloads
        ),
        declared=declared(model.disruption_budgets, model.webhooks, model.volumes, model.objects),
        maintenance=model.maintenance,
        children={JWT_AUTHENTICATORS: model.jwt_authenticators, MANAGED_NAMESPACES: model.managed_namespaces},
        real=(model.control_plane or world.control_plane) == "real",
        document=raw_document(world, model),
    )


def _audit(model: ClusterModel, resource: str, location: str, arm: Arm) -> None:
    if model.audit_log is not None:
        customer = steady_id("workspace", *resource.split("/")[2:5:2], model.audit_log.workspace)
        model.audit_log.build(arm.state.logs, resource, model.location or location, customer, arm.clock.now())


def _moment(written: datetime | timedelta | None, now: datetime) -> datetime | None:
    return now - written if isinstance(written, timedelta) else written
