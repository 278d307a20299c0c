"""Refuse a cluster that cannot exist: in an unknown region, of an unknown Kubernetes release, of unknown machines."""

from __future__ import annotations

import re
from typing import Any

from azure_sandbox.arm.containerservice.versions import number, patch_of
from azure_sandbox.arm.errors import bad_request, location_not_available, provider
from azure_sandbox.arm.resources.regions import REGIONS, is_region

Document = dict[str, Any]
MINORS = range(14, 37)  # Kubernetes 1.14 was the oldest of the recorded clusters' time, 1.36 follows the newest
LAST_PATCH = 40
FAMILIES = frozenset("ABDEFGHLMNP")
SIZE = re.compile(r"(Standard|Basic)_(?P<family>[A-Z])[A-Z]{0,3}\d+(-\d+)?[a-z]*(_\w+)?", re.IGNORECASE)


def check(name: str, sent: Document) -> None:
    """Raise 400 for the region, the Kubernetes versions or the VM sizes of a PUT if they do not exist."""
    location = sent.get("location")
    if isinstance(location, str) and location and not is_region(location):
        raise location_not_available("Microsoft.ContainerService/managedClusters", location, REGIONS)
    properties = sent.get("properties") or {}
    if (version := properties.get("kubernetesVersion")) and not _released(version):
        raise provider(400, "K8sVersionNotSupported", f"Managed cluster {name} is on version {_unsupported(version)}")
    for pool in properties.get("agentPoolProfiles") or ():
        check_pool(pool, str(location))


def check_pool(pool: Document, location: str) -> None:
    """Raise 400 for the version or the VM size of an agent pool if it does not exist."""
    if (version := pool.get("orchestratorVersion")) and not _released(version):
        text = f"Agent pool {pool.get('name')} is on version {_unsupported(version)}"
        raise provider(400, "AgentPoolK8sVersionNotSupported", text)
    size = pool.get("vmSize")
    found = SIZE.fullmatch(size) if size else None
    if size and (found is None or found["family"].upper() not in FAMILIES):
        raise bad_request(
            f"The VM size of {size} is not allowed in your subscription in location '{location}'. For more details, "
            "please visit https://aka.ms/cpu-quota"
        )


def _released(version: str) -> bool:
    major, minor, *patch = number(patch_of(version))
    return major == 1 and minor in MINORS and all(it <= LAST_PATCH for it in patch)


def _unsupported(version: str) -> str:
    return (
        f"{version}, which is not supported in this region. Please use [az aks get-versions] command to get the "
        "supported version list in this region. For more information, please check "
        "https://aka.ms/supported-version-list"
    )
