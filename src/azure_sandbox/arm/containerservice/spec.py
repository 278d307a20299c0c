"""A world's description of a cluster, from which Azure's document is made. It knows no wire format."""

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
    """One agent pool; `low` and `high` are the autoscaler's bounds and turn it on."""

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

    `pools` overrides `nodes`. `document` is a raw resource as ARM returns it; it overrides all other fields, and its
    unknown properties are kept. With `real` a kube-apiserver serves the cluster.
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
    authorized_ip_ranges: tuple[str, ...] = ()
    subnet: str = ""  # id of the subnet of its nodes; empty: one that AKS made
    created: datetime | None = None
    ca_created: datetime | None = None
    workloads: tuple[WorkloadSpec, ...] = ()
    declared: Declared = field(default_factory=Declared)
    maintenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    children: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)  # `jwtAuthenticators`, …
    real: bool = False
    document: Mapping[str, Any] | None = None
