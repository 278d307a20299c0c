# ruff: noqa: E501 - a table reads best with one line for each case
"""What stands against a creation before the first write, and what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from aks_entra.core.creation.check import Network, check
from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.creation.requirements import Right, rights
from aks_entra.core.preflight import Quota
from tests.support.golden_files import approved
from tests.support.new_clusters import (
    BODY,
    KUBELET,
    LOGS,
    NODES,
    VNET,
    WINDOW,
    facts,
    network,
    new_cluster,
)

FLAT = {"networkPlugin": "azure", "serviceCidr": "10.100.0.0/16"}
OTHER = NODES.replace("/nodes", "/pods")
RIGHT = Right(
    action="Microsoft.Network/virtualNetworks/subnets/join/action",
    scope=NODES,
    field="agentPoolProfiles[0].vnetSubnetID",
)
Row = tuple[str, NewCluster, dict[str, Any], str]
AGAINST: list[Row] = [
    ("another tenant", new_cluster(), {"tenant_id": "other"}, "is not the subscription's tenant"),
    ("no such region", new_cluster(), {"regions": {"westus": ()}}, "the subscription has no region westeurope"),
    ("a zone that the region lacks", new_cluster(pool={"availabilityZones": ["4"]}), {}, "has no availability zone 4"),
    ("zones without zones", new_cluster(pool={"availabilityZones": ["1"]}), {"regions": {"westeurope": ()}}, "no availability zone 1"),
    ("an unknown version", new_cluster(kubernetesVersion="1.99.1"), {}, "westeurope does not offer Kubernetes 1.99.1"),
    ("an unknown version of a pool", new_cluster(pool={"orchestratorVersion": "1.20"}), {}, "does not offer Kubernetes 1.20"),
    ("no quota of the family", new_cluster(), {"quotas": (Quota(name="cores", left=99), Quota(name="standardDSv5Family", left=11))}, "need 12 vCPUs, and 11 of family standarddsv5family"),
    ("no quota of the region", new_cluster(), {"quotas": (Quota(name="cores", left=-1), Quota(name="standardDSv5Family", left=12))}, "and 0 of the region are left"),
    ("no such network", new_cluster(), {"networks": {VNET.casefold(): Network(id=VNET, exists=False)}}, "virtual network spoke does not exist"),
    ("a network elsewhere", new_cluster(), {"networks": {VNET.casefold(): network(location="westus")}}, "spoke is in westus, and the cluster in westeurope"),
    ("no such subnet", new_cluster(pool={"vnetSubnetID": OTHER}), {}, "virtual network spoke has no subnet pods"),
    ("no subnet at all", new_cluster(), {"networks": {VNET.casefold(): Network(id=VNET, location="westeurope")}}, "has no subnet nodes"),
    ("too few addresses for nodes", new_cluster(), {"networks": {VNET.casefold(): network(free=3)}}, "has 3 free addresses, and the nodes can take 4"),
    ("too few addresses for pods", new_cluster(networkProfile=FLAT), {"networks": {VNET.casefold(): network(free=123)}}, "the nodes can take 124"),
    ("services over a subnet", new_cluster(networkProfile={"serviceCidr": "10.1.0.0/20"}), {}, "10.1.0.0/20 overlaps with subnet nodes (10.1.0.0/24)"),
    ("default services over a subnet", new_cluster(networkProfile={}), {"networks": {VNET.casefold(): network(prefixes=("10.0.3.0/24", "fd00::/64"))}}, "10.0.0.0/16 overlaps with subnet nodes (10.0.3.0/24)"),
    ("a right that is missing", new_cluster(), {"rights": {RIGHT: False}}, f"the runner lacks {RIGHT.action} on {NODES}"),
    ("a node group that exists", new_cluster(nodeResourceGroup="nodes"), {"node_group_exists": True}, "resource group nodes exists"),
]  # fmt: skip
UNKNOWN: list[Row] = [
    ("regions", new_cluster(), {"regions": None}, "the regions of the subscription could not be read"),
    ("versions", new_cluster(), {"versions": None}, "the versions that westeurope offers could not be read"),
    ("quota", new_cluster(), {"quotas": None}, "the vCPU quota in westeurope could not be read"),
    ("no VM size", new_cluster(pool={"vmSize": None}), {}, "it is not known how many vCPUs the nodes need"),
    ("a family without quota", new_cluster(pool={"vmSize": "Standard_X4_v9"}), {}, "westeurope shows no vCPU quota for Standard_X4_v9"),
    ("network", new_cluster(), {"networks": {VNET.casefold(): None}}, "virtual network spoke could not be read"),
    ("networks", new_cluster(), {"networks": None}, "virtual network spoke could not be read"),
    ("right", new_cluster(), {"rights": {RIGHT: None}}, "it could not be read whether the runner has"),
    ("node group", new_cluster(nodeResourceGroup="nodes"), {"node_group_exists": None}, "resource group nodes could not be read"),
]  # fmt: skip


@pytest.mark.parametrize("row", [*AGAINST, *UNKNOWN], ids=lambda row: row[0])
def test_a_reason_against_a_creation_is_one_problem_with_its_field_and_a_remedy(row: Row) -> None:
    _, new, others, said = row
    (problem,) = check(new, facts(new, **others))
    assert said in problem.message
    assert problem.field
    assert problem.remedy
    assert problem.unknown is (row in UNKNOWN)


@pytest.mark.parametrize(
    "new",
    [
        new_cluster(),
        new_cluster(WINDOW, LOGS, nodeResourceGroup="nodes"),
        new_cluster(kubernetesVersion=None),
        new_cluster(pool={"availabilityZones": ["1", "3"]}),
        new_cluster(agentPoolProfiles=[], networkProfile={}),
        new_cluster(networkProfile={"serviceCidr": "fd12::/108"}),
    ],
)
def test_a_good_request_has_no_problem(new: NewCluster) -> None:
    assert check(new, facts(new)) == ()


def test_nothing_is_said_of_versions_if_none_is_asked_for() -> None:
    new = new_cluster(kubernetesVersion=None)
    assert check(new, facts(new, versions=None, rights=None)) == ()


def test_the_vcpus_of_an_automatic_cluster_are_the_service_s_business() -> None:
    new = new_cluster(pool={"vmSize": None})
    automatic = NewCluster(
        cluster=new.cluster,
        tenant_id=new.tenant_id,
        admin_group_ids=(),
        body={**new.body, "sku": {"name": "Automatic"}},
    )
    assert check(automatic, facts(automatic)) == ()


def test_each_right_is_needed_once_and_a_new_group_needs_one_on_the_subscription() -> None:
    api_server = {"subnetId": OTHER}
    kubelet = {"kubeletidentity": {"resourceId": KUBELET}}
    more = new_cluster(
        WINDOW, LOGS, apiServerAccessProfile=api_server, identityProfile=kubelet, pool={"podSubnetID": OTHER}
    )
    found = [(one.action.partition("/")[2], one.scope.rpartition("/")[2]) for one in rights(more, group_exists=False)]
    assert found == [
        ("subscriptions/resourceGroups/write", more.cluster.subscription_id),
        ("managedClusters/write", more.cluster.subscription_id),
        ("userAssignedIdentities/assign/action", "aks"),
        ("userAssignedIdentities/assign/action", "kubelet"),
        ("virtualNetworks/subnets/join/action", "pods"),
        ("virtualNetworks/subnets/join/action", "nodes"),
        ("managedClusters/maintenanceConfigurations/write", more.cluster.subscription_id),
        ("diagnosticSettings/write", more.cluster.subscription_id),
        ("workspaces/sharedKeys/action", "logs"),
    ]
    plain = new_cluster()
    assert [one.scope.rpartition("/")[2] for one in rights(plain, group_exists=True)] == ["pay-weu", "aks", "nodes"]


def test_the_problems_in_golden_words() -> None:
    approved("new-cluster", [(name, check(new, facts(new, **others))) for name, new, others, _ in (*AGAINST, *UNKNOWN)])


def test_the_body_of_the_tests_is_not_changed_by_them() -> None:
    assert BODY["properties"]["agentPoolProfiles"][0]["count"] == 3
