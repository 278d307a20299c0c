"""Kill the process before and after the effect of every port call, in every starting posture, and go on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aks_entra.break_glass import BreakGlass
from aks_entra.core.fleet import WantedGroup, WantedTarget
from aks_entra.core.opening import Opening, opening_on
from aks_entra.core.plan import Prover
from aks_entra.core.restored import is_restored
from aks_entra.core.verdict import Outcome
from aks_entra.wayback import chosen, plan_way_back
from tests.matrix.main_job import STARTING, TARGETS, Day
from tests.matrix.observer import Doorkeeper
from tests.unit.executor_desk import STARTS, job_of, planned
from tests.unit.ports_world import ADMINS, OTHERS, PROVER, Group, Killed, World

EVERY = pytest.param(1, marks=pytest.mark.long, id="every moment")
WRITES = {"enable-local-accounts", "update-entra"}
WHO = Prover(object_id=PROVER)
SAMPLE = pytest.param(7, id="a sample of the moments")


async def kill_and_resume(starting: str, moment: int) -> bool:
    """Whether the process lived to be killed at this moment."""
    day = await Day.begin(starting)
    day.world.kill_at = day.world.moments + moment
    try:
        await day.migrate()
    except Killed:
        verdict = await day.migrate()
        assert verdict.outcome is Outcome.VERIFIED, (moment, verdict.because)
        assert day.cluster.rotations == 1, moment
        assert len(day.world.writes) <= 4, (moment, day.world.writes)
        day.check(verdict)
        return True
    return False


@pytest.mark.parametrize("pace", [SAMPLE, EVERY])
@pytest.mark.parametrize("starting", STARTING)
async def test_a_migration_is_killed_and_resumed(starting: str, pace: int) -> None:
    moment = 1 + STARTING.index(starting) % pace
    killed = 0
    while await kill_and_resume(starting, moment):
        killed += 1
        moment += pace
    assert killed * pace > 40


@pytest.mark.long
@pytest.mark.parametrize("starting", STARTING)
async def test_a_resumed_migration_is_killed_again(starting: str) -> None:
    for first in range(1, 200, 9):
        for second in range(1, 60, 9):
            day = await Day.begin(starting)
            for moment in (first, second):
                day.world.kill_at = day.world.moments + moment
                try:
                    await day.migrate()
                except Killed:
                    continue
            day.world.kill_at = None
            verdict = await day.migrate()
            assert verdict.outcome is Outcome.VERIFIED, (first, second, verdict.because)
            assert day.cluster.rotations == 1
            day.check(verdict)


@pytest.mark.parametrize("pace", [SAMPLE, EVERY])
@pytest.mark.parametrize("group", TARGETS)
@pytest.mark.parametrize("start", STARTS)
async def test_a_rollback_is_killed_and_resumed(start: str, group: str, pace: int) -> None:
    moment = 0
    while True:
        moment += pace
        world = World()
        world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve", PROVER})
        cluster = world.add(**STARTS[start])
        done = await planned(world, WantedTarget(admin_groups=(TARGETS[group],)))
        await world.process().executor.migrate(job_of(done))
        back = await plan_way_back(world.process().ports, done, chosen(done, ()), ())
        if not back.stages:
            return
        job, door = job_of(back), Doorkeeper(world)
        before = len(world.writes)
        world.kill_at = world.moments + moment
        try:
            await world.process().executor.migrate(job)
        except Killed:
            verdict = await world.process().executor.migrate(job)
            assert is_restored(job.plan, verdict.evidence), (moment, verdict.because)
            assert len(world.writes) - before == len([one for one in job.plan.steps if one.kind in WRITES])
            assert cluster.rotations == 1
            assert door.shut == []
            continue
        assert moment > 10
        return


@pytest.mark.parametrize("doing", ["open", "close"])
async def test_break_glass_is_killed_and_swept(doing: str) -> None:
    """An opening never stands without its end, and whoever sweeps brings it to its end."""
    moment = 1
    while await killed_and_swept(doing, moment):
        moment += 1
    assert moment > 8


async def killed_and_swept(doing: str, moment: int) -> bool:
    """Whether the process lived to be killed at this moment."""
    world = World()
    cluster = world.add(**STARTS["closed, never rotated"], tags=(("env", "prod"),))
    door = Doorkeeper(world)
    wanted = Opening(
        until=(world.now() + timedelta(minutes=45)).isoformat(), since=world.now().isoformat(), reason="INC-77"
    )
    if doing == "close":
        await glass(world).open(cluster.id, wanted)
    world.observers.append(lambda: _says_until_when(world))
    world.kill_at = world.moments + moment
    try:
        if doing == "open":
            await glass(world).open(cluster.id, wanted)
        else:
            await glass(world).close(cluster.id, WHO)
    except Killed:
        found = [one async for one in glass(world).openings(cluster.id.subscription_id)]
        assert bool(found) is cluster.local_accounts
        for one, _ in found:
            await glass(world).close(one, WHO)
        assert not cluster.local_accounts
        assert cluster.tags == (("env", "prod"),)
        assert door.shut == []
        return True
    return False


def glass(world: World) -> BreakGlass:
    """Break-glass in a new process."""
    process = world.process()
    return BreakGlass(process.ports, process.watch, process.executor, process.limits)


def _says_until_when(world: World) -> None:
    for cluster in world.clusters.values():
        assert not cluster.local_accounts or opening_on(cluster.tags) is not None, "open, and nobody knows until when"


def test_the_target_of_the_matrix_is_a_group_of_the_world() -> None:
    assert TARGETS["existing group"] == WantedGroup(id=ADMINS)
    assert ADMINS in World().groups
