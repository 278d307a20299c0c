"""What the creation of a cluster needs: rights on other resources, addresses of subnets, and vCPUs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from aks_entra.core.creation.new_cluster import DIAGNOSTICS, MAINTENANCE, Body, NewCluster
from aks_entra.core.preflight.vm_sizes import size_of

CREATE: Final = "Microsoft.ContainerService/managedClusters/write"
CREATE_GROUP: Final = "Microsoft.Resources/subscriptions/resourceGroups/write"
ASSIGN: Final = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
JOIN: Final = "Microsoft.Network/virtualNetworks/subnets/join/action"
SEND_LOGS: Final = "Microsoft.OperationalInsights/workspaces/sharedKeys/action"
_WRITE_CHILD: Final = {
    MAINTENANCE: "Microsoft.ContainerService/managedClusters/maintenanceConfigurations/write",
    DIAGNOSTICS: "Microsoft.Insights/diagnosticSettings/write",
}
_SURGE: Final = "10%"  # what AKS adds to a pool while it upgrades, if nothing else is asked for
_PODS_OF_FLAT_CNI: Final = 30
TOTAL: Final = "cores"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """An ARM action that the runner needs on a scope. `field` is the path in the body that asks for it."""

    action: str
    scope: str
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """How many addresses of a subnet the nodes take when every pool has its largest size and upgrades."""

    subnet_id: str
    needed: int
    field: str


def rights(new: NewCluster, *, group_exists: bool) -> tuple[Right, ...]:
    """Return the rights that the creation needs, each once."""
    subscription = f"/subscriptions/{new.cluster.subscription_id}"
    home = f"{subscription}/resourceGroups/{new.cluster.resource_group}" if group_exists else subscription
    found = [] if group_exists else [Right(action=CREATE_GROUP, scope=subscription, field="resourceGroup")]
    found.append(Right(action=CREATE, scope=home))
    identity = new.body.get("identity") or {}
    found += [
        Right(action=ASSIGN, scope=scope, field="identity.userAssignedIdentities")
        for scope in identity.get("userAssignedIdentities") or ()
    ]
    properties = new.body["properties"]
    kubelet = ((properties.get("identityProfile") or {}).get("kubeletidentity") or {}).get("resourceId")
    if kubelet:
        found.append(Right(action=ASSIGN, scope=kubelet, field="identityProfile.kubeletidentity"))
    api_server = (properties.get("apiServerAccessProfile") or {}).get("subnetId")
    if api_server:
        found.append(Right(action=JOIN, scope=api_server, field="apiServerAccessProfile.subnetId"))
    for index, pool in enumerate(new.pools):
        found += [
            Right(action=JOIN, scope=pool[key], field=f"agentPoolProfiles[{index}].{key}")
            for key in ("vnetSubnetID", "podSubnetID")
            if pool.get(key)
        ]
    for child in new.children:
        found.append(Right(action=_WRITE_CHILD[child.kind], scope=home, field=child.kind))
        if workspace := child.properties.get("workspaceId"):
            found.append(Right(action=SEND_LOGS, scope=workspace, field=child.kind))
    once: dict[tuple[str, str], Right] = {}
    for one in found:
        once.setdefault((one.action, one.scope.casefold()), one)
    return tuple(once.values())


def addresses(new: NewCluster) -> tuple[Addresses, ...]:
    """Return the addresses that the cluster takes of each subnet: with a flat CNI one more for each possible pod."""
    network = new.body["properties"].get("networkProfile") or {}
    found: dict[str, Addresses] = {}
    for index, pool in enumerate(new.pools):
        for subnet, needed, key in _of_pool(pool, network):
            before = found.get(subnet.casefold())
            found[subnet.casefold()] = Addresses(
                subnet_id=subnet,
                needed=needed + (before.needed if before else 0),
                field=before.field if before else f"agentPoolProfiles[{index}].{key}",
            )
    return tuple(found.values())


def _of_pool(pool: Body, network: Body) -> Iterator[tuple[str, int, str]]:
    nodes = most_nodes(pool)
    nodes += surge(pool, nodes)
    flat = network.get("networkPlugin") == "azure" and network.get("networkPluginMode") != "overlay"
    pods = int(pool.get("maxPods") or _PODS_OF_FLAT_CNI) if flat else 0
    apart = pool.get("podSubnetID")
    if subnet := pool.get("vnetSubnetID"):
        yield subnet, nodes * (1 + (0 if apart else pods)), "vnetSubnetID"
    if apart:
        yield apart, nodes * pods, "podSubnetID"


def most_nodes(pool: Body) -> int:
    """Return the largest number of nodes of a pool without an upgrade."""
    return int((pool.get("maxCount") if pool.get("enableAutoScaling") else pool.get("count")) or 1)


def surge(pool: Body, nodes: int) -> int:
    """Return how many nodes an upgrade adds to a pool. `maxSurge` is a number or a percentage, rounded up."""
    asked = str((pool.get("upgradeSettings") or {}).get("maxSurge") or _SURGE)
    return math.ceil(nodes * int(asked[:-1]) / 100) if asked.endswith("%") else int(asked)


def cores(new: NewCluster) -> dict[str, tuple[int, str]] | None:
    """Return the vCPUs that the first nodes need, by quota (`cores`, or a family), with the field of the first pool.

    None if a pool's VM size is left to Azure, or its name says no vCPUs.
    """
    found: dict[str, tuple[int, str]] = {}
    for index, pool in enumerate(new.pools):
        size = size_of(str(pool.get("vmSize") or ""))
        if size is None:
            return None
        nodes = int(pool.get("count") or pool.get("minCount") or 1)
        for name in (TOTAL, "|".join(size.families)):
            count, field = found.get(name, (0, f"agentPoolProfiles[{index}].vmSize"))
            found[name] = (count + size.cores * nodes, field)
    return found


def zones(pool: Body) -> tuple[str, ...]:
    """Return the availability zones that a pool asks for."""
    return tuple(str(one) for one in pool.get("availabilityZones") or ())


def networks(new: NewCluster) -> tuple[str, ...]:
    """Return the ids of the virtual networks that the cluster uses."""
    properties = new.body["properties"]
    named: list[Any] = [(properties.get("apiServerAccessProfile") or {}).get("subnetId")]
    named += [pool.get(key) for pool in new.pools for key in ("vnetSubnetID", "podSubnetID")]
    once: dict[str, str] = {}
    for one in named:
        if one:
            once.setdefault(network_of(one).casefold(), network_of(one))
    return tuple(once.values())


def network_of(subnet_id: str) -> str:
    """Return the id of a subnet's virtual network."""
    return subnet_id.rsplit("/", 2)[0]
