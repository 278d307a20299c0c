"""Leases on clusters, so that only one run works on a cluster: a slot of a concurrency limit for each cluster.

A batch leases its clusters in one request: on SQLite each request costs seconds while others write. Only if another run
holds one of them is each leased by itself, so that the others need not wait. Every lease is stored with the run that
holds it, so that exactly the slots of a dead run can be freed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.client.schemas.responses import ConcurrencyLimitWithLeaseResponse
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused, TryLater
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.coalesced import CoalescedRequests
from aks_entra.prefect_client.names import key, slug
from aks_entra.text.markdown import for_markdown

LEASE: Final = 300.0
"""Seconds. Leases outlive an outage of the server, of its database or of its lease storage of four minutes."""
RENEWED_EVERY: Final = 20.0
ASKED_EVERY: Final = 5.0
BUSY: Final = 0.2
PAGE: Final = 200
_AT_A_TIME: Final = 5
_REPLICAS_ASKED: Final = 3
_LOST: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A lease that is held: of one cluster, or of all clusters of a batch."""

    client: PrefectClient
    lease: UUID
    what: str
    _renewal: CoalescedRequests[UUID, None] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_renewal", CoalescedRequests(self._renew))

    async def still_held(self) -> None:
        """Renew the lease now, at the server. A process that was paused may have lost its clusters to another one.

        Clusters that ask at the same time share a renewal, which begins after they asked.

        Raises:
            Refused: with code ClaimLost, the server no longer knows the lease.
            TryLater: the server does not answer.
        """
        try:
            await self._renewal.ask(self.lease)
        except httpx.HTTPStatusError as error:
            if error.response.status_code in _LOST:
                raise _lost(self.what) from error
            raise TryLater("Prefect's server does not say whether the lease is held", after=ASKED_EVERY) from error
        except httpx.TransportError as error:
            raise TryLater("Prefect's server does not answer whether the lease is held", after=ASKED_EVERY) from error

    async def _renew(self, leases: frozenset[UUID]) -> dict[UUID, None]:
        for lease in leases:
            await self.client.renew_concurrency_lease(lease, LEASE)
        return dict.fromkeys(leases)


class Leases:
    """The leases of a batch: one for all its clusters, or one for each when its turn comes."""

    def __init__(self, together: Hold | None = None) -> None:
        self._together = together

    @asynccontextmanager
    async def of(self, cluster: ClusterId) -> AsyncIterator[Hold]:
        """Hold one cluster while it is worked on. Raises Refused if another run keeps holding it."""
        if self._together is not None:
            yield self._together
            return
        async with hold_lease(cluster) as alone:
            yield alone


@asynccontextmanager
async def hold_leases(clusters: tuple[ClusterId, ...]) -> AsyncIterator[Leases]:
    """Hold the clusters of a batch, in one request if no other run holds any of them."""
    async with get_client() as client:
        wanted = [limit_name(cluster) for cluster in clusters]
        await ensure_limits(client, dict.fromkeys(wanted, 1))
        lease = await acquire(client, wanted, patience=0)
        if lease is None:
            yield Leases()
            return
        what = f"{len(clusters)} clusters"
        async with held(client, lease, what):
            await require_shared(lease)
            yield Leases(Hold(client=client, lease=lease, what=what))


@asynccontextmanager
async def hold_lease(cluster: ClusterId, *, patience: float = 2 * LEASE) -> AsyncIterator[Hold]:
    """Hold one cluster. Waits `patience` seconds for another holder (a dead run's lease ends), then raises Refused."""
    async with get_client() as client:
        await ensure_limits(client, {limit_name(cluster): 1})
        lease = await acquire(client, [limit_name(cluster)], patience=patience)
        if lease is None:
            raise Refused(
                "another migration holds the cluster",
                remedy="wait for it, or see its run in Prefect's UI",
                cluster=str(cluster),
                code="ClusterClaimed",
            )
        async with held(client, lease, str(cluster)):
            yield Hold(client=client, lease=lease, what=str(cluster))


async def require_shared(lease: UUID) -> None:
    """Check that each replica of Prefect's server knows a lease: a load balancer may lead the next request to another.

    Raises:
        Refused: a replica does not know it. A lease in one replica's memory keeps nobody out at the others.
        TryLater: a replica does not answer.
    """
    without_keeping = {"limits": httpx.Limits(max_keepalive_connections=0)}  # each request has a connection of its own
    async with get_client(httpx_settings=without_keeping) as client:
        hold = Hold(client=client, lease=lease, what="the clusters of this batch")
        try:
            for _ in range(_REPLICAS_ASKED):
                await hold.still_held()
        except Refused as error:
            raise Refused(
                "one replica of Prefect's server does not know the lease that another one has just given",
                remedy="set PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=prefect_redis.lease_storage for every replica",
                code="LeasesNotShared",
            ) from error


async def free(client: PrefectClient, runs: tuple[UUID, ...]) -> int:
    """Release the slots that dead runs hold. Returns the number of leases. Leases that have ended are ignored.

    The key of a lease's note contains the lease, so that a damaged note frees its slot too.
    """
    prefix = "claim-"
    notes = await artifacts.of_runs(client, runs, prefix)
    for note in notes:
        with contextlib.suppress(ValueError):  # not the note of a lease
            await client.release_concurrency_slots_with_lease(UUID(note.key.removeprefix(prefix)))
    return len(notes)


def limit_name(cluster: ClusterId) -> str:
    """The name of a cluster's concurrency limit."""
    return f"aks-entra {cluster.resource_group} {cluster.name} {slug(cluster)}"


async def ensure_limits(client: PrefectClient, limits: Mapping[str, int]) -> None:
    """Create the concurrency limits that do not exist yet. Existing ones stay as they are."""
    known: set[str] = set()
    offset = 0
    while page := await client.read_global_concurrency_limits(limit=PAGE, offset=offset):
        known |= {one.name for one in page}
        offset += PAGE

    async def create(name: str) -> None:
        with contextlib.suppress(ObjectAlreadyExists):  # another run created it meanwhile
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limits[name]))

    await bounded_gather(create, [name for name in limits if name not in known], at_once=_AT_A_TIME)


async def acquire(
    client: PrefectClient, limits: list[str], *, patience: float, every: float = ASKED_EVERY
) -> UUID | None:
    """Return a lease on a slot of each limit, or None if one of them had no free slot for `patience` seconds."""
    run = artifacts.current_flow_run()
    holder = ConcurrencyLeaseHolder(type="flow_run", id=run) if run else None
    now = asyncio.get_running_loop().time
    until = now() + patience
    while True:
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # its waits of 2, 4, 8 … s are for outages
                answer = await client.increment_concurrency_slots_with_lease(
                    names=limits,
                    slots=1,
                    mode="concurrency",
                    lease_duration=LEASE,
                    holder=holder,
                )
        except httpx.HTTPStatusError as error:
            if error.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and now() < until + LEASE:
                await asyncio.sleep(
                    BUSY
                )  # SQLite: another write came between its read and its write; no slot was taken
                continue
            if error.response.status_code != HTTPStatus.LOCKED:
                raise
        else:
            return ConcurrencyLimitWithLeaseResponse.model_validate(answer.json()).lease_id
        if now() >= until:
            return None
        await asyncio.sleep(every)


@asynccontextmanager
async def held(client: PrefectClient, lease: UUID, what: str, *, vital: bool = True) -> AsyncIterator[None]:
    """Renew a lease while it is held. If the server forgot a vital one, cancel its holder and raise Refused."""
    await artifacts.put(key("claim", str(lease)), str(lease), kind="claim", page=for_markdown(f"lease of {what}"))
    holder = asyncio.current_task() if vital else None
    lost = asyncio.Event()
    renewing = asyncio.create_task(_renew(client, lease, holder, lost))
    try:
        yield
    except asyncio.CancelledError:
        if lost.is_set() and holder is not None and holder.uncancel() == 0:
            raise _lost(what) from None
        raise
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
        await asyncio.shield(client.release_concurrency_slots_with_lease(lease))


async def _renew(client: PrefectClient, lease: UUID, holder: asyncio.Task[object] | None, lost: asyncio.Event) -> None:
    while True:
        await asyncio.sleep(RENEWED_EVERY)
        try:
            await client.renew_concurrency_lease(lease, LEASE)
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in _LOST:
                continue  # the server is unwell; the next renewal may reach it
            lost.set()
            if holder is not None:
                holder.cancel()
            return
        except httpx.TransportError:
            continue  # as above: the lease outlives two missed renewals


def _lost(what: str) -> Refused:
    return Refused(
        f"the lease of {what} was lost: Prefect's server no longer knows it",
        remedy="check whether another migration holds the clusters, then resume",
        code="ClaimLost",
    )
