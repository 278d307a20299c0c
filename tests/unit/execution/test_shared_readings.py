"""What clusters share, and when it is read anew: facts of the directory, memberships, and the prover's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import Moment, SignInProven
from aks_entra.core.planning.fleet import WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused, TryLater
from aks_entra.execution.shared_readings import SHARED, SharedReadings
from aks_entra.planning.reader import Reading
from aks_entra.probes import sign_in
from tests.support.executor_jobs import CREATED, job_for, job_of, planned
from tests.support.memory_model import ADMINS, OTHERS, PROVER, Cluster, Group, posture_of
from tests.support.memory_ports import Process, World

CLUSTERS = 5


async def facts(reading: Reading) -> int | None:
    (found,) = await reading.groups((ADMINS,), PROVER)
    return found.members


def clusters(world: World, **how: Any) -> list[Cluster]:
    return [world.add(f"shop-{number:02}", fqdn=f"{number}.azmk8s.io", **how) for number in range(CLUSTERS)]


async def test_clusters_side_by_side_ask_the_directory_once_for_each_write() -> None:
    world = World()
    clusters(world)
    plan = await planned(world)
    process = world.process()
    world.calls.clear()

    verdicts = await asyncio.gather(*(process.executor.migrate(job_of(plan, at)) for at in range(CLUSTERS)))

    assert {one.outcome for one in verdicts} == {Outcome.VERIFIED}, verdicts[0].because
    assert world.calls.count("directory.group") == 3  # before each of the three writes, and not for each cluster
    assert world.calls.count("directory.memberships") == 3
    proofs = {one.issued_at for verdict in verdicts for one in verdict.evidence if isinstance(one, SignInProven)}
    assert len(proofs) == 2  # one token before the rotations, and one after them
    still_in = CLUSTERS  # just before its accounts are closed, each cluster asks for itself
    assert world.calls.count("directory.is_member") <= 5 + still_in  # and not one for each of the 20 proofs


async def test_a_cluster_gets_no_answer_twice() -> None:
    world = World()
    first, second, *_ = clusters(world)
    readings = SharedReadings(world.process().ports)
    assert await facts(readings.of(first.id)) == 2
    world.groups[ADMINS].members.add("erin")
    assert await facts(readings.of(second.id)) == 2  # a second after the first cluster
    assert await facts(readings.of(first.id)) == 3
    assert world.calls.count("directory.group") == 2


async def test_a_membership_is_asked_for_again_when_the_token_is_another() -> None:
    world, process, *_ = await managed()
    engine = process.executor._engine  # noqa: SLF001 - the proofs of several clusters share it
    for token in ("08:00", "08:00", "08:01"):
        assert await engine.is_member(ADMINS, PROVER, token)
    assert world.calls.count("directory.is_member") == 2
    await world.clock.sleep(SHARED.total_seconds())
    assert await engine.is_member(ADMINS, PROVER, "08:01")
    assert world.calls.count("directory.is_member") == 3


async def test_an_answer_is_given_for_a_minute() -> None:
    world = World()
    first, second, third, *_ = clusters(world)
    readings = SharedReadings(world.process().ports)
    await facts(readings.of(first.id))
    world.groups[ADMINS].members.add("erin")
    await world.clock.sleep(SHARED.total_seconds() - 1)
    assert await facts(readings.of(second.id)) == 2
    await world.clock.sleep(1)
    assert await facts(readings.of(third.id)) == 3


async def test_a_group_that_this_process_creates_ends_what_was_read_before() -> None:
    world = World()
    one, other, *_ = clusters(world)
    process = world.process()
    job = await job_for(world, WantedTarget(admin_groups=(CREATED,)))
    readings = process.executor._engine._readings  # noqa: SLF001 - no other cluster's step shows which one it gets
    before = readings.of(one.id)
    await process.executor.apply(job, job.plan.steps[0])
    assert readings.of(other.id) is not before


async def test_a_read_that_fails_is_made_again_for_the_next_cluster() -> None:
    world = World()
    world.faults["directory.memberships"] = [Refused("a moment", status=403)]
    reading = Reading(world.process().ports, at_once=True)
    with pytest.raises(Refused):
        await reading.memberships(PROVER)
    assert await reading.memberships(PROVER) == world.memberships


async def test_a_cluster_that_is_cancelled_does_not_end_the_read_of_another() -> None:
    reading = Reading(World().process().ports)
    answers = asyncio.Event()

    async def slowly() -> str:
        await answers.wait()
        return "an answer"

    gone, stays = (asyncio.create_task(reading.once("kind", "name", slowly)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    answers.set()
    assert await stays == "an answer"
    assert gone.cancelled()


async def proven(process: Process, cluster: Cluster, job: Job, since: str = "") -> SignInProven:
    posture = posture_of(cluster).with_ca(cluster.ca)
    return await sign_in.sign_in(process.ports, job, posture, Moment.BEFORE, since)


async def managed() -> tuple[World, Process, list[Cluster], Job]:
    world = World()
    found = clusters(world, identity=Identity.MANAGED)
    return world, world.process(), found, await job_for(world)


async def test_one_token_signs_in_at_many_clusters_for_some_minutes() -> None:
    world, process, (first, second, *_), job = await managed()
    token = (await proven(process, first, job)).issued_at
    await world.clock.sleep(sign_in.SHARED.total_seconds())
    assert (await proven(process, second, job)).issued_at == token
    await world.clock.sleep(1)
    assert (await proven(process, second, job)).issued_at > token


async def test_a_token_from_before_the_groups_of_this_cluster_were_written_is_not_used() -> None:
    world, process, (first, second, *_), job = await managed()
    token = (await proven(process, first, job)).issued_at
    await world.clock.sleep(5)
    written = world.now().isoformat()
    assert (await proven(process, second, job, written)).issued_at == written > token


def lately_a_member(world: World) -> None:
    world.groups[ADMINS].members.add(PROVER)


def graph_is_silent(world: World) -> None:
    world.groups[ADMINS].members.add(PROVER)
    world.says_members = False


@pytest.mark.parametrize("happens", [lately_a_member, graph_is_silent])
async def test_a_shared_token_that_proves_nothing_is_replaced_at_once(happens: Callable[[World], None]) -> None:
    world, process, (first, second, *_), job = await managed()
    if happens is lately_a_member:
        world.groups[ADMINS].members = {"dana"}
        assert not (await proven(process, first, job)).by
    else:
        await proven(process, first, job)
    happens(world)
    await world.clock.sleep(5)
    found = await proven(process, second, job)
    assert (found.by, found.everything, found.issued_at) == (f"admin group {ADMINS}", True, world.now().isoformat())


async def test_a_member_who_was_removed_a_moment_ago_is_no_proof() -> None:
    world, process, (first, second, *_), job = await managed()
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members={PROVER})
    await proven(process, first, job)
    world.groups[ADMINS].members = {"dana"}
    await world.clock.sleep(5)
    assert not (await proven(process, second, job)).by


async def test_a_token_from_a_cache_outside_of_this_process_is_asked_for_again() -> None:
    world, process, (first, *_), job = await managed()
    world.token_from = world.now() - timedelta(hours=3)
    world.says_members = False
    with pytest.raises(TryLater, match="was not issued just now"):
        await proven(process, first, job)
    assert world.calls.count("kubernetes.sign_in") == 2
