"""What one step reads of a cluster at its end serves the next step for seconds, and never across a write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import TryLater
from aks_entra.execution.engine import RECENT, Engine
from tests.support.executor_jobs import job_for
from tests.support.memory_model import Cluster, Happening
from tests.support.memory_ports import World

READ = "arm.cluster"
WRITES = ("arm.enable_entra", "arm.set_local_accounts", "arm.rotate_certificates")


def engine_of(world: World) -> Engine:
    return world.process().executor._engine  # noqa: SLF001 - the steps of one run share it


async def test_a_migration_reads_the_cluster_after_each_write_and_its_writes_rest_on_their_own_reads() -> None:
    world = World()
    world.add()
    job = await job_for(world)
    world.calls.clear()

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    enabled, closed, rotated = (world.calls.index(write) for write in WRITES)
    assert world.calls[:enabled].count(READ) == 1, "what was read to see which steps are left serves the first step"
    assert READ in world.calls[enabled:closed]
    assert world.calls[closed:rotated].count(READ) == 2, "after the accounts were closed, and just before the rotation"
    assert READ in world.calls[rotated:]


async def test_a_read_is_kept_for_seconds_only() -> None:
    world = World()
    cluster = world.add()
    engine = engine_of(world)
    await engine.at_rest(cluster.id)
    for seconds, reads in ((RECENT.total_seconds() - 1, 1), (1, 2)):
        await world.clock.sleep(seconds)
        await engine.at_rest(cluster.id, recent=True)
        assert world.calls.count(READ) == reads
    await world.clock.sleep(RECENT.total_seconds())
    await engine.read_lately(cluster.id)
    assert world.calls.count(READ) == 3


async def test_a_read_that_no_other_step_may_rest_on_is_made_in_any_case() -> None:
    world = World()
    cluster = world.add()
    engine = engine_of(world)
    await engine.at_rest(cluster.id)
    await engine.read(cluster.id)
    await engine.observe(cluster.id)
    assert world.calls.count(READ) == 3


async def test_nothing_that_was_read_before_a_write_serves_after_it_even_if_its_answer_was_lost() -> None:
    world = World()
    world.add()
    job = await job_for(world)
    process = world.process()
    await process.executor.remaining(job)
    enable = job.plan.steps[0]
    world.faults["arm.enable_entra"] = [TryLater("the answer was lost", after=1)]
    with pytest.raises(TryLater):
        await process.executor.apply(job, enable)
    before = world.calls.count(READ)

    await process.executor.apply(job, enable)

    assert world.calls.count(READ) == before + 2  # it is read anew before the second try, and after it


async def test_what_was_read_of_one_cluster_serves_no_other() -> None:
    world = World()
    first, second = world.add("shop-01", fqdn="1.azmk8s.io"), world.add("shop-02", fqdn="2.azmk8s.io")
    engine = engine_of(world)
    await engine.at_rest(first.id)
    assert (await engine.at_rest(second.id, recent=True)).cluster == second.id


async def test_an_operation_that_was_waited_for_ages_the_read_after_it() -> None:
    world = World()
    cluster = world.add()
    world.start(cluster, "Updating", 100)
    engine = engine_of(world)
    found, posture = await engine.found_and_at_rest(cluster.id)
    assert (found.at_rest, posture.at_rest) == (False, True)
    reads = world.calls.count(READ)
    await engine.at_rest(cluster.id, recent=True)
    assert world.calls.count(READ) == reads + 1


def opened(cluster: Cluster) -> None:
    cluster.local_accounts = True


def another_group(cluster: Cluster) -> None:
    cluster.groups = ("99999999-9999-4999-8999-999999999999",)


@pytest.mark.parametrize("change", [opened, another_group], ids=["accounts", "groups"])
async def test_a_change_of_the_last_seconds_before_a_rotation_refuses_it(change: Callable[[Cluster], None]) -> None:
    world = World()
    world.add()
    job = await job_for(world)
    await world.process().executor.migrate(job)
    last = max(at for at in range(world.calls.index("arm.rotate_certificates")) if world.calls[at] == READ)
    world = World()
    cluster = world.add()
    job = await job_for(world)
    world.happenings[last + 1] = Happening(event=lambda: change(cluster))

    verdict = await world.process().executor.migrate(job)

    assert "arm.rotate_certificates" not in world.calls
    assert verdict.outcome is Outcome.FAILED
    assert any("not as the approved plan expects it" in why for why in verdict.because), verdict.because
