"""A cluster of which ARM shows no ETag: what happened since the rotation is known by the activity log alone."""

from __future__ import annotations

from datetime import timedelta

from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.errors import Refused
from tests.support.executor_jobs import job_of, planned
from tests.support.memory_ports import World

DELAY = timedelta(minutes=20)


async def test_a_migration_waits_until_the_activity_log_covers_its_last_look() -> None:
    world = World()
    cluster = world.add(shows_etag=False)
    world.log_delay = DELAY
    job = job_of(await planned(world))
    began = world.now()
    verdict = await world.process().executor.migrate(job)
    assert (verdict.outcome, verdict.grade) == (Outcome.VERIFIED, Grade.CREDENTIAL_REFUSED), verdict.because
    assert world.now() - began > DELAY
    assert cluster.rotations == 1


async def test_with_an_etag_it_does_not_wait() -> None:
    world = World()
    world.add()
    world.log_delay = DELAY
    job = job_of(await planned(world))
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED
    assert world.calls.count("arm.handed_out") <= 2


async def test_a_log_that_cannot_be_read_leaves_it_unknown() -> None:
    world = World()
    cluster = world.add(shows_etag=False)
    job = job_of(await planned(world))
    world.faults["arm.handed_out"] += [Refused("no right to read the activity log")] * 5
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.NOT_VERIFIED, verdict.because
    assert cluster.rotations == 1
