"""One cluster, one actor: a slot of a concurrency limit per cluster, under a lease that is renewed while it is held.

A batch claims its clusters in one request under one lease: on SQLite each claim of its own costs seconds while others
write. Only when somebody holds one of them is each claimed by itself, so that the others need not wait. Every lease is
stored beside the run that holds it, so that exactly the slots of a dead run can be freed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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

from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused
from aks_entra.prefect_client import store
from aks_entra.prefect_client.names import key, slug

LEASE: Final = 60.0
"""Seconds: the shortest that Prefect's server grants."""
RENEWED_EVERY: Final = 20.0
ASKED_EVERY: Final = 5.0
BUSY: Final = 0.2
PAGE: Final = 200
_AT_A_TIME: Final = 5


class Claims:
    """The clusters of a batch: held together, or each by itself when its turn comes."""

    def __init__(self, *, together: bool) -> None:
        self._together = together

    @asynccontextmanager
    async def of(self, cluster: ClusterId) -> AsyncIterator[None]:
        """Hold one cluster for its way. Raises Refused when somebody else does not let go of it."""
        if self._together:
            yield
            return
        async with claim(cluster):
            yield


@asynccontextmanager
async def claim_all(clusters: tuple[ClusterId, ...]) -> AsyncIterator[Claims]:
    """Hold the clusters of a batch, in one request where nobody else holds any of them."""
    async with get_client() as client:
        wanted = [limit_name(cluster) for cluster in clusters]
        await ensure_limits(client, dict.fromkeys(wanted, 1))
        lease = await acquire(client, wanted, patience=0)
        if lease is None:
            yield Claims(together=False)
            return
        async with held(client, lease, f"{len(clusters)} clusters"):
            yield Claims(together=True)


@asynccontextmanager
async def claim(cluster: ClusterId, *, patience: float = 2 * LEASE) -> AsyncIterator[None]:
    """Hold one cluster. Waits `patience` seconds for another holder (a dead one's lease ends), then raises Refused."""
    async with get_client() as client:
        await ensure_limits(client, {limit_name(cluster): 1})
        lease = await acquire(client, [limit_name(cluster)], patience=patience)
        if lease is None:
            raise Refused(
                "another migration holds the cluster",
                remedy="wait for it, or look at its run in Prefect's UI",
                cluster=str(cluster),
                code="ClusterClaimed",
            )
        async with held(client, lease, str(cluster)):
            yield


async def free(client: PrefectClient, runs: tuple[UUID, ...]) -> int:
    """Give back the slots that dead runs hold; returns how many leases there were. Leases that ended are ignored."""
    leases = [UUID(one.text) for one in await store.of_runs(client, runs, "claim-")]
    for lease in leases:
        await client.release_concurrency_slots_with_lease(lease)
    return len(leases)


def limit_name(cluster: ClusterId) -> str:
    """The name of a cluster's concurrency limit."""
    return f"aks-entra {cluster.resource_group} {cluster.name} {slug(cluster)}"


async def ensure_limits(client: PrefectClient, limits: Mapping[str, int]) -> None:
    """Make the concurrency limits that are not there yet, by name; one that is there stays as it is."""
    known: set[str] = set()
    offset = 0
    while page := await client.read_global_concurrency_limits(limit=PAGE, offset=offset):
        known |= {one.name for one in page}
        offset += PAGE
    places = asyncio.Semaphore(_AT_A_TIME)

    async def create(name: str, limit: int) -> None:
        async with places:
            with contextlib.suppress(ObjectAlreadyExists):  # somebody else made it meanwhile
                await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limit))

    await asyncio.gather(*(create(name, limit) for name, limit in limits.items() if name not in known))


async def acquire(
    client: PrefectClient, limits: list[str], *, patience: float, every: float = ASKED_EVERY
) -> UUID | None:
    """A lease on a slot of each limit, or None when one of them had none for as long as we were patient."""
    run = store.current_flow_run()
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
                await asyncio.sleep(BUSY)  # SQLite: somebody wrote between its read and its write; nothing was taken
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
    """Renew a lease while it is held. When the server forgot a vital one, what runs under it is cancelled: Refused."""
    await store.put(key("claim", str(lease)), str(lease), kind="claim", page=f"claim of {what}")
    holder = asyncio.current_task() if vital else None
    lost = asyncio.Event()
    renewing = asyncio.create_task(_renew(client, lease, holder, lost))
    try:
        yield
    except asyncio.CancelledError:
        if lost.is_set() and holder is not None and holder.uncancel() == 0:
            raise Refused(
                f"the claim of {what} was lost: Prefect's server no longer knows its lease",
                remedy="look whether another migration holds the clusters, then resume",
            ) from None
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
            if error.response.status_code not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
                continue  # the server is unwell; the next renewal may reach it
            lost.set()
            if holder is not None:
                holder.cancel()
            return
        except httpx.TransportError:
            continue  # as above: the lease outlives two missed renewals
