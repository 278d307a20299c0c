"""What a node reports as `capacity` and `allocatable`, from its VM size and `maxPods`.

Sources: the name of a VM size states its vCPUs; the reservations are those of AKS's page on node resources (Kubernetes
1.29 and newer). The memory per vCPU of a family is nominal, and the disk is that of a size without its own default.
"""

from __future__ import annotations

import re

SIZE = re.compile(r"Standard_(?P<family>[A-Z])[A-Z]*(?P<cores>\d+)", re.IGNORECASE)
MEMORY_PER_CORE = {"A": 2, "D": 4, "E": 8, "F": 2, "L": 8, "M": 28, "N": 7}  # GiB
RESERVED_CPU = ((1, 60), (2, 100), (4, 140), (8, 180), (16, 260), (32, 420), (64, 740))  # millicores up to a size
KIB_PER_GIB, KIB_PER_MIB = 1024 * 1024, 1024
DISK = 129_886_128  # KiB of an OS disk of 128 GiB
Amounts = dict[str, str]


def amounts(vm_size: str, max_pods: int) -> tuple[Amounts, Amounts]:
    """Return `capacity` and `allocatable` of a node, as Kubernetes quantities. A size without a number has 2 vCPUs."""
    found = SIZE.match(vm_size)
    cores = int(found["cores"]) if found else 2
    memory = cores * MEMORY_PER_CORE.get(found["family"].upper() if found else "D", 4) * KIB_PER_GIB
    reserved = next((millis for most, millis in RESERVED_CPU if cores <= most), RESERVED_CPU[-1][1])
    kept = min((20 * max_pods + 50) * KIB_PER_MIB, memory // 4) + 100 * KIB_PER_MIB  # the eviction threshold
    same = {"hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": str(max_pods)}
    capacity = {"cpu": str(cores), "ephemeral-storage": f"{DISK}Ki", "memory": f"{memory}Ki", **same}
    allocatable = {
        "cpu": f"{cores * 1000 - reserved}m",
        "ephemeral-storage": str(DISK * 1024 * 9 // 10),
        "memory": f"{memory - kept}Ki",
        **same,
    }
    return capacity, allocatable
