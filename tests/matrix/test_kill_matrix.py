"""Kill the process before and after the effect of every port call, in every start state, and resume."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aks_entra.core.evidence.break_glass import Opening, opening_on
from aks_entra.core.planning.fleet import WantedGroup, WantedTarget
from aks_entra.core.planning.prover import Prover
from aks_entra.core.verdict.rollback import is_restored
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.planning.rollback import chosen, plan_way_back
from tests.matrix.access_observer import AccessObserver
from tests.matrix.migration import STARTING, TARGETS, Migration
from tests.support.executor_jobs import STARTS, job_of, planned
from tests.support.memory_model import ADMINS, OTHERS, PROVER, Group, Killed
from tests.support.memory_ports import World

EVERY = pytest.param(1, marks=pytest.mark.long, id="every moment")
WRITES = {"enable-local-accounts", "update-entra"}
WHO = Prover(object_id=PROVER)
SAMPLE = pytest.param(7, id="a sample of the moments")


async def kill_and_resume(starting: str, moment: int) -> bool:
    """Kill at one moment and continue. Returns False if the process ended before that moment."""
    migration = await Migration.begin(starting)
    migration.world.kill_at = migration.world.moments + moment
    try:
        await migration.migrate()
    except Killed:
        verdict = await migration.migrate()
        assert verdict.outcome is Outcome.VERIFIED, (moment, verdict.because)
        assert migration.cluster.rotations == 1, moment
        assert len(migration.world.writes) <= 4, (moment, migration.world.writes)
        migration.check(verdict)
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
            migration = await Migration.begin(starting)
            for moment in (first, second):
                migration.world.kill_at = migration.world.moments + moment
                try:
                    await migration.migrate()
                except Killed:
                    continue
            migration.world.kill_at = None
            verdict = await migration.migrate()
            assert verdict.outcome is Outcome.VERIFIED, (first, second, verdict.because)
            assert migration.cluster.rotations == 1
            migration.check(verdict)


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
        job, observer = job_of(back), AccessObserver(world)
        before = len(world.writes)
        world.kill_at = world.moments + moment
        try:
            await world.process().executor.migrate(job)
        except Killed:
            verdict = await world.process().executor.migrate(job)
            assert is_restored(job.plan, verdict.evidence), (moment, verdict.because)
            assert len(world.writes) - before == len([one for one in job.plan.steps if one.kind in WRITES])
            assert cluster.rotations == 1
            assert observer.lockouts == []
            continue
        assert moment > 10
        return


@pytest.mark.parametrize("doing", ["open", "close"])
async def test_break_glass_is_killed_and_swept(doing: str) -> None:
    """An opening always has an end, and the sweep closes it."""
    moment = 1
    while await killed_and_swept(doing, moment):
        moment += 1
    assert moment > 8


async def killed_and_swept(doing: str, moment: int) -> bool:
    """Kill at one moment and continue. Returns False if the process ended before that moment."""
    world = World()
    cluster = world.add(**STARTS["closed, never rotated"], tags=(("env", "prod"),))
    observer = AccessObserver(world)
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
        assert observer.lockouts == []
        return True
    return False


def glass(world: World) -> BreakGlass:
    """Return break-glass in a new process."""
    process = world.process()
    return BreakGlass(process.ports, process.watch, process.executor, process.timeouts)


def _says_until_when(world: World) -> None:
    for cluster in world.clusters.values():
        assert not cluster.local_accounts or opening_on(cluster.tags) is not None, "open, and nobody knows until when"


def test_the_target_of_the_matrix_is_a_group_of_the_world() -> None:
    assert TARGETS["existing group"] == WantedGroup(id=ADMINS)
    assert ADMINS in World().groups
