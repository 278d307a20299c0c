"""A new cluster as a landing zone asks for it, and what Azure says around it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from aks_entra.core.cluster import ClusterId
from aks_entra.core.creation.check import CreationFacts, Network, NetworkSubnet
from aks_entra.core.creation.new_cluster import DIAGNOSTICS, MAINTENANCE, ChildResource, NewCluster
from aks_entra.core.creation.requirements import rights
from aks_entra.core.preflight import Quota

SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
TENANT = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
ADMINS = "a1b2c3d4-1111-4222-8333-944445555666"
HUB = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/hub/providers"
VNET = f"{HUB}/Microsoft.Network/virtualNetworks/spoke"
NODES = f"{VNET}/subnets/nodes"
IDENTITY = f"{HUB}/Microsoft.ManagedIdentity/userAssignedIdentities/aks"
KUBELET = f"{HUB}/Microsoft.ManagedIdentity/userAssignedIdentities/kubelet"
ZONE = f"{HUB}/Microsoft.Network/privateDnsZones/privatelink.westeurope.azmk8s.io"
WORKSPACE = f"{HUB}/Microsoft.OperationalInsights/workspaces/logs"
WINDOW = ChildResource(
    kind=MAINTENANCE,
    name="aksManagedAutoUpgradeSchedule",
    properties={
        "maintenanceWindow": {
            "schedule": {"weekly": {"intervalWeeks": 1, "dayOfWeek": "Saturday"}},
            "durationHours": 4,
            "startTime": "02:00",
            "utcOffset": "+01:00",
        }
    },
)
LOGS = ChildResource(
    kind=DIAGNOSTICS,
    name="audit",
    properties={"workspaceId": WORKSPACE, "logs": [{"category": "kube-audit-admin", "enabled": True}]},
)
BODY: dict[str, Any] = {
    "location": "westeurope",
    "sku": {"name": "Base", "tier": "Standard"},
    "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
    "tags": {"env": "prod"},
    "properties": {
        "kubernetesVersion": "1.34",
        "agentPoolProfiles": [
            {"name": "system", "mode": "System", "count": 3, "vmSize": "Standard_D4s_v5", "vnetSubnetID": NODES}
        ],
        "networkProfile": {"networkPlugin": "azure", "networkPluginMode": "overlay", "serviceCidr": "10.100.0.0/16"},
    },
}


def new_cluster(*children: ChildResource, **properties: Any) -> NewCluster:
    """Return the cluster with other properties. A pool is the system pool with other values."""
    body = deepcopy(BODY)
    pool = properties.pop("pool", {})
    body["properties"] |= properties
    if body["properties"].get("agentPoolProfiles"):
        body["properties"]["agentPoolProfiles"][0] |= pool
    return NewCluster(
        cluster=ClusterId(subscription_id=SUBSCRIPTION, resource_group="pay-weu", name="pay-01"),
        tenant_id=TENANT,
        admin_group_ids=(ADMINS,),
        body=body,
        children=children,
    )


def network(*, free: int = 200, prefixes: tuple[str, ...] = ("10.1.0.0/24",), location: str = "westeurope") -> Network:
    """Return the virtual network with its subnet of nodes."""
    return Network(id=VNET, location=location, subnets=(NetworkSubnet(id=NODES, prefixes=prefixes, free=free),))


def facts(new: NewCluster, **others: Any) -> CreationFacts:
    """Return facts with which nothing stands against the creation, and others in their place."""
    good = CreationFacts(
        tenant_id=TENANT,
        regions={"westeurope": ("1", "2", "3"), "westus": ()},
        versions=("1.33", "1.34"),
        quotas=(Quota(name="cores", left=100), Quota(name="standardDSv5Family", left=100)),
        networks={VNET.casefold(): network()},
        rights=dict.fromkeys(rights(new, group_exists=True), True),
    )
    return replace(good, **others)
