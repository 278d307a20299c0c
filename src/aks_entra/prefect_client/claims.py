"""One cluster, one actor: a slot of a concurrency limit per cluster, under a lease that is renewed while it is held.

Every claim's lease is stored beside the run that holds it, so that exactly the slots of a dead run can be freed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.client.schemas.responses import ConcurrencyLimitWithLeaseResponse

from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused
from aks_entra.prefect_client import store
from aks_entra.prefect_client.names import key, slug

LEASE: Final = 60.0
"""Seconds: the shortest that Prefect's server grants."""
RENEWED_EVERY: Final = 20.0
ASKED_EVERY: Final = 5.0


def claim_name(cluster: ClusterId) -> str:
    """The name of a cluster's limit."""
    return f"aks-entra {cluster.resource_group} {cluster.name} {slug(cluster)}"


@asynccontextmanager
async def claim(cluster: ClusterId, *, patience: float = 2 * LEASE) -> AsyncIterator[None]:
    """Hold the cluster. Waits `patience` seconds for another holder, then raises Refused.

    When the lease cannot be renewed (the server forgot it) what runs under the claim is cancelled, and Refused is
    raised: another actor may hold the cluster by then.
    """
    name = claim_name(cluster)
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name(name, 1)
        lease = await _acquire(client, name, cluster, patience)
        await store.put(key("claim", slug(cluster)), str(lease), kind="claim", page=f"claim of {cluster}")
        holder = asyncio.current_task()
        lost = asyncio.Event()
        renewing = asyncio.create_task(_renew(client, lease, holder, lost))
        try:
            yield
        except asyncio.CancelledError:
            if lost.is_set() and holder is not None and holder.uncancel() == 0:
                raise Refused(
                    "the claim on the cluster was lost: Prefect's server no longer knows its lease",
                    remedy="look whether another migration holds the cluster, then resume",
                    cluster=str(cluster),
                ) from None
            raise
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            await asyncio.shield(client.release_concurrency_slots_with_lease(lease))


async def free(client: PrefectClient, runs: tuple[UUID, ...]) -> int:
    """Give back the slots that dead runs hold; returns how many leases there were. Leases that ended are ignored."""
    leases = [UUID(one.text) for one in await store.of_runs(client, runs, "claim-")]
    for lease in leases:
        await client.release_concurrency_slots_with_lease(lease)
    return len(leases)


async def _acquire(client: PrefectClient, name: str, cluster: ClusterId, patience: float) -> UUID:
    run = store.current_flow_run()
    holder = ConcurrencyLeaseHolder(type="flow_run", id=run) if run else None
    until = asyncio.get_running_loop().time() + patience
    while True:
        try:
            answer = await client.increment_concurrency_slots_with_lease(
                names=[name], slots=1, mode="concurrency", lease_duration=LEASE, holder=holder
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code != HTTPStatus.LOCKED:
                raise
        else:
            granted = ConcurrencyLimitWithLeaseResponse.model_validate(answer.json())
            if granted.limits:
                return granted.lease_id
        if asyncio.get_running_loop().time() >= until:
            raise Refused(
                "another migration holds the cluster",
                remedy="wait for it, or look at its run in Prefect's UI",
                cluster=str(cluster),
                code="ClusterClaimed",
            )
        await asyncio.sleep(ASKED_EVERY)


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
