"""A small Azure in memory behind the ports, with its own clock and with operations that take time.

It keeps the contracts of the ports: guards refuse a changed cluster, a second write gets a conflict, tokens carry
groups, and credentials end with their CA. A test can kill the process at two moments of every call: just before its
effect, and just after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count
from typing import Any

from aks_entra.core.access.deny_assignments import DenyAssignment
from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.creation.check import Network
from aks_entra.core.doctor import Tool
from aks_entra.core.evidence.observations import Baseline, Evidence, HandedOut
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.preflight import (
    Home,
    Lock,
    Memberships,
    NodeDisruption,
    Policy,
    PolicyEvaluation,
    ScaleSetAddition,
    Writer,
)
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.execution.executor import Executor
from aks_entra.execution.operations import Watch
from aks_entra.ports.migration import Journal, Ports
from aks_entra.ports.operations import Operation
from aks_entra.probes.checks import Timeouts
from tests.support.memory_arm import WorldArm
from tests.support.memory_credentials import Ledger, Static
from tests.support.memory_deny_policies import Kept, WorldDenyPolicies
from tests.support.memory_doors import WorldDoors
from tests.support.memory_hubs import WorldHubs
from tests.support.memory_model import (
    ADMINS,
    PROVER,
    SETTLING,
    SUBSCRIPTION,
    TENANT,
    Cluster,
    Group,
    Happening,
    Killed,
    Work,
    WorldClock,
)
from tests.support.memory_services import (
    WorldCallers,
    WorldDirectory,
    WorldHost,
    WorldJournal,
    WorldKubernetes,
    WorldVault,
)

COMPLETE = timedelta(minutes=20)  # after which the activity log has every entry


class World:
    """Everything that outlives a process: Azure, the directory, the journal, time."""

    may_write_policies = True
    denied_by_others = False  # a policy of others denies that local accounts are turned on
    journal: Journal | None = None  # None: the world keeps it
    lost_urls = False  # ARM forgets operations at once
    slow_lists = False  # whether a list takes 5 s, and shows how the clusters were when it was asked for

    def __init__(self) -> None:
        self.clock = WorldClock()
        self.clusters: dict[str, Cluster] = {}
        self.groups = {ADMINS: Group(id=ADMINS, name="aks-admins", members={PROVER, "dana"})}
        self.users = {"dana@contoso.com": "66666666-6666-6666-6666-666666666666"}
        self.baselines: dict[tuple[str, str], Baseline] = {}
        self.evidence: dict[tuple[str, str, str], tuple[Evidence, ...]] = {}  # by digest, cluster and kind of step
        self.works: dict[str, Work] = {}
        self.resource_groups: set[str] = set()
        self.regions: dict[str, tuple[str, ...]] | None = {"westeurope": ("1", "2", "3")}
        self.networks: dict[str, Network | None] = {}  # by resource id
        self.children: dict[tuple[str, str, str], Mapping[str, Any]] = {}  # by cluster key, kind and name
        self.missing_permissions: tuple[str, ...] | None = ()
        self.linked: dict[str, bool | None] = {}  # by resource id, whether the runner has a right there; others: yes
        self.locks: tuple[Lock, ...] | None = ()
        self.denials: tuple[DenyAssignment, ...] | None = ()
        self.policies: tuple[Policy, ...] | None = ()
        self.policy_evaluations: tuple[PolicyEvaluation, ...] | None = ()
        self.node_disruption: NodeDisruption | None = NodeDisruption()
        self.scale_set_additions: tuple[ScaleSetAddition, ...] | None = ()
        self.windows: tuple[MaintenanceWindow, ...] | None = ()
        self.writers: tuple[Writer, ...] | None = ()
        self.handed_out: list[HandedOut] = []  # further entries of the activity log that are not in the ledger
        self.records: tuple[Record, ...] = ()  # what reports of earlier runs say
        self.log_readable = True
        self.says_members = True  # Graph says who is a member of a group
        self.token_groups: tuple[str, ...] | None = None  # the groups in a cached token; None: the present groups
        self.token_from: datetime | None = None  # when the prover's cached token was issued; None: it gets new ones
        self.log_delay = COMPLETE
        self.log_late = timedelta(minutes=15)  # how late the activity log shows an entry
        self.versions: tuple[str, ...] | None = ("1.33", "1.34")
        self.published: tuple[str, ...] | None = ()
        self.free_addresses: int | None = 200
        self.memberships: Memberships | None = Memberships(groups=3, person=False)
        self.home = Home()
        self.tools = {
            name: Tool(name=name, path=f"/usr/bin/{name}", version=said)
            for name, said in (("kubectl", "v1.34.1"), ("kubelogin", "v0.2.19/abc"))
        }
        self.without_effect: set[str] = set()  # operations that end well and change nothing
        self.ends: dict[str, list[str]] = defaultdict(list)  # by kind of operation: how the next ones end
        self.faults: dict[str, list[BaseException]] = defaultdict(list)
        self.after: dict[str, Callable[[], object]] = {}  # the effect that a failed call had nevertheless
        self.calls: list[str] = []
        self.writes: list[str] = []
        self.kill_at: int | None = None
        self.happenings: dict[int, Happening] = {}
        self.observers: list[Callable[[], None]] = []
        self.ledger = Ledger()
        self.kept: dict[str, Kept] = {}  # the deny policies of clusters, by their keys
        self.doors: WorldDoors | None = None  # None: nobody looks at doors
        self.backdated = timedelta(0)  # how long before the end of a rotation the new CA is valid from
        self.locked = False  # a ReadOnly lock, or a policy: ARM refuses every write
        self._moments, self._ids = 0, count(1)

    @cached_property
    def hubs(self) -> WorldHubs:
        return WorldHubs()

    def add(self, name: str = "shop-01", group: str = "shop-weu", **how: object) -> Cluster:
        cluster = Cluster(id=ClusterId(subscription_id=SUBSCRIPTION, resource_group=group, name=name))
        for key, value in how.items():
            setattr(cluster, key, value)
        if cluster.identity is Identity.MANAGED:
            cluster.tenant_id = cluster.tenant_id or TENANT
            cluster.groups = cluster.groups or (ADMINS,)
        self.clusters[cluster.id.key] = cluster
        return cluster

    @contextmanager
    def call(self, name: str) -> Iterator[Happening]:
        """Count a call of a port, and apply the faults and the kill that a test set for it."""
        self.calls.append(name)
        happening = self.happenings.get(len(self.calls)) or Happening()
        happening.met = True
        if happening.event is not None:
            happening.event()
        self._moment()
        if happening.error is not None:
            raise happening.error
        if self.faults[name]:
            error = self.faults[name].pop(0)
            self.after.pop(name, lambda: None)()
            raise error
        self.settle()
        yield happening
        self._moment()
        if happening.lost is not None:
            raise happening.lost

    def _moment(self) -> None:
        self._moments += 1
        self.settle()
        for observer in self.observers:
            observer()
        if self._moments == self.kill_at:
            raise Killed

    def settle(self) -> None:
        """End every operation that is due by now."""
        for cluster in self.clusters.values():
            self._advance(cluster)

    @property
    def moments(self) -> int:
        return self._moments

    def now(self) -> datetime:
        return self.clock.now()

    def passes(self, seconds: float) -> None:
        """Let time pass during one call of something outside of this world."""
        self.clock.jump(seconds)
        self.settle()

    def hands_out(self, cluster: Cluster | None = None, to: str = "somebody") -> Static:
        """Let somebody fetch an admin credential. The ledger has it at once, and the activity log later."""
        return self.ledger.hand_out(cluster or next(iter(self.clusters.values())), self.now(), to)

    def find(self, cluster: ClusterId) -> Cluster:
        if cluster.key not in self.clusters:
            raise Refused(f"{cluster} was not found", code="ResourceNotFound", status=404)
        return self.clusters[cluster.key]

    def denied(self, cluster: ClusterId) -> bool:
        """Whether a policy refuses to turn local accounts on."""
        own = self.kept.get(cluster.key)
        return self.denied_by_others or (own is not None and own.denies(self.now()))

    def start(self, cluster: Cluster, kind: str, seconds: float) -> Operation:
        """Start an operation. A second one at the same time gets a conflict."""
        url = f"https://management.azure.com/operations/{next(self._ids)}"
        ends = self.ends[kind].pop(0) if self.ends[kind] else "Succeeded"
        cluster.work = Work(url=url, kind=kind, until=self.now() + timedelta(seconds=seconds), ends=ends)
        cluster.state = kind
        cluster.etag += 1
        self.works[url] = cluster.work
        self.writes.append(f"{cluster.id.name} {kind}")
        return Operation(cluster=cluster.id, url=url, correlation_id=f"c-{next(self._ids)}")

    def free(self, cluster: Cluster) -> None:
        if self.locked:
            raise Rejected("the scope is locked", code="ScopeLocked", status=409)
        if cluster.work is not None:
            raise TryLater("another operation is in progress", code="OperationNotAllowed", status=409)

    def _advance(self, cluster: Cluster) -> None:
        work = cluster.work
        if work is None or self.now() < work.until:
            return
        cluster.work = None
        cluster.state = work.ends
        cluster.etag += 1
        if "rotate_certificates" in self.without_effect:
            return
        if work.kind == "RotatingClusterCertificates" and work.ends == "Succeeded":
            cluster.issued[cluster.generation] = cluster.ca_since
            cluster.generation += 1
            cluster.ca_since = work.until - self.backdated
            cluster.settled_at = work.until + timedelta(seconds=SETTLING)

    def process(self, timeouts: Timeouts | None = None, every: float = 30.0) -> Process:
        """Return a new process with an empty memory and an empty vault."""
        vault = WorldVault(self)
        ports = Ports(
            arm=WorldArm(self, vault),
            directory=WorldDirectory(self),
            kubernetes=WorldKubernetes(self, vault),
            vault=vault,
            clock=self.clock,
            journal=self.journal or WorldJournal(self),
            callers=WorldCallers(self),
            host=WorldHost(self),
            deny_policies=WorldDenyPolicies(self),
            doors=self.doors,
            hubs=self.hubs,
        )
        watch = Watch(ports.arm, self.clock, every)
        timeouts = timeouts or Timeouts()
        return Process(
            ports=ports, watch=watch, timeouts=timeouts, executor=Executor(ports, watch, timeouts), vault=vault
        )

    def consumed(self) -> bool:
        """Whether every scripted fault happened."""
        return not any(self.faults.values()) and not any(self.ends.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The memory of one process."""

    ports: Ports
    watch: Watch
    timeouts: Timeouts
    executor: Executor
    vault: WorldVault
