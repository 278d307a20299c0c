"""Makes ARM's document of a new cluster from a cluster file, and the documents of what is created below it.

Property names are those of Microsoft.ContainerService/managedClusters 2026-08-01 and of
Microsoft.Insights/diagnosticSettings 2021-05-01-preview.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from aks_entra.core.cluster import ClusterId
from aks_entra.core.creation.new_cluster import DIAGNOSTICS, MAINTENANCE, ChildResource, NewCluster
from aks_entra.fleet_file.cluster_fields import Cni, Dataplane, Mode, Schedule, Sku
from aks_entra.fleet_file.cluster_file import ClusterFile
from aks_entra.fleet_file.cluster_parts import (
    ApiServerFile,
    DiagnosticSettingFile,
    IdentityFile,
    MaintenanceWindowFile,
    NetworkFile,
    NodePoolFile,
)

Document = dict[str, Any]
_ONE_POOL = (NodePoolFile(name="system", mode=Mode.SYSTEM),)
_TENTH = 10


def new_cluster_of(
    file: ClusterFile, subscription_id: str, tenant_id: str, admin_group_ids: tuple[str, ...]
) -> NewCluster:
    """Return a cluster file as a core value. Its subscription, tenant and existing groups are known by their ids."""
    return NewCluster(
        cluster=ClusterId(subscription_id=subscription_id, resource_group=file.resource_group, name=file.name),
        tenant_id=file.tenant_id or tenant_id,
        admin_group_ids=admin_group_ids,
        body=file.document if file.document is not None else body_of(file),
        children=children_of(file),
    )


def body_of(file: ClusterFile) -> Document:
    """Return the body of the PUT, without sign-in and local accounts, which are the same for every cluster."""
    automatic = file.sku is Sku.AUTOMATIC
    said = file.model_fields_set
    properties: Document = {
        "kubernetesVersion": file.kubernetes_version,
        "nodeResourceGroup": file.node_resource_group,
        "supportPlan": file.support_plan.value,
        "agentPoolProfiles": _pools(file),
        "networkProfile": None if automatic and "network" not in said else _network(file.network),
        "apiServerAccessProfile": None if automatic and "api_server" not in said else _api_server(file.api_server),
        "autoUpgradeProfile": None if automatic else _upgrades(file),
        "oidcIssuerProfile": {"enabled": file.oidc_issuer},
        "securityProfile": {"workloadIdentity": {"enabled": file.workload_identity}},
    }
    if file.identity and file.identity.kubelet:
        properties["identityProfile"] = {"kubeletidentity": {"resourceId": file.identity.kubelet}}
    return {
        "location": file.location,
        "sku": {"name": file.sku.value, "tier": file.tier.value},
        "identity": _identity(file.identity),
        "tags": dict(sorted(file.tags.items())),
        "properties": _given(properties),
    }


def children_of(file: ClusterFile) -> tuple[ChildResource, ...]:
    """Return the maintenance windows and diagnostic settings of the cluster."""
    windows = tuple(
        ChildResource(kind=MAINTENANCE, name=one.name.value, properties={"maintenanceWindow": _window(one)})
        for one in file.maintenance_windows
    )
    settings = tuple(
        ChildResource(kind=DIAGNOSTICS, name=one.name, properties=_setting(one)) for one in file.diagnostic_settings
    )
    return (*windows, *settings)


def _given(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not None}


def _identity(identity: IdentityFile | None) -> Document:
    if identity is None:
        return {"type": "SystemAssigned"}
    return {"type": "UserAssigned", "userAssignedIdentities": {identity.control_plane: {}}}


def _pools(file: ClusterFile) -> list[Document]:
    pools = file.node_pools or _ONE_POOL
    only = len(pools) == 1
    return [_pool(pool, file.subnet_id, Mode.SYSTEM if only else pool.mode) for pool in pools]


def _pool(pool: NodePoolFile, subnet: str | None, mode: Mode) -> Document:
    scales = pool.max_count is not None
    return _given(
        {
            "name": pool.name,
            "mode": mode.value,
            "type": "VirtualMachineScaleSets",
            "osType": "Linux",
            "osSKU": pool.os_sku.value if pool.os_sku else None,
            "vmSize": pool.vm_size,
            "count": pool.first_count,
            "enableAutoScaling": True if scales else None,
            "minCount": pool.min_count,
            "maxCount": pool.max_count,
            "availabilityZones": None if pool.zones is None else [str(zone) for zone in pool.zones],
            "maxPods": pool.max_pods,
            "vnetSubnetID": pool.vnet_subnet_id or subnet,
            "podSubnetID": pool.pod_subnet_id,
            "osDiskType": pool.os_disk_type.value if pool.os_disk_type else None,
            "osDiskSizeGB": pool.os_disk_size_gb,
            "nodeLabels": pool.labels or None,
            "nodeTaints": list(pool.taints) or None,
            "upgradeSettings": {"maxSurge": pool.max_surge},
            "securityProfile": {"sshAccess": pool.ssh_access.value},
        }
    )


def _network(network: NetworkFile) -> Document:
    cilium = network.network_dataplane is Dataplane.CILIUM
    policy = network.network_policy.value if network.network_policy else "cilium" if cilium else None
    return _given(
        {
            "networkPlugin": "azure",
            "networkPluginMode": "overlay" if network.cni is Cni.OVERLAY else None,
            "networkDataplane": network.network_dataplane.value,
            "networkPolicy": policy,
            "outboundType": network.outbound_type.value,
            "loadBalancerSku": "standard",
            "podCidr": network.pod_cidr,
            "serviceCidr": network.service_cidr,
            "dnsServiceIP": network.dns_service_ip or _tenth(network.service_cidr),
        }
    )


def _tenth(services: str | None) -> str | None:
    """Return the tenth address of a range, which is AKS's own choice in its default range."""
    return str(ipaddress.ip_network(services)[_TENTH]) if services else None


def _api_server(access: ApiServerFile) -> Document:
    return _given(
        {
            "enablePrivateCluster": True if access.private else None,
            "privateDNSZone": (access.private_dns_zone or "system") if access.private else None,
            "enablePrivateClusterPublicFQDN": access.public_fqdn if access.private else None,
            "authorizedIPRanges": list(access.authorized_ip_ranges) or None,
            "enableVnetIntegration": True if access.subnet_id else None,
            "subnetId": access.subnet_id,
            "disableRunCommand": access.disable_run_command,
        }
    )


def _upgrades(file: ClusterFile) -> Document:
    return {
        "upgradeChannel": file.upgrades.channel.value,
        "nodeOSUpgradeChannel": file.upgrades.node_os_channel.value,
    }


def _window(window: MaintenanceWindowFile) -> Document:
    match window.schedule:
        case Schedule.DAILY:
            schedule: Document = {"daily": {"intervalDays": window.every}}
        case Schedule.WEEKLY:
            schedule = {"weekly": {"intervalWeeks": window.every, "dayOfWeek": window.weekday}}
        case Schedule.MONTHLY:
            schedule = {"absoluteMonthly": {"intervalMonths": window.every, "dayOfMonth": window.day_of_month}}
    return {
        "schedule": schedule,
        "durationHours": window.duration_hours,
        "startTime": window.start_time,
        "utcOffset": window.utc_offset,
    }


def _setting(setting: DiagnosticSettingFile) -> Document:
    return {
        "workspaceId": setting.workspace_id,
        "logs": [{"category": category.value, "enabled": True} for category in setting.categories],
        "logAnalyticsDestinationType": "Dedicated",
    }
