"""The parts of the world in memory: its clock, clusters, groups, operations and faults."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Identity, LinkedRight, Pool, Posture
from aks_entra.core.preflight import Inside
from aks_entra.core.rollout.owners import Owner
from tests.support.cases import INSIDE

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
    """The process was killed. Nothing in the program catches this."""


@dataclass(slots=True, kw_only=True)
class Happening:
    """A fault at one call of a port, by its number in `World.calls`."""

    event: Callable[[], object] | None = None  # something that happens just before the call
    error: BaseException | None = None  # the call fails without an effect
    lost: BaseException | None = None  # the call has its effect, and fails nevertheless
    stale: bool = False  # ARM answers with the state before the last write
    met: bool = False


class WorldClock:
    """A clock that moves only when every task waits."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 24, 8, tzinfo=UTC)
        self._sleepers: list[tuple[datetime, int]] = []
        self._order = count()

    def now(self) -> datetime:
        return self._now

    def jump(self, seconds: float) -> None:
        """Move the time during one call, as a slow answer does."""
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        me = (self._now + timedelta(seconds=seconds), next(self._order))
        heapq.heappush(self._sleepers, me)
        try:
            while True:
                for _ in range(10):
                    await asyncio.sleep(0)  # let all other tasks run until they wait
                if self._sleepers[0] == me:
                    break
        finally:
            self._sleepers.remove(me)
            heapq.heapify(self._sleepers)
        self._now = max(self._now, me[0])


@dataclass(slots=True, kw_only=True)
class Work:
    """An operation of ARM on one cluster."""

    url: str
    kind: str  # the provisioning state while it runs
    until: datetime
    ends: str = "Succeeded"


@dataclass(slots=True, kw_only=True)
class Cluster:
    """The true state of one cluster."""

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
    etag: int = 0
    shows_etag: bool = True  # older API versions of ARM show none
    knows_tokens_at: datetime = LONG_AGO
    settled_at: datetime = LONG_AGO
    refuses_at: datetime = LONG_AGO  # since when ARM refuses admin credentials
    hands_out_at: datetime = LONG_AGO  # since when ARM hands them out again
    workloads: dict[str, tuple[int, int]] = field(default_factory=lambda: {"ledger": (3, 3), "idle": (2, 0)})
    rotations: int = 0
    token_outlives: bool = False
    stale_every: int = 0  # every n-th connection meets an instance with the old keys; 0: none
    turns: int = 0
    silent_until: datetime = LONG_AGO  # old credentials get no answer before that
    never_settles: bool = False
    extra_nodes: int = 0
    limited: bool = False  # administrators are not allowed everything
    binding: bool = False  # some other ClusterRoleBinding lets the prover do everything
    roles: set[str] = field(default_factory=set)  # principals with Azure RBAC Cluster Admin
    reachable: bool = True
    private: bool = False  # the API server has a private address only
    inside: Inside = INSIDE
    namespace_owners: dict[str, Owner | None] = field(default_factory=dict)  # by namespace; others cannot be read
    fqdn: str | None = "shop.hcp.westeurope.azmk8s.io"
    down_until: datetime = LONG_AGO  # the API server does not answer before that
    previous: Posture | None = None  # what ARM showed before the last write
    linked: tuple[LinkedRight, ...] = ()
    uid: str = ""  # ARM's resourceUID: a new one for a cluster that was recreated under the same name
    issued: dict[int, datetime] = field(default_factory=dict)  # not-before of the CAs that were replaced

    @property
    def ca(self) -> CertificateAuthority:
        return authority_of(self, self.generation)


@dataclass(slots=True, kw_only=True)
class Group:
    """A group of the directory."""

    id: str
    name: str
    unique_name: str | None = None
    members: set[str] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)
    security: bool = True
    deleted_on: str | None = None


def authority_of(cluster: Cluster, generation: int) -> CertificateAuthority:
    """Return a CA of a cluster by its generation."""
    digest = hashlib.sha256(" ".join((cluster.id.key, *cluster.uid.split(), str(generation))).encode()).hexdigest()
    since = cluster.issued.get(generation, cluster.ca_since)
    return CertificateAuthority(fingerprint=digest, not_before=since.isoformat(), not_after=FAR)


def posture_of(cluster: Cluster) -> Posture:
    """Return what ARM shows of a cluster."""
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
        private=cluster.private,
        node_resource_group="MC_shop",
        tags=cluster.tags,
        linked=cluster.linked,
        uid=cluster.uid,
        etag=f"e-{cluster.uid}-{cluster.etag}" if cluster.shows_etag else None,
    )
