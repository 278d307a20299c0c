"""The rights that a plan's steps need."""

from __future__ import annotations

from aks_entra.core.planning.plan import plan_cluster
from aks_entra.planning.reader import needed_actions
from tests.support.cases import facts, managed, target


def test_actions_follow_the_steps() -> None:
    plan = plan_cluster(managed(local_accounts=False), target(), facts())
    assert [action.rpartition("managedClusters/")[2] for action in needed_actions(plan.steps)] == [
        "read",
        "listClusterUserCredential/action",
        "write",
        "listClusterAdminCredential/action",
        "rotateClusterCertificates/action",
    ]
    whole = needed_actions(plan_cluster(managed(), target(), facts()).steps)
    assert len(set(whole)) == len(whole) == 5
    assert needed_actions(()) == (
        "Microsoft.ContainerService/managedClusters/read",
        "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
    )
