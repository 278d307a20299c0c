from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused
from aks_entra.prefect_client import store
from aks_entra.prefect_client.claims import claim, claim_all, free
from aks_entra.prefect_client.life import Process
from aks_entra.prefect_client.store import own_flow_run

if TYPE_CHECKING:
    from tests.flows.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")


def clusters(*names: str) -> tuple[ClusterId, ...]:
    return tuple(ClusterId(subscription_id="s", resource_group="claimed", name=name) for name in names)


async def test_a_cluster_that_somebody_holds_is_refused_and_the_others_are_not(house: House) -> None:
    one, two = clusters("one", "two")
    with house.inside():
        async with claim(one):
            with pytest.raises(Refused, match="another migration holds the cluster"):
                async with claim(one, patience=0):
                    pass
            async with claim_all((one, two)) as held, held.of(two):
                with pytest.raises(Refused, match="another migration holds the cluster"):
                    async with claim(two, patience=0):
                        pass
        async with claim_all((one, two)) as held, held.of(one), held.of(two):
            pass


async def test_exactly_the_slots_of_a_dead_run_are_given_back(house: House) -> None:
    mine, theirs = clusters("mine", "theirs")

    @flow
    async def holder() -> None:
        async with claim(mine), claim(theirs):
            run = own_flow_run()
            async with get_client() as client:
                assert await free(client, (run,)) == 2
            for cluster in (mine, theirs):
                async with claim(cluster, patience=0):  # somebody else may have it now
                    pass

    with house.inside():
        await holder()


async def test_what_is_stored_is_found_by_the_beginning_of_its_key_alone(house: House) -> None:
    with house.inside():
        for name in ("found-by-this-one", "not-found-by-this-two"):
            await store.put(name, "x", kind="note")
        assert [one.key for one in await store.newest("found-by-this")] == ["found-by-this-one"]


async def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    own = Process.own()
    assert Process.parse(str(own)) == own
    assert own.here
    assert own.exists
    assert not Process(host=own.host, pid=own.pid, started="1").exists
    assert not Process(host="elsewhere", pid=own.pid, started=own.started).here
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    assert not Process(host=own.host, pid=gone.pid, started="1").exists
