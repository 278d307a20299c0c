"""The cluster file: a cluster that `provision` creates. Frozen, bounded and versioned, like the fleet file.

The flow `provision_cluster` takes the same model as its parameter. Microsoft Entra ID, Azure RBAC and closed local
accounts are no keys: every cluster that is created here has them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StrictBool, model_validator

from aks_entra.fleet_file.cluster_fields import (
    ClusterName,
    ClusterTags,
    Cni,
    GroupName,
    KubernetesVersion,
    Mode,
    Region,
    Sku,
    SubnetId,
    SupportPlan,
    Tier,
    UpgradeChannel,
)
from aks_entra.fleet_file.cluster_parts import (
    ApiServerFile,
    DiagnosticSettingFile,
    IdentityFile,
    MaintenanceWindowFile,
    NetworkFile,
    NodePoolFile,
    UpgradesFile,
)
from aks_entra.fleet_file.errors import Mistake, Mistakes, problems_of
from aks_entra.fleet_file.fields import Guid, Named, Version
from aks_entra.fleet_file.model import AdminGroupFile
from aks_entra.fleet_file.parsing import Kind, load, parse, schema_of, schema_text
from aks_entra.fleet_file.part import Part, once

__all__ = ["KIND", "ClusterFile", "field_of", "json_schema", "load_cluster_file", "parse_cluster_file", "problems_of"]

KIND: Final = Kind(name="cluster file", page="docs/how-to/create-a-cluster.md", says="cluster")
_OF_DOCUMENT: Final = (
    *("kubernetes_version", "sku", "tier", "support_plan", "node_resource_group", "tags", "identity", "subnet_id"),
    *("network", "api_server", "node_pools", "upgrades", "oidc_issuer", "workload_identity"),
)
_PLACES: Final = {
    "agentPoolProfiles": "node_pools",
    "availabilityZones": "zones",
    "vnetSubnetID": "vnet_subnet_id",
    "podSubnetID": "pod_subnet_id",
    "vmSize": "vm_size",
    "orchestratorVersion": "kubernetes_version",
    "kubernetesVersion": "kubernetes_version",
    "networkProfile": "network",
    "serviceCidr": "service_cidr",
    "apiServerAccessProfile": "api_server",
    "subnetId": "subnet_id",
    "userAssignedIdentities": "control_plane",
    "identityProfile": "identity",
    "kubeletidentity": "kubelet",
    "maintenanceConfigurations": "maintenance_windows",
    "providers/Microsoft.Insights/diagnosticSettings": "diagnostic_settings",
    "nodeResourceGroup": "node_resource_group",
    "resourceGroup": "resource_group",
    "aadProfile.tenantID": "tenant_id",
}
"""The keys of this file, by ARM's property names."""


class ClusterFile(Part):
    """A cluster to create."""

    version: Version
    """Version of this format: 1."""
    kind: Literal["cluster"]
    """cluster: what tells this file from a fleet file."""
    subscription: Named
    """Id or display name of the subscription."""
    resource_group: GroupName
    """Resource group. It is created if it does not exist."""
    name: ClusterName
    """Name of the cluster."""
    location: Region
    """Azure region, such as westeurope."""
    tags: ClusterTags = Field(default_factory=dict)
    """Tags of the cluster."""
    tenant_id: Guid | None = None
    """Tenant of the admin groups. Default: the tenant of the subscription; no other is accepted."""
    admin_groups: Annotated[tuple[AdminGroupFile, ...], Field(min_length=1, max_length=20)]
    """Groups whose members administer the cluster."""
    kubernetes_version: KubernetesVersion | None = None
    """Version of Kubernetes, in quotes: "1.34". Default: Azure's."""
    sku: Sku = Sku.BASE
    """Base, or Automatic: then the service chooses networks, pools and upgrades."""
    tier: Tier = Tier.STANDARD
    """Tier of the control plane. Free has no SLA."""
    support_plan: SupportPlan = SupportPlan.OFFICIAL
    """Long-term support needs the tier Premium."""
    node_resource_group: GroupName | None = None
    """Name of the group in which Azure keeps the nodes. Default: Azure's (`MC_…`)."""
    identity: IdentityFile | None = None
    """User-assigned identities. Default: a system-assigned identity."""
    subnet_id: SubnetId | None = None
    """Subnet of all pools that name none. Default: AKS makes a network."""
    network: NetworkFile = NetworkFile()
    """The network of nodes, pods and services."""
    api_server: ApiServerFile = ApiServerFile()
    """Who reaches the API server."""
    node_pools: Annotated[tuple[NodePoolFile, ...], Field(min_length=1, max_length=100)] | None = None
    """The node pools. Default: one system pool of three nodes."""
    upgrades: UpgradesFile = UpgradesFile()
    """What AKS upgrades by itself."""
    maintenance_windows: Annotated[tuple[MaintenanceWindowFile, ...], Field(max_length=2)] = ()
    """When AKS may upgrade by itself. Default: at any time."""
    oidc_issuer: StrictBool = True
    """Whether the cluster issues OIDC tokens for its service accounts."""
    workload_identity: StrictBool = True
    """Whether pods can sign in to Entra ID with their service account."""
    diagnostic_settings: Annotated[tuple[DiagnosticSettingFile, ...], Field(max_length=5)] = ()
    """Where the logs of the control plane go, the audit log above all. Default: nowhere."""
    work_queue: Named | None = None
    """The work queue whose workers can reach a private API server. Default: the deployment's."""
    document: dict[str, Any] | None = None
    """A resource of ARM that replaces the keys about the cluster itself: `aks-entra provision --from` fills it."""

    @model_validator(mode="after")
    def _pools_fit(self) -> ClusterFile:
        if self.node_pools is None:
            return self
        once("node_pools", [pool.name for pool in self.node_pools], "this pool is listed twice", "rename one", "name")
        found = []
        only = len(self.node_pools) == 1
        if all(pool.mode is not Mode.SYSTEM for pool in self.node_pools) and not only:
            found.append(Mistake("no pool has the mode System", "add `mode: System` to one", at=("node_pools",)))
        for index, pool in enumerate(self.node_pools):
            if only or pool.mode is Mode.SYSTEM:
                found += [
                    Mistake(one.message, one.remedy, at=("node_pools", index, *one.at)) for one in pool.not_for_system()
                ]
            if pool.pod_subnet_id and self.network.cni is Cni.OVERLAY:
                remedy = "write `network: {cni: flat}`, or remove it"
                found.append(Mistake("is only for a flat network", remedy, at=("node_pools", index, "pod_subnet_id")))
            if pool.pod_subnet_id and not (pool.vnet_subnet_id or self.subnet_id):
                remedy = "add `vnet_subnet_id`"
                found.append(Mistake("needs a subnet of nodes too", remedy, at=("node_pools", index, "pod_subnet_id")))
        if found:
            raise Mistakes(found)
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> ClusterFile:
        found = []
        if self.api_server.own_zone and self.identity is None:
            remedy = "add `identity: {control_plane: <id>}`"
            message = "a private DNS zone of your own needs a user-assigned identity"
            found.append(Mistake(message, remedy, at=("api_server", "private_dns_zone")))
        if self.api_server.subnet_id and self.identity is None:
            remedy = "add `identity: {control_plane: <id>}`"
            found.append(Mistake("needs a user-assigned identity", remedy, at=("api_server", "subnet_id")))
        if self.support_plan is SupportPlan.LONG_TERM and self.tier is not Tier.PREMIUM:
            found.append(Mistake("needs the tier Premium", "write `tier: Premium`", at=("support_plan",)))
        if self.workload_identity and not self.oidc_issuer:
            remedy = "write `oidc_issuer: true`, or `workload_identity: false`"
            found.append(Mistake("workload identity needs it", remedy, at=("oidc_issuer",)))
        if self.sku is Sku.AUTOMATIC:
            found += self._not_for_automatic()
        if found:
            raise Mistakes(found)
        return self

    def _not_for_automatic(self) -> list[Mistake]:
        wrong = {
            "tier": self.tier is not Tier.STANDARD,
            "oidc_issuer": not self.oidc_issuer,
            "workload_identity": not self.workload_identity,
            "upgrades": self.upgrades.channel not in {UpgradeChannel.PATCH, UpgradeChannel.STABLE},
        }
        return [
            Mistake("AKS Automatic does not allow this value", "remove it", at=(key,))
            for key, is_wrong in wrong.items()
            if is_wrong
        ]

    @model_validator(mode="after")
    def _each_once(self) -> ClusterFile:
        groups = [group.id or (group.key if group.create else f"name:{group.name}") for group in self.admin_groups]
        once("admin_groups", groups, "this group is listed twice", "remove one of the two")
        windows = [str(one.name) for one in self.maintenance_windows]
        once("maintenance_windows", windows, "this window is listed twice", "remove one of the two", "name")
        settings = [one.name.casefold() for one in self.diagnostic_settings]
        once("diagnostic_settings", settings, "this setting is listed twice", "rename one", "name")
        if self.document is not None and (given := [key for key in _OF_DOCUMENT if key in self.model_fields_set]):
            raise Mistakes(Mistake("the document already describes it", "remove it", at=(key,)) for key in given)
        return self


def field_of(place: str) -> str:
    """Return the key of a cluster file for a path in the body of the PUT, as far as there is one."""
    place = place.removeprefix("properties.")
    if whole := _PLACES.get(place):
        return whole
    parts = re.findall(r"[^.\[\]]+|\[\d+\]", place)
    return "".join(part if part[0] == "[" else f".{_PLACES.get(part, part)}" for part in parts).lstrip(".")


def load_cluster_file(path: Path) -> ClusterFile:
    """Read and check a cluster file (`-`: standard input). Raises `Refused` with every problem: line, field, remedy."""
    return load(path, ClusterFile, KIND)


def parse_cluster_file(text: str, source: str) -> ClusterFile:
    """Check the text of a cluster file. Errors call it `source`. Raises `Refused` as `load_cluster_file` does."""
    return parse(text, source, ClusterFile, KIND)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the cluster file, as in docs/reference/cluster-file.schema.json."""
    return schema_of(ClusterFile, KIND)


def json_schema_text() -> str:
    """Return the schema as the file contains it. `make docs` writes the file."""
    return schema_text(ClusterFile, KIND)


if __name__ == "__main__":
    sys.stdout.write(json_schema_text())
