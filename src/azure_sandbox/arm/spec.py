"""What a world says about a cluster, before Azure's own document is made of it. It must not know the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from azure_sandbox.cluster.declared import Declared

IdentityKind = Literal["none", "legacy", "managed"]
LockLevel = Literal["CanNotDelete", "ReadOnly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """One agent pool; `low` and `high` switch the autoscaler on."""

    name: str
    count: int = 1
    mode: Literal["System", "User"] = "System"
    vm_size: str = "Standard_D4s_v5"
    low: int | None = None
    high: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """One controller with its pods."""

    name: str
    namespace: str = "default"
    kind: Literal["Deployment", "StatefulSet", "DaemonSet"] = "Deployment"
    replicas: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """A managed cluster as a world describes it.

    `pools` wins over `nodes`. `document` is a raw resource as Azure returns it (`az aks show` without the tool's own
    renaming): what it says wins over everything else here, and unknown properties stay.
    `real`: a kube-apiserver of its own serves it.
    `created` defaults to a year ago, `ca_created` to `created`.
    """

    name: str
    location: str | None = None
    identity: IdentityKind = "none"
    admin_groups: tuple[str, ...] = ()
    entra_tenant: str | None = None
    azure_rbac: bool = False
    local_accounts: bool = True
    kubernetes_rbac: bool = True
    nodes: int = 1
    pools: tuple[PoolSpec, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    version: str = "1.33.5"
    tier: Literal["Free", "Standard", "Premium"] = "Free"
    power_state: Literal["Running", "Stopped"] = "Running"
    private: bool = False
    created: datetime | None = None
    ca_created: datetime | None = None
    workloads: tuple[WorkloadSpec, ...] = ()
    declared: Declared = field(default_factory=Declared)
    maintenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    real: bool = False
    document: Mapping[str, Any] | None = None
