from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused, TryLater
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.artifacts import own_flow_run
from aks_entra.prefect_client.leases import free, hold_lease, hold_leases, require_shared
from aks_entra.prefect_client.liveness import HEARTBEATS, PROCESS, register, send_heartbeats, set_to_crashed
from tests.support.patience import SOON

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack

pytestmark = pytest.mark.asyncio(loop_scope="session")


def clusters(*names: str) -> tuple[ClusterId, ...]:
    return tuple(ClusterId(subscription_id="s", resource_group="claimed", name=name) for name in names)


async def test_a_cluster_that_somebody_holds_is_refused_and_the_others_are_not(stack: PrefectStack) -> None:
    one, two = clusters("one", "two")
    with stack.inside():
        async with hold_lease(one):
            with pytest.raises(Refused, match="another migration holds the cluster"):
                async with hold_lease(one, patience=0):
                    pass
            async with hold_leases((one, two)) as held, held.of(two):
                with pytest.raises(Refused, match="another migration holds the cluster"):
                    async with hold_lease(two, patience=0):
                        pass
        async with hold_leases((one, two)) as held, held.of(one), held.of(two):
            pass


async def test_exactly_the_slots_of_a_killed_run_are_released(stack: PrefectStack) -> None:
    mine, theirs = clusters("mine", "theirs")

    @flow
    async def holder() -> None:
        async with hold_lease(mine), hold_lease(theirs):
            run = own_flow_run()
            async with get_client() as client:
                assert await free(client, (run,)) == 2
            for cluster in (mine, theirs):
                async with hold_lease(cluster, patience=0):  # another run can take the lease now
                    pass

    with stack.inside():
        await holder()


async def test_a_lease_that_another_run_may_hold_is_checked_at_the_server(stack: PrefectStack) -> None:
    """A suspended process renews no lease. Before a write it asks the server, which has dropped the lease."""
    one, two = clusters("paused", "beside")
    with stack.inside():
        async with hold_lease(one) as alone:
            await alone.still_held()
            async with get_client() as client:
                await client.release_concurrency_slots_with_lease(alone.lease)  # as the server does at the lease's end
            async with hold_lease(one, patience=0) as other:
                with pytest.raises(Refused, match="no longer knows it"):
                    await alone.still_held()
                await other.still_held()
        async with hold_leases((one, two)) as held, held.of(two) as together:
            await together.still_held()
            async with get_client() as client:
                await client.release_concurrency_slots_with_lease(together.lease)
            with pytest.raises(Refused) as lost:
                await together.still_held()
            assert lost.value.code == "ClaimLost"


async def test_a_server_that_does_not_answer_leaves_the_lease_unknown(stack: PrefectStack) -> None:
    with stack.inside():
        async with hold_lease(clusters("silent")[0]) as hold, PrefectClient("http://127.0.0.1:1/api") as nobody:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), pytest.raises(TryLater):
                await replace(hold, client=nobody).still_held()


async def test_artifacts_are_found_only_by_the_beginning_of_their_key(stack: PrefectStack) -> None:
    with stack.inside():
        for name in ("found-by-this-one", "not-found-by-this-two"):
            await artifacts.put(name, "x", kind="note")
        assert [one.key for one in await artifacts.newest("found-by-this")] == ["found-by-this-one"]


async def test_a_lease_that_one_replica_does_not_know_is_refused(stack: PrefectStack) -> None:
    """A replica that keeps its leases in memory does not know a lease of another replica."""
    (one,) = clusters("replica")
    with stack.inside():
        async with hold_lease(one) as alone:
            await require_shared(alone.lease)
        with pytest.raises(Refused) as unknown:
            await require_shared(uuid4())
        assert unknown.value.code == "LeasesNotShared"
        assert "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE" in unknown.value.remedy


async def test_a_run_that_prefect_marked_as_crashed_stops(stack: PrefectStack) -> None:
    """Its pod may have started late, or its host was unreachable. Another run may do its work by now."""
    registered: list[UUID] = []

    @flow
    async def late() -> None:
        run = own_flow_run()
        async with get_client() as client:
            await set_to_crashed(client, (await client.read_flow_run(run),))
        with pytest.raises(Refused, match="it may not go on"):
            await register()
        registered.append(run)

    with stack.inside():
        await late(return_state=True)
        (run,) = registered
        async with get_client() as client:
            found = await client.read_flow_run(run)
        assert found.labels.get(PROCESS) is None


async def test_a_run_beats_until_it_has_ended_and_its_flow_has_closed_its_client(stack: PrefectStack) -> None:
    beating: list[asyncio.Task[None]] = []

    @flow
    async def alive() -> UUID:
        run = await register()
        beating.append(asyncio.create_task(send_heartbeats(run, every=timedelta(seconds=0.05))))
        async with get_client() as client:
            while (await client.read_flow_run(run)).labels[HEARTBEATS] == "0":
                continue
        return run

    with stack.inside():
        run = await alive()
        async with asyncio.timeout(SOON):
            await beating[0]
        async with get_client() as client:
            assert int(str((await client.read_flow_run(run)).labels[HEARTBEATS])) > 0
