"""Count the addresses of a subnet that clusters take, and check that there is room for more.

Azure gives every node one address. With a flat Azure CNI it gives one more for each pod that the node may run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from azure_sandbox.arm.errors import provider
from azure_sandbox.arm.state import ManagedCluster, State
from azure_sandbox.front.http import Problem

Document = dict[str, Any]
RESERVED = 5  # addresses of each subnet that Azure keeps for itself
PODS_OF_CNI = 30  # the default of `maxPods` with a flat Azure CNI


def addresses_per_node(pool: Document, network: Document) -> int:
    """Return how many addresses of its subnet a node of a pool takes; `network` is the `networkProfile`."""
    flat = network.get("networkPlugin") == "azure" and network.get("networkPluginMode") != "overlay"
    return 1 + (int(pool.get("maxPods") or PODS_OF_CNI) if flat and not pool.get("podSubnetID") else 0)


def held_by(clusters: Iterable[ManagedCluster], subnet: str) -> Iterator[str]:
    """Yield the ids of the IP configurations that the nodes of clusters hold in a subnet, given by its id."""
    for cluster in clusters:
        if cluster.stopped:
            continue
        for pool in cluster.pools:
            if str(pool.get("vnetSubnetID") or "").lower() != subnet.lower():
                continue
            if (pool.get("powerState") or {}).get("code") == "Stopped":
                continue
            each = addresses_per_node(pool, cluster.properties["networkProfile"])
            nodes = f"{cluster.node_group}/providers/Microsoft.Compute/virtualMachineScaleSets/aks-{pool['name']}-vmss"
            for node in range(int(pool.get("count") or 0)):
                card = f"{nodes}/virtualMachines/{node}/networkInterfaces/aks-{pool['name']}"
                yield from (f"{card}/ipConfigurations/ipconfig{number}" for number in range(1, each + 1))


def check_subnets(state: State, document: Document, held: Document | None, cluster: str) -> None:
    """Raise 400 if a pool's subnet does not exist, or is too small for all nodes (for an autoscaler, `maxCount`)."""
    network, before = document["properties"]["networkProfile"], _pools(held)
    wanted: dict[str, int] = {}
    for pool in document["properties"]["agentPoolProfiles"]:
        subnet = pool.get("vnetSubnetID")
        if not subnet:
            continue
        if pool["name"] not in before and state.networks.subnet(subnet) is None:
            raise _not_found(subnet)
        most = pool.get("maxCount") if pool.get("enableAutoScaling") else pool.get("count")
        wanted[subnet.lower()] = wanted.get(subnet.lower(), 0) + int(most or 0) * addresses_per_node(pool, network)
    before_that = _wanted(held)
    for subnet, needed in wanted.items():
        found = state.networks.subnet(subnet)
        if found is None or needed <= before_that.get(subnet, 0):  # only growth is checked
            continue
        others = (it for it in state.clusters.values() if it.id.lower() != cluster.lower())
        room = found.prefix.num_addresses - RESERVED - found.used - sum(1 for _ in held_by(others, subnet))
        if needed > room:
            text = (
                f"Pre-allocated IPs {needed} exceeds IPs available {max(room, 0)} in Subnet Cidr {found.prefix}, "
                f"Subnet Name {found.name}. If Autoscaler is enabled, the max-count from each nodepool is counted "
                "towards this total (which means that pre-allocated IPs count represents a theoretical max value, not "
                "the actual number of IPs requested). http://aka.ms/aks/insufficientsubnetsize"
            )
            raise provider(400, "InsufficientSubnetSize", text, target="agentPoolProfile.count")


def _pools(document: Document | None) -> dict[str, Document]:
    return {it["name"]: it for it in (document or {"properties": {}})["properties"].get("agentPoolProfiles") or ()}


def _wanted(document: Document | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for pool in _pools(document).values():
        if subnet := pool.get("vnetSubnetID"):
            most = pool.get("maxCount") if pool.get("enableAutoScaling") else pool.get("count")
            each = addresses_per_node(pool, (document or {})["properties"]["networkProfile"])
            found[subnet.lower()] = found.get(subnet.lower(), 0) + int(most or 0) * each
    return found


def _not_found(subnet: str) -> Problem:
    parts = subnet.strip("/").split("/")
    whole = 10
    if len(parts) != whole or parts[6].lower() != "virtualnetworks":
        text = f"The value of parameter agentPoolProfile.vnetSubnetID is invalid: '{subnet}'."
        return provider(400, "InvalidParameter", text, target="agentPoolProfile.vnetSubnetID")
    text = (
        f"Could not find subnet {parts[9]} in vnet {parts[7]} from resource group {parts[3]} of subscription "
        f"{parts[1]}."
    )
    return provider(400, "SubnetNotFound", text, target="agentPoolProfile.vnetSubnetID")
