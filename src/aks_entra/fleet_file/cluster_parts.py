"""The parts of a cluster file: networks, API server, identities, node pools, upgrades, windows and logs."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt, model_validator

from aks_entra.core.maintenance_windows import WEEKDAYS
from aks_entra.fleet_file.cluster_fields import (
    Address,
    AuthorizedRange,
    Cni,
    Count,
    Dataplane,
    IdentityId,
    Mode,
    NetworkPolicy,
    NodeOsUpgradeChannel,
    OsDisk,
    OsSku,
    OutboundType,
    PoolName,
    PrivateDnsZone,
    Range,
    Schedule,
    SettingName,
    SshAccess,
    SubnetId,
    Surge,
    Taint,
    UpgradeChannel,
    UtcOffset,
    VmSize,
    WindowName,
    WorkspaceId,
    Zone,
)
from aks_entra.fleet_file.errors import Mistake, Mistakes
from aks_entra.fleet_file.fields import ClockTime, Day, Named
from aks_entra.fleet_file.part import Part, once


class Category(StrEnum):
    """The categories of AKS's logs that are about sign-in and the control plane."""

    AUDIT_ADMIN = "kube-audit-admin"
    AUDIT = "kube-audit"
    GUARD = "guard"
    API_SERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"
    AUTOSCALER = "cluster-autoscaler"


class IdentityFile(Part):
    """User-assigned identities. Without one, Azure makes a system-assigned identity."""

    control_plane: IdentityId
    """The cluster's own identity: it needs rights on a private DNS zone and on the subnets."""
    kubelet: IdentityId | None = None
    """The identity with which nodes pull images. The control plane's needs Managed Identity Operator on it."""


class NetworkFile(Part):
    """The network of nodes, pods and services. Default: pods in an overlay."""

    cni: Cni = Cni.OVERLAY
    """Where pods get their addresses: overlay (a range of their own), or flat (the subnet)."""
    network_dataplane: Dataplane = Dataplane.AZURE
    """What moves packets: azure or cilium."""
    network_policy: NetworkPolicy | None = None
    """What enforces network policies. Default: cilium with that data plane, and none without."""
    outbound_type: OutboundType = OutboundType.LOAD_BALANCER
    """How nodes reach the internet."""
    pod_cidr: Range | None = None
    """The range of pods in an overlay. Default: 10.244.0.0/16."""
    service_cidr: Range | None = None
    """The range of services, which nothing in the network may use. Default: 10.0.0.0/16."""
    dns_service_ip: Address | None = None
    """The address of DNS in the range of services. Default: its tenth address."""

    @model_validator(mode="after")
    def _ranges_fit(self) -> NetworkFile:
        found = []
        services = ipaddress.ip_network(self.service_cidr or "10.0.0.0/16")
        if self.pod_cidr and self.cni is Cni.FLAT:
            found.append(Mistake("is only for an overlay", "remove it, or write `cni: overlay`", at=("pod_cidr",)))
        pods = ipaddress.ip_network(self.pod_cidr or "10.244.0.0/16")
        if self.cni is Cni.OVERLAY and services.version == pods.version and services.overlaps(pods):
            found.append(
                Mistake(f"{services} overlaps with the range of pods {pods}", "choose another", at=("service_cidr",))
            )
        if self.dns_service_ip and ipaddress.ip_address(self.dns_service_ip) not in services:
            message = f"{self.dns_service_ip} is not in the range of services {services}"
            found.append(Mistake(message, "write an address of `service_cidr`", at=("dns_service_ip",)))
        if self.network_policy is NetworkPolicy.CILIUM and self.network_dataplane is not Dataplane.CILIUM:
            remedy = "add `network_dataplane: cilium`"
            found.append(Mistake("cilium policies need its data plane", remedy, at=("network_policy",)))
        if found:
            raise Mistakes(found)
        return self


class ApiServerFile(Part):
    """Who reaches the API server. Default: a public name, for every address."""

    private: StrictBool = False
    """Only a private address, in the network of the nodes. The proof then needs a worker in that network."""
    private_dns_zone: PrivateDnsZone | None = None
    """system, none, or the id of a private DNS zone, which needs `identity`. Default: system."""
    public_fqdn: StrictBool = False
    """Whether a public name resolves to the private address."""
    authorized_ip_ranges: Annotated[tuple[AuthorizedRange, ...], Field(max_length=200)] = ()
    """The addresses that reach a public API server."""
    subnet_id: SubnetId | None = None
    """A delegated subnet for the API server (API Server VNet Integration)."""
    disable_run_command: StrictBool = True
    """Whether `az aks command invoke` is turned off: it is another way into the cluster."""

    @model_validator(mode="after")
    def _one_kind(self) -> ApiServerFile:
        found = []
        if self.private and self.authorized_ip_ranges:
            message = "a private API server has no authorised ranges"
            found.append(Mistake(message, "remove it, or `private`", at=("authorized_ip_ranges",)))
        if not self.private:
            found += [
                Mistake("is only for a private API server", "add `private: true`, or remove it", at=(name,))
                for name in ("private_dns_zone", "public_fqdn")
                if getattr(self, name)
            ]
        if found:
            raise Mistakes(found)
        return self

    @property
    def own_zone(self) -> bool:
        """Whether the API server's name is in a private DNS zone of the user."""
        return (self.private_dns_zone or "").startswith("/")


class NodePoolFile(Part):
    """A node pool. It has `count` nodes, or scales between `min_count` and `max_count`."""

    name: PoolName
    """Name of the pool: lower-case letters and digits."""
    mode: Mode = Mode.USER
    """System pools run AKS's own pods; one is needed. A single pool is a system pool."""
    vm_size: VmSize | None = None
    """VM size of the nodes. Default: Azure's choice, which cannot be checked against the quota."""
    count: Count = 3
    """Number of nodes at first."""
    min_count: Count | None = None
    """The fewest nodes. With `max_count` the pool scales by itself."""
    max_count: Annotated[Count, Field(ge=1)] | None = None
    """The most nodes."""
    zones: Annotated[tuple[Zone, ...], Field(max_length=3)] | None = None
    """Availability zones. Default: those of the region. An empty list: none."""
    max_pods: Annotated[StrictInt, Field(ge=10, le=250)] | None = None
    """The most pods of a node. Default: 250 in an overlay, 30 in a flat network."""
    vnet_subnet_id: SubnetId | None = None
    """Subnet of the nodes. Default: the file's `subnet_id`; without it AKS makes a network."""
    pod_subnet_id: SubnetId | None = None
    """Subnet of the pods, in a flat network."""
    os_sku: OsSku | None = None
    """Operating system of the nodes. Default: Azure's."""
    os_disk_type: OsDisk | None = None
    """Disk of the operating system. Default: Azure's choice for the VM size."""
    os_disk_size_gb: Annotated[StrictInt, Field(ge=30, le=2048)] | None = None
    """Size of the disk in GiB. Default: Azure's choice for the VM size."""
    labels: Annotated[dict[Named, Annotated[str, Field(max_length=63)]], Field(max_length=50)] = Field(
        default_factory=dict
    )
    """Labels of the nodes."""
    taints: Annotated[tuple[Taint, ...], Field(max_length=50)] = ()
    """Taints of the nodes. A system pool accepts only CriticalAddonsOnly and PreferNoSchedule."""
    max_surge: Surge = "10%"
    """How many nodes an upgrade adds: a number or a percentage."""
    ssh_access: SshAccess = SshAccess.DISABLED
    """Who signs in to nodes by SSH. A local user stays a way in after local accounts are off."""

    @model_validator(mode="after")
    def _counts_fit(self) -> NodePoolFile:
        found = []
        if (self.min_count is None) is not (self.max_count is None):
            missing = "min_count" if self.min_count is None else "max_count"
            given = "max_count" if self.min_count is None else "min_count"
            found.append(Mistake(f"`{missing}` is missing", f"add `{missing}: …`, or remove `{given}`", at=(given,)))
        elif self.min_count is not None and self.max_count is not None:
            if not self.min_count <= self.max_count:
                found.append(Mistake("is larger than `max_count`", "write less", at=("min_count",)))
            elif "count" in self.model_fields_set and not self.min_count <= self.count <= self.max_count:
                found.append(Mistake("is not between `min_count` and `max_count`", "remove it", at=("count",)))
        if found:
            raise Mistakes(found)
        return self

    def not_for_system(self) -> list[Mistake]:
        """Return what keeps this pool from being a system pool."""
        found = [
            Mistake(
                f"`{taint}` is not allowed on a system pool",
                "use CriticalAddonsOnly or PreferNoSchedule",
                at=("taints", index),
            )
            for index, taint in enumerate(self.taints)
            if not taint.startswith("CriticalAddonsOnly=") and not taint.endswith(":PreferNoSchedule")
        ]
        empty = [key for key in ("count", "min_count") if getattr(self, key) == 0]
        return found + [Mistake("a system pool needs a node", "write 1 or more", at=(key,)) for key in empty]

    @property
    def first_count(self) -> int:
        """The number of nodes at first, within the bounds of a pool that scales by itself."""
        if self.min_count is None or self.max_count is None or "count" in self.model_fields_set:
            return self.count
        return min(max(self.count, self.min_count), self.max_count)


class UpgradesFile(Part):
    """What AKS upgrades by itself."""

    channel: UpgradeChannel = UpgradeChannel.PATCH
    """The channel of Kubernetes versions."""
    node_os_channel: NodeOsUpgradeChannel = NodeOsUpgradeChannel.NODE_IMAGE
    """The channel of the nodes' operating system."""


class MaintenanceWindowFile(Part):
    """When AKS may upgrade by itself."""

    name: WindowName
    """Of Kubernetes: aksManagedAutoUpgradeSchedule. Of the nodes' operating system: aksManagedNodeOSUpgradeSchedule."""
    schedule: Schedule = Schedule.WEEKLY
    """daily, weekly or monthly."""
    every: Annotated[StrictInt, Field(ge=1, le=7)] = 1
    """Every how many days, weeks or months."""
    day: Day | None = None
    """Day of the week of a weekly window."""
    day_of_month: Annotated[StrictInt, Field(ge=1, le=31)] | None = None
    """Day of a monthly window."""
    start_time: ClockTime
    """When it opens, such as "02:00"."""
    duration_hours: Annotated[StrictInt, Field(ge=4, le=24)] = 4
    """How long it is open: 4 to 24 hours."""
    utc_offset: UtcOffset = "+00:00"
    """Offset of `start_time` from UTC, such as "+01:00"."""

    @model_validator(mode="after")
    def _has_a_day(self) -> MaintenanceWindowFile:
        found = []
        for key, kind in (("day", Schedule.WEEKLY), ("day_of_month", Schedule.MONTHLY)):
            if self.schedule is kind and getattr(self, key) is None:
                found.append(Mistake(f"a {kind} window needs `{key}`", f"add `{key}: …`", at=("schedule",)))
            elif self.schedule is not kind and getattr(self, key) is not None:
                found.append(Mistake(f"is only for a {kind} window", "remove it", at=(key,)))
        most = {Schedule.DAILY: 7, Schedule.WEEKLY: 4, Schedule.MONTHLY: 6}[self.schedule]
        if self.every > most:
            found.append(
                Mistake(
                    f"{self.every} is too large for a {self.schedule} window", f"write {most} or less", at=("every",)
                )
            )
        if found:
            raise Mistakes(found)
        return self

    @property
    def weekday(self) -> str:
        """ARM's word for `day`."""
        return next(day.title() for day in WEEKDAYS if day.startswith(self.day or "?"))


class DiagnosticSettingFile(Part):
    """Sends logs of the control plane to a Log Analytics workspace."""

    name: SettingName = "aks-entra-audit"
    """Name of the setting."""
    workspace_id: WorkspaceId
    """Id of the workspace."""
    categories: Annotated[tuple[Category, ...], Field(min_length=1)] = (Category.AUDIT_ADMIN, Category.GUARD)
    """The logs to send: by default who changed what (kube-audit-admin), and who signed in (guard)."""

    @model_validator(mode="after")
    def _each_once(self) -> DiagnosticSettingFile:
        once(
            "categories",
            [str(one) for one in self.categories],
            "this category is listed twice",
            "remove one of the two",
        )
        return self
