"""A small Azure behind the ports, in memory: clusters that change by operations which take time, and its own clock.

It is as strict as the ports say the adapters are: guards refuse a moved cluster, a second write meets a conflict,
tokens carry groups, credentials die with their CA. Every call has two moments at which the process may be killed:
just before it takes effect, and just after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Identity, Pool, Posture
from aks_entra.core.debt import Record
from aks_entra.core.evidence import AdminCredentialRefused, Baseline
from aks_entra.core.preflight import Home, Lock, Memberships, Policy, Quota, Subnet, Writer
from aks_entra.core.steps import Guarded
from aks_entra.core.windows import Window
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.executor import Executor, Limits
from aks_entra.ports import NewCluster, Operation, OperationState, Place, Ports, Witness
from aks_entra.watch import Watch
from tests.unit.world_model import (
    ADMINS,
    FAR,
    LONG_AGO,
    NOBODY,
    OTHERS,
    PROVER,
    REPLICATION,
    ROTATION,
    SETTLING,
    SUBSCRIPTION,
    TENANT,
    UPDATE,
    Cluster,
    Group,
    Happening,
    Killed,
    Work,
    WorldClock,
    posture_of,
    replace_generation,
)
from tests.unit.world_services import (
    WorldCallers,
    WorldDirectory,
    WorldJournal,
    WorldKubernetes,
    WorldSurroundings,
)

__all__ = [
    "ADMINS",
    "FAR",
    "LONG_AGO",
    "NOBODY",
    "OTHERS",
    "PROVER",
    "REPLICATION",
    "ROTATION",
    "SETTLING",
    "SUBSCRIPTION",
    "TENANT",
    "UPDATE",
    "Cluster",
    "Group",
    "Happening",
    "Killed",
    "Process",
    "Work",
    "World",
    "WorldArm",
    "WorldCallers",
    "WorldClock",
    "WorldDirectory",
    "WorldJournal",
    "WorldKubernetes",
    "WorldSurroundings",
    "WorldVault",
    "posture_of",
    "replace_generation",
]


class World:
    """Everything that outlives a process: Azure, the directory, the journal, time."""

    def __init__(self) -> None:
        self.clock = WorldClock()
        self.clusters: dict[str, Cluster] = {}
        self.groups = {ADMINS: Group(id=ADMINS, name="aks-admins", members={PROVER, "dana"})}
        self.users = {"dana@contoso.com": "66666666-6666-6666-6666-666666666666"}
        self.baselines: dict[tuple[str, str], Baseline] = {}
        self.works: dict[str, Work] = {}
        self.resource_groups: set[str] = set()
        self.missing_permissions: tuple[str, ...] | None = ()
        self.locks: tuple[Lock, ...] | None = ()
        self.policies: tuple[Policy, ...] | None = ()
        self.windows: tuple[Window, ...] | None = ()
        self.writers: tuple[Writer, ...] | None = ()
        self.handed_out: tuple[Record, ...] | None = ()
        self.versions: tuple[str, ...] | None = ("1.33", "1.34")
        self.published: tuple[str, ...] | None = ()
        self.free_addresses: int | None = 200
        self.memberships: Memberships | None = Memberships(groups=3, person=False)
        self.home = Home()
        self.without_effect: set[str] = set()  # operations that end well and change nothing
        self.lost_urls = False  # ARM forgets operations at once
        self.ends: dict[str, list[str]] = defaultdict(list)  # by kind of operation: how the next ones end
        self.faults: dict[str, list[BaseException]] = defaultdict(list)
        self.after: dict[str, Callable[[], object]] = {}  # what a call that failed has done all the same
        self.calls: list[str] = []
        self.writes: list[str] = []
        self.kill_at: int | None = None
        self.happenings: dict[int, Happening] = {}
        self.observers: list[Callable[[], None]] = []
        self.locked = False  # a ReadOnly lock, or a policy: ARM refuses every write
        self._moments = 0
        self._ids = count(1)

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
        """One call of a port: counted, may fail as scripted, may be the last thing that the process does."""
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
        for cluster in self.clusters.values():
            self._advance(cluster)
        yield happening
        self._moment()
        if happening.lost is not None:
            raise happening.lost

    def _moment(self) -> None:
        self._moments += 1
        for cluster in self.clusters.values():
            self._advance(cluster)
        for observer in self.observers:
            observer()
        if self._moments == self.kill_at:
            raise Killed

    @property
    def moments(self) -> int:
        return self._moments

    def now(self) -> datetime:
        return self.clock.now()

    def find(self, cluster: ClusterId) -> Cluster:
        if cluster.key not in self.clusters:
            raise Refused(f"{cluster} was not found", code="ResourceNotFound", status=404)
        return self.clusters[cluster.key]

    def start(self, cluster: Cluster, kind: str, seconds: float) -> Operation:
        """Begin an operation; a second one at the same time meets a conflict."""
        url = f"https://management.azure.com/operations/{next(self._ids)}"
        ends = self.ends[kind].pop(0) if self.ends[kind] else "Succeeded"
        cluster.work = Work(url=url, kind=kind, until=self.now() + timedelta(seconds=seconds), ends=ends)
        cluster.state = kind
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
        if "rotate_certificates" in self.without_effect:
            return
        if work.kind == "RotatingClusterCertificates" and work.ends == "Succeeded":
            cluster.generation += 1
            cluster.ca_since = work.until
            cluster.settled_at = work.until + timedelta(seconds=SETTLING)

    def process(self, limits: Limits | None = None, every: float = 30.0) -> Process:
        """A new process: nothing in memory, nothing in the vault."""
        vault = WorldVault(self)
        ports = Ports(
            arm=WorldArm(self, vault),
            directory=WorldDirectory(self),
            kubernetes=WorldKubernetes(self, vault),
            vault=vault,
            clock=self.clock,
            journal=WorldJournal(self),
            callers=WorldCallers(self),
            surroundings=WorldSurroundings(self),
        )
        watch = Watch(ports.arm, self.clock, every)
        limits = limits or Limits()
        return Process(ports=ports, watch=watch, limits=limits, executor=Executor(ports, watch, limits), vault=vault)

    def consumed(self) -> bool:
        """Whether every scripted fault happened."""
        return not any(self.faults.values()) and not any(self.ends.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What one process holds."""

    ports: Ports
    watch: Watch
    limits: Limits
    executor: Executor
    vault: WorldVault


class WorldVault:
    """Credentials are what they were issued under: cluster and generation of the CA."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.held: dict[str, int] = {}

    def holds(self, cluster: ClusterId) -> bool:
        return cluster.key in self.held

    def forget(self, cluster: ClusterId) -> None:
        self.held.pop(cluster.key, None)

    def authority(self, cluster: ClusterId) -> str | None:
        return f"CA of generation {self._world.find(cluster).generation}"

    def hand_in(self, cluster: ClusterId, kubeconfig: str) -> Witness:
        if not kubeconfig.startswith("generation "):
            raise Refused("the kubeconfig carries no static credential")
        return self.hold(self._world.find(cluster), int(kubeconfig.removeprefix("generation ")))

    def hold(self, cluster: Cluster, generation: int) -> Witness:
        self.held[cluster.id.key] = generation
        then = replace_generation(cluster, generation)
        return Witness(cluster=cluster.id, has_certificate=True, has_static_token=True, ca=then)


class WorldArm:
    def __init__(self, world: World, vault: WorldVault) -> None:
        self._world = world
        self._vault = vault

    async def tenant_of(self, subscription_id: str) -> str:
        with self._world.call("arm.tenant_of"):
            assert subscription_id == SUBSCRIPTION
            return TENANT

    async def subscription_id(self, name_or_id: str) -> str:
        with self._world.call("arm.subscription_id"):
            if name_or_id.casefold() in {"prod-eu", SUBSCRIPTION}:
                return SUBSCRIPTION
            raise Refused(f"no subscription {name_or_id}", code="SubscriptionNotFound")

    async def list_clusters(self, subscription_id: str, resource_group: str | None = None) -> AsyncIterator[Posture]:
        with self._world.call("arm.list_clusters"):
            found = [
                posture_of(cluster)
                for cluster in self._world.clusters.values()
                if resource_group is None or cluster.id.resource_group.casefold() == resource_group.casefold()
            ]
            if resource_group is not None and not found:
                raise Refused(f"no resource group {resource_group}", code="ResourceGroupNotFound", status=404)
        for posture in found:
            assert posture.cluster.subscription_id == subscription_id
            yield posture

    async def cluster(self, cluster: ClusterId) -> Posture:
        with self._world.call("arm.cluster") as happening:
            found = self._world.find(cluster)
            return found.previous if happening.stale and found.previous else posture_of(found)

    async def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority:
        with self._world.call("arm.certificate_authority"):
            return self._world.find(cluster).ca

    async def missing_permissions(self, cluster: ClusterId, actions: tuple[str, ...]) -> tuple[str, ...] | None:
        with self._world.call("arm.missing_permissions"):
            self._world.find(cluster)
            missing = self._world.missing_permissions
            return None if missing is None else tuple(action for action in actions if action in missing)

    async def is_cluster_admin(self, cluster: ClusterId, principal_id: str) -> bool | None:
        with self._world.call("arm.is_cluster_admin"):
            return principal_id in self._world.find(cluster).roles

    async def locks(self, cluster: ClusterId, node_resource_group: str) -> tuple[Lock, ...] | None:
        with self._world.call("arm.locks"):
            self._world.find(cluster)
            assert node_resource_group
            return self._world.locks

    async def supported_versions(self, subscription_id: str, location: str) -> tuple[str, ...] | None:
        with self._world.call("arm.supported_versions"):
            assert subscription_id == SUBSCRIPTION
            assert location
            return self._world.versions

    async def policies(self, cluster: ClusterId) -> tuple[Policy, ...] | None:
        with self._world.call("arm.policies"):
            self._world.find(cluster)
            return self._world.policies

    async def maintenance_windows(self, cluster: ClusterId) -> tuple[Window, ...] | None:
        with self._world.call("arm.maintenance_windows"):
            self._world.find(cluster)
            return self._world.windows

    async def quotas(self, subscription_id: str, location: str) -> tuple[Quota, ...] | None:
        with self._world.call("arm.quotas"):
            assert subscription_id
            assert isinstance(location, str)
            return (Quota(name="cores", left=100), Quota(name="standardDSv5Family", left=100))

    async def subnet(self, subnet_id: str) -> Subnet:
        with self._world.call("arm.subnet"):
            return Subnet(id=subnet_id, free=self._world.free_addresses)

    async def published_addresses(self, cluster: ClusterId, node_resource_group: str) -> tuple[str, ...] | None:
        with self._world.call("arm.published_addresses"):
            self._world.find(cluster)
            assert node_resource_group
            return self._world.published

    async def writers(self, cluster: ClusterId) -> tuple[Writer, ...] | None:
        with self._world.call("arm.writers"):
            self._world.find(cluster)
            return self._world.writers

    async def handed_out(self, cluster: ClusterId) -> tuple[Record, ...] | None:
        with self._world.call("arm.handed_out"):
            self._world.find(cluster)
            return self._world.handed_out

    async def enable_entra(
        self,
        cluster: ClusterId,
        expected: Guarded,
        tenant_id: str,
        admin_group_ids: tuple[str, ...],
        azure_rbac: bool | None,
    ) -> Operation:
        with self._world.call("arm.enable_entra"):
            found = self._guarded(cluster, expected)
            if "enable_entra" not in self._world.without_effect:
                found.identity = Identity.MANAGED
                found.tenant_id = tenant_id
                found.groups = admin_group_ids
                found.azure_rbac = bool(azure_rbac)
            operation = self._world.start(found, "Updating", UPDATE)
            found.knows_tokens_at = self._world.now() + timedelta(seconds=UPDATE + REPLICATION)
            return self._lost(operation)

    async def update_entra(
        self, cluster: ClusterId, expected: Guarded, admin_group_ids: tuple[str, ...], azure_rbac: bool
    ) -> Operation:
        with self._world.call("arm.update_entra"):
            found = self._guarded(cluster, expected)
            found.groups = admin_group_ids
            found.azure_rbac = azure_rbac
            return self._lost(self._world.start(found, "Updating", UPDATE))

    async def set_local_accounts(
        self, cluster: ClusterId, expected: Guarded, *, enabled: bool, tags: tuple[tuple[str, str | None], ...] = ()
    ) -> Operation:
        with self._world.call("arm.set_local_accounts"):
            found = self._guarded(cluster, expected)
            if "set_local_accounts" not in self._world.without_effect:
                found.local_accounts = enabled
            if "tags" not in self._world.without_effect:
                set_now = {**dict(found.tags), **dict(tags)}
                found.tags = tuple((name, value) for name, value in sorted(set_now.items()) if value is not None)
            operation = self._world.start(found, "Updating", UPDATE)
            found.refuses_at = max(found.refuses_at, self._world.now() + timedelta(seconds=UPDATE))
            return self._lost(operation)

    async def rotate_certificates(self, cluster: ClusterId) -> Operation:
        with self._world.call("arm.rotate_certificates"):
            found = self._world.find(cluster)
            self._world.free(found)
            found.previous = posture_of(found)
            found.rotations += 1
            return self._lost(self._world.start(found, "RotatingClusterCertificates", ROTATION))

    async def operation(self, operation: Operation) -> OperationState:
        with self._world.call("arm.operation"):
            if self._world.lost_urls:
                raise Rejected("no such operation", status=404)
            if operation.url not in self._world.works:
                raise Rejected("no such operation", status=404)
            work = self._world.works[operation.url]
            if self._world.now() < work.until:
                return OperationState(status="InProgress")
            return OperationState(status=work.ends, code="" if work.ends == "Succeeded" else "InternalError")

    async def hold_admin_credential(self, cluster: ClusterId) -> Witness | AdminCredentialRefused:
        with self._world.call("arm.hold_admin_credential"):
            found = self._world.find(cluster)
            refuses = not found.local_accounts and self._world.now() >= found.refuses_at
            if refuses or self._world.now() < found.hands_out_at:
                return AdminCredentialRefused(
                    at=self._world.now().isoformat(),
                    status=400,
                    code="BadRequest",
                    message="Getting static credential is not allowed because this cluster is set to disable "
                    "local accounts.",
                )
            return self._vault.hold(found, found.generation)

    async def hand_out_admin_kubeconfig(self, cluster: ClusterId, place: Place) -> None:
        with self._world.call("arm.hand_out_admin_kubeconfig"):
            found = self._world.find(cluster)
            if not found.local_accounts or self._world.now() < found.hands_out_at:
                raise TryLater("Azure does not hand it out yet", after=10)
            place.put(f"generation {found.generation}".encode())

    async def subscription_ids(self) -> tuple[str, ...]:
        with self._world.call("arm.subscription_ids"):
            return (SUBSCRIPTION,)

    async def ensure_resource_group(self, subscription_id: str, name: str, location: str) -> bool:
        with self._world.call("arm.ensure_resource_group"):
            assert subscription_id
            assert location
            created = name not in self._world.resource_groups
            self._world.resource_groups.add(name)
            return created

    async def create_cluster(self, spec: NewCluster) -> Operation:
        with self._world.call("arm.create_cluster"):
            if spec.cluster.key in self._world.clusters:
                raise Rejected("the cluster exists", code="PreconditionFailed", status=412)
            made = self._world.add(
                spec.cluster.name,
                spec.cluster.resource_group,
                identity=Identity.MANAGED,
                tenant_id=spec.tenant_id,
                groups=spec.admin_group_ids,
                azure_rbac=spec.azure_rbac,
                local_accounts=False,
                pools=(Pool(name="nodepool1", count=spec.node_count),),
                location=spec.location,
                ca_since=self._world.now(),
            )
            made.knows_tokens_at = self._world.now() + timedelta(seconds=UPDATE + REPLICATION)
            made.settled_at = self._world.now() + timedelta(seconds=UPDATE + SETTLING)
            return self._lost(self._world.start(made, "Creating", UPDATE))

    def _guarded(self, cluster: ClusterId, expected: Guarded) -> Cluster:
        found = self._world.find(cluster)
        self._world.free(found)
        differences = expected.differences(Guarded.of(posture_of(found)), ca_before=None)
        if differences:
            raise Refused(f"not as expected: {differences}")
        found.previous = posture_of(found)
        return found

    def _lost(self, operation: Operation) -> Operation:
        return replace(operation, url="") if self._world.faults.pop("url lost", None) else operation
