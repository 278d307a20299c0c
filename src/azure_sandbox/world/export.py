"""Export the present state as a world, from which another sandbox can start.

Keys, tokens and running operations are not exported: a world file cannot express them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from ruamel.yaml import YAML

from azure_sandbox.arm.authorization.access import normal
from azure_sandbox.arm.authorization.policies import Definition
from azure_sandbox.arm.authorization.roles import Role
from azure_sandbox.arm.containerservice.child_resources import JWT_AUTHENTICATORS, MANAGED_NAMESPACES
from azure_sandbox.arm.network.client_networks import ClientNetwork
from azure_sandbox.arm.network.networks import VirtualNetwork
from azure_sandbox.arm.service import Arm
from azure_sandbox.arm.state import ManagedCluster, ResourceGroup, State
from azure_sandbox.cluster.certificates import BACKDATED
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import AKS_SERVER_APP_ID
from azure_sandbox.vaults.service import KeyVaults
from azure_sandbox.world.build import Operator
from azure_sandbox.world.export_identity import identities

Document = dict[str, Any]
TELLING = ("licences", "require")  # an empty value of these differs from the default


class Exported(Protocol):
    """The parts of a sandbox that are exported."""

    directory: Directory
    arm: Arm
    operator: Operator
    networks: dict[str, ClientNetwork]
    vaults: KeyVaults


def export_world(sandbox: Exported) -> Document:
    """Return the present state as a world document."""
    directory, state = sandbox.directory, sandbox.arm.state
    home = directory.tenant
    document: Document = {
        "version": 1,
        "tenant": {"id": home.id, "name": home.domain, "displayName": home.display_name},
        **identities(directory),
        "aksServer": any(it.app_id == AKS_SERVER_APP_ID for it in directory.service_principals()),
        "operator": sandbox.operator.principal.id,
        "customRoles": [_role(it) for it in state.roles.custom()],
        "subscriptions": [_subscription(state, it.id, home.id) for it in state.subscriptions.values()],
        "resourceGraphDelay": state.graph_delay,
        "managementGroups": [
            {
                "name": it.name,
                "displayName": it.display_name,
                "parent": it.parent,
                "subscriptions": list(it.subscriptions),
                "roleAssignments": _governed(state, it.id)["roleAssignments"],
            }
            for it in state.management_groups.all()
        ],
        "networks": [
            {"name": it.name, "virtualNetworks": sorted(it.virtual_networks), "address": str(it.address)}
            for it in sandbox.networks.values()
            if it.name
        ],
        "keyVaults": [it.written() for it in sandbox.vaults.described],
    }
    if others := [it for it in directory.tenants.values() if it.id != home.id]:
        document["tenants"] = [{"id": it.id, "name": it.domain, "displayName": it.display_name} for it in others]
    bare: Document = _bare(document)
    return bare


def dump_world(document: Mapping[str, Any]) -> str:
    """Return a world document as YAML."""
    yaml = YAML()
    yaml.width = 120
    yaml.default_flow_style = False
    out = io.StringIO()
    yaml.dump(dict(document), out)
    return out.getvalue()


def _bare(value: Any) -> Any:
    """Return the value without empty parts, whose defaults are equal."""
    if isinstance(value, dict):
        kept = {key: _bare(it) for key, it in value.items()}
        return {key: it for key, it in kept.items() if it not in (None, "", [], {}) or (it == [] and key in TELLING)}
    if isinstance(value, list | tuple):
        return [_bare(it) for it in value]
    return value


def _role(it: Role) -> Document:
    return {
        "name": it.name,
        "id": it.id,
        "description": it.description,
        "actions": list(it.actions),
        "notActions": list(it.not_actions),
        "dataActions": list(it.data_actions),
        "notDataActions": list(it.not_data_actions),
        "assignableScopes": list(it.assignable),
    }


def _governed(state: State, scope: str) -> Document:
    """Return what is assigned to a scope, and to the scopes below that have no entry of their own in a world."""
    return {
        "roleAssignments": [
            {
                "principal": it.principal,
                "role": it.role.name,
                "scope": below,
                "name": it.name,
                "description": it.description,
            }
            for it in state.access.all()
            if (below := _below(state, it.scope, scope)) is not None
        ],
        "locks": [
            {"name": it.name, "level": it.level, "scope": below, "notes": it.notes}
            for it in state.locks.values()
            if (below := _below(state, it.scope, scope)) is not None
        ],
        "policies": [
            {
                "name": it.name,
                "definition": None if it.definition.custom else it.definition.name,
                "effect": it.effect,
                "displayName": it.display_name,
                "enforced": it.enforced,
                "notScopes": list(it.not_scopes),
                "deny": dict(it.definition.denies) if it.definition.denies else None,
            }
            for it in state.policies.values()
            if normal(it.scope) == normal(scope) and isinstance(it.definition, Definition)
        ],
    }


def _below(state: State, scope: str, holder: str) -> str | None:
    """Return the rest of a scope below its holder in a world. Returns None if another entry holds the scope."""
    parts = scope.strip("/").split("/")
    if parts[0].lower() == "providers":  # a management group
        return "" if normal(scope) == normal(holder) else None
    subscription, group, cluster = 2, 4, 8  # segments of their ids
    for length in (cluster, group, subscription):
        upper = normal("/" + "/".join(parts[:length]))
        if len(parts) < length or not _has_place(state, upper, length):
            continue
        return "/".join(parts[length:]) if upper == normal(holder) else None
    return None


def _has_place(state: State, scope: str, length: int) -> bool:
    parts = scope.strip("/").split("/")
    cluster = 8
    if length == cluster:
        return scope in state.clusters
    home = state.subscriptions.get(parts[1])
    if home is None or len(parts) == 2:  # noqa: PLR2004  # /subscriptions/x
        return home is not None
    found = home.groups.get(parts[3])
    return found is not None and not found.manager


def _subscription(state: State, name: str, home: str) -> Document:
    it = state.subscription(name)
    groups = [group for group in it.groups.values() if not group.manager]
    return {
        "name": it.name,
        "id": it.id,
        "tenant": None if it.tenant == home else it.tenant,
        **_governed(state, it.scope),
        "quotas": [
            {"location": region, "name": quota, "limit": one.limit, "used": one.used}
            for (home_of, region, quota), one in state.quotas.items()
            if home_of == it.id.lower()
        ],
        "resourceGroups": [_resource_group(state, group) for group in groups],
    }


def _resource_group(state: State, it: ResourceGroup) -> Document:
    return {
        "name": it.name,
        "location": it.location,
        "tags": it.tags,
        **_governed(state, it.id),
        "virtualNetworks": [_network(one) for one in state.networks.below(it.id)],
        "clusters": [_cluster(state, one) for one in state.clusters_below(it.id)],
    }


def _network(it: VirtualNetwork) -> Document:
    return {
        "name": it.name,
        "location": it.location,
        "addressPrefixes": [str(one) for one in it.prefixes],
        "subnets": [
            {"name": one.name, "addressPrefix": str(one.prefix), "used": one.used} for one in it.subnets.values()
        ],
    }


def _cluster(state: State, it: ManagedCluster) -> Document:
    server = it.server
    blueprint = server.blueprint
    born: datetime = blueprint.ca_created
    if server.touched:
        born = server.generation.authority.certificate.not_valid_before_utc + BACKDATED
    own = blueprint.workloads
    document = {
        "location": it.location,
        **{key: value for key, value in it.document.items() if key not in {"properties", "location"}},
        "properties": {**it.properties, "provisioningState": it.state},
    }
    return {
        "name": it.name,
        **_governed(state, it.id),
        "created": server.blueprint.created,
        "caCreated": born,
        "workloads": [
            {"name": one.name, "namespace": one.namespace, "kind": one.kind, "replicas": one.replicas} for one in own
        ],
        "maintenance": it.maintenance,
        **{
            kind: {child.name: child.document["properties"] for (of, _), child in it.children.items() if of == kind}
            for kind in (JWT_AUTHENTICATORS, MANAGED_NAMESPACES)
        },
        "auditLog": state.logs.described.get(it.id.lower()),
        "controlPlane": "real" if blueprint.real else None,
        **server.blueprint.declared.written(),
        "document": document,
    }
