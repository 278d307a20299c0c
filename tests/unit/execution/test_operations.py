"""Shared waiting: one list per subscription and interval, and each operation's own word for how it ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from aks_entra.core.cluster import ClusterId, Identity, Pool
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.execution.operations import Watch
from aks_entra.ports.operations import Operation, OperationState
from tests.support.memory_ports import World


def watching(world: World, every: float = 30.0, timeout: float = 7200.0) -> Watch:
    return Watch(world.process().ports.arm, world.clock, every, timeout=timeout)


class Lines(list[str]):
    """A run's log."""

    def say(self, cluster: ClusterId, text: str) -> None:
        self.append(f"{cluster}: {text}")


def seconds(world: World) -> float:
    return (world.now() - World().now()).total_seconds()


async def test_many_waiters_share_one_list_per_interval() -> None:
    world = World()
    watch = watching(world)
    clusters = [world.add(f"shop-{number:02}", fqdn=f"{number}.azmk8s.io") for number in range(20)]
    operations = [world.start(cluster, "Updating", 100) for cluster in clusters]

    states = await asyncio.gather(*map(watch.settled, operations))

    assert {state.status for state in states} == {"Succeeded"}
    assert seconds(world) == 120
    counted = Counter(world.calls)
    assert counted["arm.list_clusters"] == 4
    assert counted["arm.operation"] == 20  # each asked once, when the list showed it at rest
    assert counted["arm.cluster"] == 0


async def test_a_list_that_was_asked_for_before_a_write_says_nothing_about_its_operation() -> None:
    world = World()
    watch = watching(world)
    other, cluster = world.add("other"), world.add("mine", fqdn="mine.azmk8s.io")
    waits = asyncio.create_task(watch.settled(world.start(other, "Updating", 1e6)))
    under_way: list[asyncio.Task[OperationState]] = []

    def writes_meanwhile() -> None:
        if not under_way and world.calls[-1] == "arm.list_clusters":
            under_way.append(asyncio.ensure_future(begin()))

    async def begin() -> OperationState:
        return await watch.settled(world.start(cluster, "Updating", 50))

    world.slow_lists = True
    world.observers.append(writes_meanwhile)
    await world.clock.sleep(31)
    assert (await under_way[0]).succeeded
    waits.cancel()

    assert world.calls.count("arm.operation") == 1  # an older list showed the cluster at rest


async def test_nobody_waits_nobody_asks() -> None:
    world = World()
    watch = watching(world)
    operation = world.start(world.add(), "Updating", 1e6)
    waiting = asyncio.create_task(watch.settled(operation))
    await world.clock.sleep(45)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    lists = world.calls.count("arm.list_clusters")

    await world.clock.sleep(300)

    assert world.calls.count("arm.list_clusters") == lists == 1


async def test_one_waiter_less_does_not_stop_the_others() -> None:
    world = World()
    watch = watching(world)
    one, two = (world.start(world.add(name), "Updating", 50) for name in ("a", "b"))
    gone, stays = asyncio.create_task(watch.settled(one)), asyncio.create_task(watch.settled(two))
    await world.clock.sleep(10)
    gone.cancel()

    assert (await stays).succeeded
    assert seconds(world) == 60


@pytest.mark.parametrize("ends", ["Failed", "Canceled"])
async def test_the_operations_own_url_says_how_it_ended(ends: str) -> None:
    world = World()
    cluster = world.add()
    world.ends["Updating"] = [ends]
    operation = world.start(cluster, "Updating", 50)

    state = await watching(world).settled(operation)

    assert (state.status, state.code, state.terminal, state.succeeded) == (ends, "InternalError", True, False)


async def test_a_list_that_is_ahead_of_the_operation_does_not_end_it() -> None:
    world = World()
    cluster = world.add()
    operation = world.start(cluster, "Updating", 100)
    cluster.state = "Succeeded"  # a stale list: at rest, it seems

    assert (await watching(world).settled(operation)).succeeded
    assert world.calls.count("arm.operation") == 4


async def test_another_operation_that_followed_does_not_hide_the_end_of_ours() -> None:
    world = World()
    cluster = world.add()
    operation = world.start(cluster, "Updating", 10)
    await world.clock.sleep(10)
    with world.call("somebody looks"):
        pass
    world.start(cluster, "Scaling", 1e6)

    assert (await watching(world).settled(operation)).succeeded
    assert seconds(world) == 1210


@pytest.mark.parametrize("lost", ["at once", "later"])
async def test_a_lost_url_is_answered_by_the_cluster_at_rest(lost: str) -> None:
    world = World()
    cluster = world.add()
    operation = world.start(cluster, "Updating", 100)
    world.lost_urls = lost == "later"
    if lost == "at once":
        operation = replace(operation, url="")

    assert (await watching(world).settled(operation)).succeeded
    assert seconds(world) >= 100


async def test_throttling_is_waited_out_as_asked() -> None:
    world = World()
    operation = world.start(world.add(), "Updating", 50)
    world.faults["arm.list_clusters"] = [TryLater("throttled", after=7)]
    world.faults["arm.operation"] = [TryLater("throttled", after=5)]

    assert (await watching(world).settled(operation)).succeeded
    world.faults["arm.cluster"] = [TryLater("throttled", after=11)]
    before = seconds(world)
    assert (await watching(world).at_rest(operation.cluster)).at_rest
    assert seconds(world) == before + 11
    assert world.consumed()


async def test_without_the_right_to_list_everybody_looks_for_himself() -> None:
    world = World()
    operation = world.start(world.add(), "Updating", 50)
    world.faults["arm.list_clusters"] = [Refused("forbidden", status=403)]

    assert (await watching(world).settled(operation)).succeeded
    assert world.calls.count("arm.operation") == 2


async def test_other_errors_are_not_swallowed() -> None:
    world = World()
    operation = world.start(world.add(), "Updating", 50)
    world.faults["arm.operation"] = [Rejected("broken", status=400)]

    with pytest.raises(Rejected, match="broken"):
        await watching(world).settled(operation)


async def test_a_pool_at_work_is_no_rest() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    cluster.pools = (Pool(name="a", provisioning_state="Creating"),)

    async def ends() -> None:
        await world.clock.sleep(65)
        cluster.pools = (Pool(name="a"),)

    ending = asyncio.create_task(ends())
    posture = await watching(world).at_rest(cluster.id)
    await ending

    assert posture.at_rest
    assert seconds(world) == 90


async def test_a_wait_has_an_end() -> None:
    world = World()
    operation = world.start(world.add(), "Updating", 1e6)

    with pytest.raises(TryLater, match="still running after 10 minutes"):
        await watching(world, timeout=600).settled(operation)
    with pytest.raises(TryLater, match="still running after 10 minutes"):
        await watching(world, timeout=600).at_rest(operation.cluster)


async def test_a_cluster_that_is_gone_is_looked_at() -> None:
    world = World()
    cluster = world.add()
    operation = world.start(cluster, "Updating", 50)
    del world.clusters[cluster.id.key]

    assert (await watching(world).settled(operation)).succeeded
    with pytest.raises(Refused, match="was not found"):
        await watching(world).at_rest(cluster.id)
    assert isinstance(operation, Operation)


async def test_the_log_says_what_is_waited_for_and_how_long() -> None:
    world, lines = World(), Lines()
    watch = Watch(world.process().ports.arm, world.clock, 30.0, log=lines)
    operation = world.start(world.add(), "Updating", 100)

    await watch.settled(operation)
    trace = f"(correlation id {operation.correlation_id})"
    assert lines == [
        f"shop-weu/shop-01: Azure accepted the write {trace}; the step waits for its end",
        f"shop-weu/shop-01: the operation ended Succeeded after 2m {trace}",
    ]


async def test_the_log_names_the_state_of_a_cluster_that_is_not_at_rest() -> None:
    world, lines = World(), Lines()
    watch = Watch(world.process().ports.arm, world.clock, 30.0, log=lines)
    cluster = world.add()
    world.start(cluster, "Updating", 100)

    await watch.at_rest(cluster.id)
    await watch.at_rest(cluster.id)
    assert lines == [
        "shop-weu/shop-01: the step waits until no operation runs on the cluster: provisioningState Updating",
        "shop-weu/shop-01: the cluster is at rest after 2m: provisioningState Succeeded",
    ]
