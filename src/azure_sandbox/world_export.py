"""A world as it stands, written down so that another sandbox can start from it.

Keys, tokens and running operations stay behind: what comes out is what a world file can say.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from ruamel.yaml import YAML

from azure_sandbox.arm.access import normal
from azure_sandbox.arm.networks import VirtualNetwork
from azure_sandbox.arm.roles import Role
from azure_sandbox.arm.service import Arm
from azure_sandbox.arm.state import ManagedCluster, ResourceGroup, State
from azure_sandbox.build import Operator
from azure_sandbox.cluster.certificates import BACKDATED
from azure_sandbox.entra import roles
from azure_sandbox.entra.directory import Directory, Group, ServicePrincipal, User
from azure_sandbox.entra.tokens import AKS_SERVER_APP_ID

Document = dict[str, Any]


class Exported(Protocol):
    """What of a sandbox is written down."""

    directory: Directory
    arm: Arm
    operator: Operator


def export_world(sandbox: Exported) -> Document:
    """The world as a document of the world format."""
    directory, state = sandbox.directory, sandbox.arm.state
    home = directory.tenant
    document: Document = {
        "version": 1,
        "tenant": {"id": home.id, "name": home.domain, "displayName": home.display_name},
        "servicePrincipals": [
            _application(it) for it in directory.service_principals() if it.app_id != AKS_SERVER_APP_ID
        ],
        "users": [_user(it) for it in directory.users()],
        "groups": [_group(it) for it in directory.every_group()],
        "operator": sandbox.operator.principal.id,
        "customRoles": [_role(it) for it in state.roles.custom()],
        "subscriptions": [_subscription(state, it.id, home.id) for it in state.subscriptions.values()],
    }
    if others := [it for it in directory.tenants.values() if it.id != home.id]:
        document["tenants"] = [{"id": it.id, "name": it.domain, "displayName": it.display_name} for it in others]
    bare: Document = _bare(document)
    return bare


def dump_world(document: Mapping[str, Any]) -> str:
    """A world document as YAML."""
    yaml = YAML()
    yaml.width = 120
    yaml.default_flow_style = False
    out = io.StringIO()
    yaml.dump(dict(document), out)
    return out.getvalue()


def _bare(value: Any) -> Any:
    """Without what is empty: its default says the same."""
    if isinstance(value, dict):
        kept = {key: _bare(it) for key, it in value.items()}
        return {key: it for key, it in kept.items() if it not in (None, "", [], {})}
    if isinstance(value, list | tuple):
        return [_bare(it) for it in value]
    return value


def _names(ids: Iterable[str]) -> list[str]:
    wanted = set(ids)
    return sorted(name for name, template in roles.ROLES.items() if template in wanted)


def _application(it: ServicePrincipal) -> Document:
    secret = next(iter((*it.secrets, *it.expired_secrets)), None)
    return {
        "name": it.display_name,
        "id": it.id,
        "appId": it.app_id,
        "secret": secret,
        "secretExpired": not it.secrets and bool(it.expired_secrets),
        "enabled": it.enabled,
        "graphPermissions": sorted(it.graph_permissions),
        "roles": _names(it.roles),
        "publicClient": it.public,
        "delegatedPermissions": sorted(it.delegated),
        "redirectUris": list(it.redirects),
        "tokenVersion": it.token_version,
        "federatedCredentials": [
            {"name": one.name, "issuer": one.issuer, "subject": one.subject, "audience": one.audience}
            for one in it.federated
        ],
    }


def _user(it: User) -> Document:
    return {
        "name": it.display_name,
        "upn": it.upn,
        "id": it.id,
        "password": it.password,
        "enabled": it.enabled,
        "mfa": it.mfa,
        "device": it.device,
        "ip": it.ip,
        "roles": _names(it.roles),
    }


def _group(it: Group) -> Document:
    return {
        "name": it.display_name,
        "id": it.id,
        "uniqueName": it.unique_name,
        "mailNickname": it.mail_nickname,
        "description": it.description,
        "securityEnabled": it.security_enabled,
        "roleAssignable": it.role_assignable,
        "members": sorted(it.members),
        "owners": sorted(it.owners),
        "deleted": it.deleted_at,
        "active": [
            {
                "principal": grant.principal,
                "access": "member" if grant.relation == "members" else "owner",
                "start": grant.start,
                "end": grant.end,
            }
            for grant in it.grants
        ],
    }


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
    here = normal(scope)
    return {
        "roleAssignments": [
            {"principal": it.principal, "role": it.role.name} for it in state.access.all() if normal(it.scope) == here
        ],
        "locks": [{"name": it.name, "level": it.level} for it in state.locks.values() if normal(it.scope) == here],
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
            if normal(it.scope) == here
        ],
    }


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
        "controlPlane": "real" if blueprint.real else None,
        **server.blueprint.declared.written(),
        "document": document,
    }
