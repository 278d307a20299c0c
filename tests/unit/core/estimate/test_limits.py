"""Azure's request limits: how long they hold requests back."""

from __future__ import annotations

import pytest

from aks_entra.core.estimate.limits import (
    AKS_CLUSTER_READS,
    AKS_CLUSTER_WRITES,
    AKS_GROUP_LISTS,
    AKS_LISTS,
    AKS_OPERATIONS,
    AKS_REST,
    ARM_READS,
    ARM_WRITES,
    RESOURCE_GRAPH,
    Limit,
    limits_of,
)

SUBSCRIPTION = "/subscriptions/A"
AKS = "/providers/Microsoft.ContainerService"
CLUSTER = f"{SUBSCRIPTION}/resourceGroups/G{AKS}/managedClusters/C"


@pytest.mark.parametrize(
    ("method", "path", "front", "behind"),
    [
        ("GET", f"{SUBSCRIPTION}/resourceGroups/G", ARM_READS, None),
        ("HEAD", f"{SUBSCRIPTION}/resourceGroups/G", ARM_READS, None),
        ("DELETE", f"{SUBSCRIPTION}/resourceGroups/G", ARM_WRITES, None),
        ("POST", "/providers/Microsoft.ResourceGraph/resources", ARM_WRITES, RESOURCE_GRAPH),
        ("GET", f"{SUBSCRIPTION}{AKS}/managedClusters/", ARM_READS, AKS_LISTS),
        ("GET", f"{SUBSCRIPTION}/resourceGroups/G{AKS}/managedClusters", ARM_READS, AKS_GROUP_LISTS),
        ("GET", CLUSTER, ARM_READS, AKS_CLUSTER_READS),
        ("PUT", CLUSTER, ARM_WRITES, AKS_CLUSTER_WRITES),
        ("GET", f"{SUBSCRIPTION}{AKS}/locations/westeurope/operations/1", ARM_READS, AKS_OPERATIONS),
        ("POST", f"{CLUSTER}/rotateClusterCertificates", ARM_WRITES, AKS_REST),
        ("GET", f"{CLUSTER}/maintenanceConfigurations", ARM_READS, AKS_REST),
        ("GET", f"{CLUSTER}/providers/Microsoft.Authorization/permissions", ARM_READS, None),
    ],
)
def test_each_request_counts_against_arm_and_the_service_behind_it(
    method: str, path: str, front: Limit, behind: Limit | None
) -> None:
    found = [limit for _, limit in limits_of(method, path)]
    assert found == [one for one in (front, behind) if one is not None]


def test_requests_of_one_subscription_share_a_bucket() -> None:
    (_, first), (_, second) = (limits_of("POST", f"{CLUSTER}{which}/abort") for which in ("", "2"))
    assert first == second
    assert first[0] != limits_of("POST", CLUSTER.replace("/A/", "/B/"))[1][0]


def test_a_limit_lets_its_burst_pass_and_then_forces_its_rate() -> None:
    assert AKS_REST.seconds(48) == 0  # a fifth of each limit is left to others
    assert AKS_REST.seconds(128) == pytest.approx(100)
    assert AKS_REST.seconds(128, rate=4) == pytest.approx(25)
