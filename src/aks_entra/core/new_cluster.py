"""The description of a cluster that does not exist yet."""

from __future__ import annotations

from dataclasses import dataclass

from aks_entra.core.cluster import ClusterId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCluster:
    """A cluster to create: Microsoft Entra ID and Azure RBAC on, local accounts off from the first day."""

    cluster: ClusterId
    location: str
    admin_group_ids: tuple[str, ...]
    tenant_id: str
    azure_rbac: bool = True
    version: str | None = None  # None: Azure's default
    tier: str = "Standard"
    node_count: int = 3
    node_vm_size: str | None = None  # None: Azure chooses
    dns_prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
