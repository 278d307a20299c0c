"""World files: the content of a sandbox at its start, as YAML. An unknown key is an error that lists the allowed ones.

IDs that a world leaves out follow from names, so two starts of one world are equal. Secrets that it leaves out are
generated at each start. A date is written as 2024-05-11 or as `90 days ago`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from azure_sandbox.arm.containerservice.durations import DURATIONS
from azure_sandbox.arm.network.client_networks import INTERNET
from azure_sandbox.logs.world import AuditEventModel, AuditLogModel
from azure_sandbox.vaults.world import KeyVaultModel, VaultKeyModel
from azure_sandbox.world.cluster import ActivityModel, BudgetModel, PolicyModel, VolumeModel, WebhookModel
from azure_sandbox.world.identity import (
    ConditionalAccessModel,
    FederatedCredentialModel,
    GroupModel,
    Guid,
    IssuerModel,
    LocationModel,
    Model,
    Moment,
    PolicyRulesModel,
    ServicePrincipalModel,
    TenantModel,
    TimedModel,
    UserModel,
)

_NAMESPACE = uuid.UUID("6f1d8f0c-8a54-4c0e-9d0f-5b5b6c1f7a10")
DEFAULT_OPERATOR = "operator"
OPERATORS_PERMISSIONS = (  # Microsoft Graph permissions of the default operator
    "Group.ReadWrite.All",
    "GroupMember.Read.All",
    "User.Read.All",
    "Application.Read.All",
)
WORLDS = Path(__file__).parent / "examples"


class WorldError(Exception):
    """A world that cannot be built. The message names the file, the line if it is known, the key and the remedy."""


class RoleAssignmentModel(Model):
    """A role assignment; principal by name or ID.

    `scope`: a scope below the one that it is written at, such as `namespaces/shop` of a cluster. `name`: the ID of the
    assignment.
    """

    principal: str
    role: str
    scope: str = ""
    name: Guid | None = None
    description: str | None = None


class LockModel(Model):
    """A management lock. `scope` as in role assignments."""

    name: str
    level: Literal["CanNotDelete", "ReadOnly"]
    scope: str = ""
    notes: str | None = None


class PoolModel(Model):
    """An agent pool. `min` and `max` enable the autoscaler."""

    name: str
    count: int = Field(default=1, ge=0)
    mode: Literal["System", "User"] = "System"
    vm_size: str = "Standard_D4s_v5"
    min: int | None = None
    max: int | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class WorkloadModel(Model):
    """A controller with its pods."""

    name: str
    namespace: str = "default"
    kind: Literal["Deployment", "StatefulSet", "DaemonSet"] = "Deployment"
    replicas: int = Field(default=1, ge=0)


class CustomRoleModel(Model):
    """A custom role. Without scopes it can be assigned in every subscription of the world."""

    name: str
    id: Guid | None = None
    description: str = ""
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    assignable_scopes: tuple[str, ...] = ()


class Scope(Model):
    """A scope with its role assignments, locks, policies and activity log events."""

    role_assignments: tuple[RoleAssignmentModel, ...] = ()
    locks: tuple[LockModel, ...] = ()
    policies: tuple[PolicyModel, ...] = ()
    activity: tuple[ActivityModel, ...] = ()


class ClusterModel(Scope):
    """A managed cluster. `document` is a raw ARM resource, or the path of a JSON file relative to the world file.

    `subnet` of its nodes: `network/subnet` in its resource group, or an ARM id.
    `controlPlane: real` runs a kube-apiserver with etcd from KUBEBUILDER_ASSETS; the world's value is the default.
    `objects` are Kubernetes manifests. `maintenance` maps names to the properties of maintenance windows in ARM,
    `jwtAuthenticators` and `managedNamespaces` those of these child resources.
    """

    name: str
    location: str | None = None
    identity: Literal["none", "legacy", "managed"] = "none"
    admin_groups: tuple[str, ...] = ()
    entra_tenant: Guid | None = None
    azure_rbac: bool = False
    local_accounts: bool = True
    kubernetes_rbac: bool = True
    nodes: int = Field(default=1, ge=0)
    pools: tuple[PoolModel, ...] = ()
    tags: dict[str, str] = Field(default_factory=dict)
    version: str = "1.33.5"
    tier: Literal["Free", "Standard", "Premium"] = "Free"
    power_state: Literal["Running", "Stopped"] = "Running"
    private: bool = False
    authorized_ip_ranges: tuple[IPv4Network, ...] = ()
    subnet: str = ""
    created: Moment | None = None
    ca_created: Moment | None = None
    workloads: tuple[WorkloadModel, ...] = ()
    disruption_budgets: tuple[BudgetModel, ...] = ()
    webhooks: tuple[WebhookModel, ...] = ()
    volumes: tuple[VolumeModel, ...] = ()
    objects: tuple[dict[str, Any], ...] = ()
    maintenance: dict[str, dict[str, Any]] = Field(default_factory=dict)
    jwt_authenticators: dict[str, dict[str, Any]] = Field(default_factory=dict)
    managed_namespaces: dict[str, dict[str, Any]] = Field(default_factory=dict)
    audit_log: AuditLogModel | None = None
    control_plane: Literal["builtin", "real"] | None = None
    document: dict[str, Any] | str | None = None


class SubnetModel(Model):
    """A subnet. `used`: number of addresses that other resources use."""

    name: str
    address_prefix: IPv4Network
    used: int = Field(default=0, ge=0)


class NetworkModel(Model):
    """A virtual network for nodes."""

    name: str
    location: str | None = None
    address_prefixes: tuple[IPv4Network, ...] = Field(min_length=1)
    subnets: tuple[SubnetModel, ...] = ()


class ClientNetworkModel(Model):
    """A network in which clients are: `exec --network NAME` puts a command there.

    `virtualNetworks`: those that it reaches, itself or by peering, as `resource-group/name` or ARM ids. Only there
    private API servers answer. `address`: with which its clients reach public API servers.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    virtual_networks: tuple[str, ...] = ()
    address: IPv4Address = INTERNET.address


class QuotaModel(Model):
    """A vCPU quota of a region: in total (`cores`), or of a family such as standardDSv5Family."""

    location: str
    name: str = "cores"
    limit: int = Field(ge=0)
    used: int = Field(default=0, ge=0)


class ResourceGroupModel(Scope):
    """A resource group."""

    name: str
    location: str = "westeurope"
    tags: dict[str, str] = Field(default_factory=dict)
    virtual_networks: tuple[NetworkModel, ...] = ()
    clusters: tuple[ClusterModel, ...] = ()


class SubscriptionModel(Scope):
    """A subscription. `tenant` names its tenant if it is not the home tenant."""

    name: str
    id: Guid | None = None
    tenant: str | None = None
    quotas: tuple[QuotaModel, ...] = ()
    resource_groups: tuple[ResourceGroupModel, ...] = ()


class ManagementGroupModel(Model):
    """A management group. `parent` names one above it in the list; `subscriptions` are names or ids of direct ones."""

    name: str
    display_name: str = ""
    parent: str = ""
    subscriptions: tuple[str, ...] = ()
    role_assignments: tuple[RoleAssignmentModel, ...] = ()


class World(Model):
    """A world. Without `operator`, one is generated that is Owner of every subscription.

    `throttling`: empty token buckets answer 429. `durations`: seconds of Azure time per kind of operation, such as
    `rotate: 600`; the pace divides them. `controlPlane`: for all clusters, also those that clients create.
    `resourceGraphDelay`: seconds of Azure time until Azure Resource Graph shows a write.
    """

    version: Literal[1]
    tenant: TenantModel = TenantModel()
    tenants: tuple[TenantModel, ...] = ()
    service_principals: tuple[ServicePrincipalModel, ...] = ()
    users: tuple[UserModel, ...] = ()
    groups: tuple[GroupModel, ...] = ()
    licences: tuple[Literal["P1", "P2"], ...] = ("P1", "P2")
    security_defaults: bool = False
    aks_server: bool = True  # whether the tenant has the service principal of Azure Kubernetes Service AAD Server
    graph_throttling: bool = False
    issuers: tuple[IssuerModel, ...] = ()
    named_locations: tuple[LocationModel, ...] = ()
    conditional_access: tuple[ConditionalAccessModel, ...] = ()
    operator: str | None = None
    custom_roles: tuple[CustomRoleModel, ...] = ()
    subscriptions: tuple[SubscriptionModel, ...] = ()
    management_groups: tuple[ManagementGroupModel, ...] = ()
    networks: tuple[ClientNetworkModel, ...] = ()
    key_vaults: tuple[KeyVaultModel, ...] = ()
    throttling: bool = False
    resource_graph_delay: Annotated[float, Field(ge=0)] = 120.0
    control_plane: Literal["builtin", "real"] = "builtin"
    durations: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("durations")
    @classmethod
    def _of_known_operations(cls, durations: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(set(durations) - set(DURATIONS)):
            kinds = ", ".join(sorted(DURATIONS))
            raise ValueError(f"unknown operations: {', '.join(unknown)}; there are {kinds}")
        return durations

    @property
    def wants_real_control_planes(self) -> bool:
        """Return whether a kube-apiserver serves a cluster of this world, or may serve one that is created later."""
        clusters = (it for one in self.subscriptions for group in one.resource_groups for it in group.clusters)
        return "real" in {self.control_plane, *(it.control_plane for it in clusters)}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of world files."""
    found = World.model_json_schema(by_alias=True, mode="validation")
    found["properties"].pop("folder", None)  # the path of the world file, not a key in it
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "A world of aks-entra-sandbox"}


def steady_id(kind: str, *names: str) -> str:
    """Return the ID of an object without one: the same for the same names."""
    return str(uuid.uuid5(_NAMESPACE, "/".join((kind, *names)).lower()))


def builtin_world() -> World:
    """Return the default world: an operator and an empty subscription."""
    return World.model_validate({"version": 1, "subscriptions": [{"name": "sandbox"}]})


def load_world(file: Path) -> World:
    """Read a world file, or a built-in world by name. Raises WorldError."""
    packaged = WORLDS / f"{file.name}.yaml"
    if not file.is_file() and file == Path(file.name) and packaged.exists():
        file = packaged
    try:
        document = YAML(typ="rt").load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorldError(f"{file}: {error.strerror}") from error
    except MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        raise WorldError(f"{file}{line}: not YAML: {error.problem}") from error
    if not isinstance(document, dict):
        raise WorldError(f"{file}: a world is a mapping that starts with `version: 1`")
    if "folder" in document:
        raise WorldError(f"{file}: folder: unknown key")
    try:
        return World.model_validate({**document, "folder": file.parent})
    except ValidationError as error:
        # Unknown keys come first: most often one is a misspelling of a key that is reported as missing.
        first = min(error.errors(), key=lambda it: it["type"] != "extra_forbidden")
        path = ".".join(str(part) for part in first["loc"])
        raise WorldError(f"{file}:{_line(document, first['loc'])}: {path}: {_remedy(first['loc'], first)}") from error


def raw_document(world: World, cluster: ClusterModel) -> Mapping[str, Any] | None:
    """Return a cluster's raw ARM document. Returns None without one. Raises WorldError if its file cannot be read."""
    if not isinstance(cluster.document, str):
        return cluster.document
    file = world.folder / cluster.document
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorldError(f"cluster {cluster.name}: document {file}: {error}") from error
    if not isinstance(found, dict):
        raise WorldError(f"cluster {cluster.name}: document {file} is not a JSON object")
    return found


def _line(document: Any, location: tuple[int | str, ...]) -> int:
    line = 1
    for part in location:
        marks = getattr(document, "lc", None)
        try:
            line = (marks.item(part) if isinstance(part, int) else marks.key(part))[0] + 1  # type: ignore[union-attr]  # AttributeError below
            document = document[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _remedy(location: tuple[int | str, ...], error: Mapping[str, Any]) -> str:
    if error["type"] != "extra_forbidden":
        return str(error["msg"]).removeprefix("Value error, ")
    model = _model_at(location[:-1])
    names = (str(field.validation_alias or to_camel(name)) for name, field in model.model_fields.items())
    return f"unknown key; allowed here: {', '.join(sorted(name for name in names if name != 'folder'))}"


_NESTED: dict[str, type[Model]] = {
    "tenant": TenantModel,
    "tenants": TenantModel,
    "servicePrincipals": ServicePrincipalModel,
    "users": UserModel,
    "groups": GroupModel,
    "federatedCredentials": FederatedCredentialModel,
    "issuers": IssuerModel,
    "namedLocations": LocationModel,
    "conditionalAccess": ConditionalAccessModel,
    "eligible": TimedModel,
    "active": TimedModel,
    "activation": PolicyRulesModel,
    "subscriptions": SubscriptionModel,
    "networks": ClientNetworkModel,
    "keyVaults": KeyVaultModel,
    "keys": VaultKeyModel,
    "resourceGroups": ResourceGroupModel,
    "virtualNetworks": NetworkModel,
    "subnets": SubnetModel,
    "quotas": QuotaModel,
    "clusters": ClusterModel,
    "auditLog": AuditLogModel,
    "events": AuditEventModel,
    "pools": PoolModel,
    "workloads": WorkloadModel,
    "customRoles": CustomRoleModel,
    "roleAssignments": RoleAssignmentModel,
    "locks": LockModel,
    "policies": PolicyModel,
    "activity": ActivityModel,
    "disruptionBudgets": BudgetModel,
    "webhooks": WebhookModel,
    "volumes": VolumeModel,
}


def _model_at(location: tuple[int | str, ...]) -> type[Model]:
    names = [part for part in location if isinstance(part, str)]
    return _NESTED[names[-1]] if names else World
