"""How many addresses and vCPUs the nodes of a new cluster take."""

from __future__ import annotations

from typing import Any

import pytest

from aks_entra.core.creation.new_cluster import is_automatic
from aks_entra.core.creation.requirements import addresses, cores, networks, surge, zones
from tests.support.new_clusters import NODES, VNET, new_cluster

FLAT = {"networkPlugin": "azure"}
PODS = NODES.replace("/nodes", "/pods")


@pytest.mark.parametrize(
    ("network", "pool", "needed"),
    [
        (FLAT | {"networkPluginMode": "overlay"}, {}, {NODES: 4}),
        (FLAT, {}, {NODES: 4 * 31}),
        (FLAT, {"maxPods": 50}, {NODES: 4 * 51}),
        (FLAT, {"podSubnetID": PODS}, {NODES: 4, PODS: 4 * 30}),
        (FLAT, {"enableAutoScaling": True, "maxCount": 10}, {NODES: 11 * 31}),
        ({"networkPlugin": "kubenet"}, {"upgradeSettings": {"maxSurge": "2"}}, {NODES: 5}),
        ({}, {"vnetSubnetID": None}, {}),
    ],
)
def test_addresses_count_the_largest_pool_and_the_nodes_of_an_upgrade(
    network: dict[str, Any], pool: dict[str, Any], needed: dict[str, int]
) -> None:
    found = addresses(new_cluster(networkProfile=network, pool=pool))
    assert {one.subnet_id: one.needed for one in found} == needed


def test_pools_share_a_subnet_and_name_it_in_any_case() -> None:
    pool = {"name": "a", "count": 1, "vnetSubnetID": NODES}
    new = new_cluster(agentPoolProfiles=[pool, {**pool, "name": "b", "vnetSubnetID": NODES.upper()}])
    (found,) = addresses(new)
    assert (found.needed, found.field) == (4, "agentPoolProfiles[0].vnetSubnetID")
    assert networks(new) == (VNET,)


@pytest.mark.parametrize(
    ("asked", "nodes", "added"), [("10%", 3, 1), ("33%", 10, 4), ("2", 3, 2), ("", 20, 2), (None, 1, 1)]
)
def test_a_surge_is_a_number_or_a_share_that_is_rounded_up(asked: str | None, nodes: int, added: int) -> None:
    assert surge({"upgradeSettings": {"maxSurge": asked}}, nodes) == added


def test_cores_are_summed_in_total_and_by_family() -> None:
    pools = [
        {"vmSize": "Standard_D4s_v5", "count": 3},
        {"vmSize": "Standard_D8s_v5", "minCount": 2},
        {"vmSize": "Standard_E2as_v5"},
    ]
    found = cores(new_cluster(agentPoolProfiles=pools))
    assert found == {
        "cores": (30, "agentPoolProfiles[0].vmSize"),
        "standarddsv5family": (28, "agentPoolProfiles[0].vmSize"),
        "standardeasv5family": (2, "agentPoolProfiles[2].vmSize"),
    }
    assert cores(new_cluster(agentPoolProfiles=[{"vmSize": "huge"}])) is None


def test_zones_are_texts() -> None:
    assert zones({"availabilityZones": [1, "2"]}) == ("1", "2")
    assert not is_automatic({})
