"""A small Azure behind the ports, in memory: clusters that change by operations which take time, and its own clock.

It is as strict as the ports say the adapters are: guards refuse a moved cluster, a second write meets a conflict,
tokens carry groups, credentials die with their CA. Every call has two moments at which the process may be killed:
just before it takes effect, and just after.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Identity, Pool, Posture, ServingCertificate
from aks_entra.core.evidence import AdminCredentialRefused, Baseline, Credential, Node, Workload
from aks_entra.core.preflight import GroupFacts, Home, Inside, Lock, Memberships, Policy, Subnet, Tools, Writer
from aks_entra.core.steps import Guarded
from aks_entra.core.target import GroupTarget
from aks_entra.core.windows import Window
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.executor import Executor, Limits
from aks_entra.ports import Caller, NewCluster, Operation, OperationState, Place, Ports, SignedIn, Witness
from aks_entra.watch import Watch
from tests.unit.cases import INSIDE

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
PROVER = "33333333-3333-3333-3333-333333333333"
ADMINS = "44444444-4444-4444-4444-444444444444"
OTHERS = "55555555-5555-5555-5555-555555555555"
NOBODY = 401
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
FAR = "2054-05-11T00:00:00Z"
UPDATE = 100.0  # seconds
ROTATION = 1500.0
SETTLING = 120.0
REPLICATION = 45.0  # until the API server knows tokens after Microsoft Entra ID came on


class Killed(BaseException):
    """The process is gone: nothing below catches it."""


@dataclass(slots=True, kw_only=True)
class Happening:
    """What goes wrong at one call of a port, by its number in `World.calls`."""

    event: Callable[[], object] | None = None  # somebody does something just before it
    error: BaseException | None = None  # it fails without effect
    lost: BaseException | None = None  # it has its effect, and fails all the same
    stale: bool = False  # ARM answers with what was there before the last write
    met: bool = False


class WorldClock:
    """Time that moves only when everybody waits."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 24, 8, tzinfo=UTC)
        self._sleepers: list[tuple[datetime, int]] = []
        self._order = count()

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        me = (self._now + timedelta(seconds=seconds), next(self._order))
        heapq.heappush(self._sleepers, me)
        try:
            while True:
                for _ in range(10):
                    await asyncio.sleep(0)  # let everybody else get to where they wait
                if self._sleepers[0] == me:
                    break
        finally:
            self._sleepers.remove(me)
            heapq.heapify(self._sleepers)
        self._now = max(self._now, me[0])


@dataclass(slots=True, kw_only=True)
class Work:
    """One operation of ARM on one cluster."""

    url: str
    kind: str  # the provisioning state while it runs
    until: datetime
    ends: str = "Succeeded"


@dataclass(slots=True, kw_only=True)
class Cluster:
    """One cluster as it is."""

    id: ClusterId
    location: str = "westeurope"
    identity: Identity = Identity.NONE
    tenant_id: str | None = None
    groups: tuple[str, ...] = ()
    azure_rbac: bool = False
    local_accounts: bool = True
    kubernetes_rbac: bool = True
    power_state: str = "Running"
    state: str = "Succeeded"
    tags: tuple[tuple[str, str], ...] = ()
    pools: tuple[Pool, ...] = (Pool(name="system", count=2), Pool(name="spot", mode="User", count=1))
    generation: int = 0  # of the CA
    ca_since: datetime = datetime(2024, 5, 11, tzinfo=UTC)
    work: Work | None = None
    knows_tokens_at: datetime = LONG_AGO
    settled_at: datetime = LONG_AGO
    refuses_at: datetime = LONG_AGO  # since when ARM refuses admin credentials
    hands_out_at: datetime = LONG_AGO  # since when ARM hands them out again
    workloads: dict[str, tuple[int, int]] = field(default_factory=lambda: {"ledger": (3, 3), "idle": (2, 0)})
    rotations: int = 0
    token_outlives: bool = False
    silent_until: datetime = LONG_AGO  # old credentials get no answer before that
    never_settles: bool = False
    extra_nodes: int = 0
    limited: bool = False  # administrators are not allowed everything
    binding: bool = False  # some other ClusterRoleBinding lets the prover do everything
    roles: set[str] = field(default_factory=set)  # principals with Azure RBAC Cluster Admin
    reachable: bool = True
    inside: Inside = INSIDE
    fqdn: str | None = "shop.hcp.westeurope.azmk8s.io"
    down_until: datetime = LONG_AGO  # the API server does not answer before that
    previous: Posture | None = None  # what ARM showed before the last write

    @property
    def ca(self) -> CertificateAuthority:
        digest = hashlib.sha256(f"{self.id.key} {self.generation}".encode()).hexdigest()
        return CertificateAuthority(fingerprint=digest, not_before=self.ca_since.isoformat(), not_after=FAR)


@dataclass(slots=True, kw_only=True)
class Group:
    """One group of the directory."""

    id: str
    name: str
    unique_name: str | None = None
    members: set[str] = field(default_factory=set)
    security: bool = True
    deleted_on: str | None = None


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


def replace_generation(cluster: Cluster, generation: int) -> CertificateAuthority:
    """The CA that a cluster had at another time."""
    digest = hashlib.sha256(f"{cluster.id.key} {generation}".encode()).hexdigest()
    return CertificateAuthority(fingerprint=digest, not_before=cluster.ca_since.isoformat(), not_after=FAR)


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


class WorldDirectory:
    def __init__(self, world: World) -> None:
        self._world = world

    async def group(self, group_id: str, *, prover: str) -> GroupFacts:
        with self._world.call("directory.group"):
            group = self._world.groups.get(group_id.lower())
            if group is None:
                return GroupFacts(id=group_id, exists=False)
            return GroupFacts(
                id=group.id,
                display_name=group.name,
                security_enabled=group.security,
                deleted_on=group.deleted_on,
                members=len(group.members),
                people=len(group.members - {PROVER}),
                guests=0,
                eligible=0,
                prover_is_member=prover in group.members,
            )

    async def memberships(self, principal_id: str) -> Memberships | None:
        with self._world.call("directory.memberships"):
            assert principal_id == PROVER
            return self._world.memberships

    async def groups_named(self, display_name: str) -> tuple[str, ...]:
        with self._world.call("directory.groups_named"):
            return tuple(group.id for group in self._world.groups.values() if group.name == display_name)

    async def group_with_unique_name(self, unique_name: str) -> str | None:
        with self._world.call("directory.group_with_unique_name"):
            found = (group.id for group in self._world.groups.values() if group.unique_name == unique_name)
            return next(found, None)

    async def user_id(self, name: str) -> str:
        with self._world.call("directory.user_id"):
            if name not in self._world.users:
                raise Refused(f"nobody is called {name}", status=404)
            return self._world.users[name]

    async def ensure_group(self, target: GroupTarget, first_member: str) -> tuple[str, bool, str]:
        with self._world.call("directory.ensure_group"):
            for group in self._world.groups.values():
                if group.unique_name == target.unique_name:
                    return group.id, False, "r-0"
            digest = hashlib.sha256(str(target.unique_name).encode()).hexdigest()
            group_id = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
            self._world.groups[group_id] = Group(
                id=group_id,
                name=target.display_name,
                unique_name=target.unique_name,
                members={first_member, *target.members},
            )
            self._world.writes.append(f"group {target.unique_name}")
            return group_id, True, "r-1"


class WorldKubernetes:
    def __init__(self, world: World, vault: WorldVault) -> None:
        self._world = world
        self._vault = vault

    async def handshake(self, fqdn: str) -> ServingCertificate:
        with self._world.call("kubernetes.handshake"):
            cluster = next(one for one in self._world.clusters.values() if one.fqdn == fqdn)
            if not cluster.reachable:
                raise TryLater("nobody answers", after=10)
            return ServingCertificate(issuer="CN=ca", issuer_key=None, not_before=cluster.ca.not_before, not_after=FAR)

    async def sign_in(self, posture: Posture, *, fresh: bool) -> SignedIn:
        with self._world.call("kubernetes.sign_in"):
            assert fresh
            cluster = self._up(posture)
            if cluster.identity is not Identity.MANAGED or self._world.now() < cluster.knows_tokens_at:
                raise TryLater("the API server refuses the token", code="Unauthorized", status=NOBODY)
            groups = tuple(group.id for group in self._world.groups.values() if PROVER in group.members)
            admin = bool({one.lower() for one in cluster.groups} & set(groups))
            everything = admin or cluster.binding or (cluster.azure_rbac and PROVER in cluster.roles)
            everything = everything and not cluster.limited
            return SignedIn(username=PROVER, groups=(*groups, "system:authenticated"), everything=everything)

    async def nodes(self, posture: Posture) -> tuple[Node, ...]:
        with self._world.call("kubernetes.nodes"):
            cluster = self._up(posture)
            ready = self._settled(cluster)
            return tuple(
                Node(name=f"aks-{pool.name}-{number}", pool=pool.name, ready=ready or number > 0)
                for pool in cluster.pools
                for number in range(pool.bounds[0] + cluster.extra_nodes)
            )

    async def workloads(self, posture: Posture) -> tuple[Workload, ...]:
        with self._world.call("kubernetes.workloads"):
            cluster = self._up(posture)
            return tuple(
                Workload(
                    kind="Deployment",
                    namespace="pay",
                    name=name,
                    desired=desired,
                    available=available if self._settled(cluster) else 0,
                )
                for name, (desired, available) in cluster.workloads.items()
            )

    async def inside(self, posture: Posture) -> Inside:
        with self._world.call("kubernetes.inside"):
            cluster = self._up(posture)
            if self._world.now() < cluster.knows_tokens_at:
                raise TryLater("the API server refuses the token", code="Unauthorized", status=NOBODY)
            return cluster.inside

    async def try_credential(self, posture: Posture, credential: Credential) -> int | None:
        with self._world.call("kubernetes.try_credential"):
            cluster = self._up(posture)
            generation = self._vault.held.get(cluster.id.key)
            if generation is None or self._world.now() < cluster.silent_until:
                return None
            lives_on = cluster.token_outlives and credential is Credential.STATIC_TOKEN
            return 200 if generation == cluster.generation or lives_on else NOBODY

    def _up(self, posture: Posture) -> Cluster:
        cluster = self._world.find(posture.cluster)
        down = not cluster.reachable or self._world.now() < cluster.down_until
        if down or cluster.state == "RotatingClusterCertificates":
            raise TryLater("the API server does not answer", after=10)
        return cluster

    def _settled(self, cluster: Cluster) -> bool:
        return self._world.now() >= cluster.settled_at and not (cluster.never_settles and cluster.generation > 0)


class WorldJournal:
    def __init__(self, world: World) -> None:
        self._world = world

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        with self._world.call("journal.baseline"):
            return self._world.baselines.get((digest, cluster.key))

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        with self._world.call("journal.store_baseline"):
            self._world.baselines[digest, baseline.cluster] = baseline


class WorldCallers:
    def __init__(self, world: World) -> None:
        self._world = world

    async def runner(self) -> Caller:
        with self._world.call("callers.runner"):
            return Caller(object_id=PROVER, tenant_id=TENANT, name="deploy-sp")

    async def prover(self) -> Caller:
        with self._world.call("callers.prover"):
            return Caller(object_id=PROVER, tenant_id=TENANT, name="deploy-sp")


class WorldSurroundings:
    def __init__(self, world: World) -> None:
        self._world = world

    async def home(self) -> Home:
        with self._world.call("surroundings.home"):
            return self._world.home

    async def tools(self) -> Tools | None:
        with self._world.call("surroundings.tools"):
            return Tools(kubectl="1.34.1", kubelogin="0.2.19")

    async def addresses(self, host: str) -> tuple[str, ...]:
        with self._world.call("surroundings.addresses"):
            assert host
            return ("20.1.2.3",)


def posture_of(cluster: Cluster) -> Posture:
    """What ARM shows of a cluster."""
    state = cluster.state
    return Posture(
        cluster=cluster.id,
        location=cluster.location,
        version="1.34",
        tier="Standard",
        identity=cluster.identity,
        tenant_id=cluster.tenant_id,
        admin_group_ids=cluster.groups,
        azure_rbac=cluster.azure_rbac,
        local_accounts=cluster.local_accounts,
        kubernetes_rbac=cluster.kubernetes_rbac,
        provisioning_state=state,
        power_state=cluster.power_state,
        pools=cluster.pools,
        fqdn=cluster.fqdn,
        node_resource_group="MC_shop",
        tags=cluster.tags,
    )
