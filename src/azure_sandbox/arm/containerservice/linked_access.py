"""The rights on other resources that ARM asks for because the body of a PUT names them.

AKS's team says so for identities, at every PUT of a cluster (Azure/AKS#4980). For subnets it is documented.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"


def of_cluster(sent: Document) -> Iterator[tuple[str, str]]:
    """Return (action, resource id) of what the body of a managed cluster names; its types were checked."""
    yield from ((ASSIGN, it) for it in (sent.get("identity") or {}).get("userAssignedIdentities") or {})
    properties = sent.get("properties") or {}
    if subnet := (properties.get("apiServerAccessProfile") or {}).get("subnetId"):
        yield JOIN, str(subnet)
    for pool in properties.get("agentPoolProfiles") or ():
        yield from of_pool(pool)


def of_pool(pool: Document) -> Iterator[tuple[str, str]]:
    """Return (action, resource id) of the subnets that the properties of an agent pool name."""
    yield from ((JOIN, str(pool[key])) for key in ("vnetSubnetID", "podSubnetID") if pool.get(key))
