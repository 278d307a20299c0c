"""Tell whether the nodes of a cluster can be drained."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.state import ManagedCluster
from azure_sandbox.cluster import budgets

Document = dict[str, Any]
DRAIN_FAILED = "UpgradeFailed"


def drain_failure(cluster: ManagedCluster) -> Document | None:
    """Return the error of an operation that drains nodes if a PodDisruptionBudget blocks an eviction, or None.

    The words are quoted from an upgrade. That a rotation drains nodes is inferred.
    """
    server = cluster.server
    _ = server.machines  # the first access creates the pods
    found = budgets.blocking(server.store)
    if found is None:
        return None
    budget, pod = found
    name, where = pod["metadata"]["name"], pod["metadata"]["namespace"]
    node = pod["spec"].get("nodeName") or server.machines.wanted()[0][1]
    text = (
        f"Drain node {node} failed when evicting pod {name} failed with Too Many Requests error. This is often caused "
        "by a restrictive Pod Disruption Budget (PDB) policy. See http://aka.ms/aks/debugdrainfailures. Original "
        "error: Cannot evict pod as it would violate the pod's disruption budget.. PDB debug info: "
        f"{where}/{name} blocked by pdb {budget['metadata']['name']} with 0 unready pods."
    )
    return {"code": DRAIN_FAILED, "message": text}
