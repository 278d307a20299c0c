"""A look at the doors of a cluster: a read that fails leaves its own door unlooked at, and hides no other."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.doors.facts import JwtAuthenticator, Unread
from aks_entra.core.doors.model import Door, DoorState
from aks_entra.core.evidence.observations import DoorsSeen
from aks_entra.core.planning.fleet import WantedGroup, WantedTarget
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.planning.planner import plan_again
from aks_entra.probes import checks, doors
from aks_entra.probes.unread import read
from aks_entra.verification.verifier import verify
from tests.support.executor_jobs import job_for
from tests.support.memory_doors import WorldDoors
from tests.support.memory_fleets import GROUPED, fleet_world, planned
from tests.support.memory_model import ADMINS
from tests.support.memory_ports import World

GITHUB = JwtAuthenticator(name="github", issuer="https://token.actions.githubusercontent.com")
READ = "grant Microsoft.ContainerService/managedClusters/jwtAuthenticators/read"


async def looked(port: WorldDoors | None) -> dict[str, Door]:
    world = World()
    cluster = world.add()
    world.doors = port
    ports = world.process().ports
    seen = await doors.look(ports, await checks.read(ports, cluster.id))
    return {door.kind: door for one in seen for door in one.doors}


@pytest.mark.parametrize(
    ("answer", "why", "remedy"),
    [
        (Refused("you lack a right", status=403), "you lack a right", READ),
        (Rejected("not whole", remedy="look again"), "not whole", "look again"),
        (TryLater("throttled", after=30), "throttled", "look again later: `aks-entra doors`"),
        (ValueError("17"), "unexpected error: ValueError: 17", "report it as a bug in aks-entra"),
    ],
)
async def test_a_read_that_fails_leaves_only_its_own_door_unlooked_at(answer: Exception, why: str, remedy: str) -> None:
    seen = await looked(WorldDoors(authenticators=answer))
    door = seen["jwt-authenticators"]
    assert (door.state, door.because, door.remedy) == (DoorState.NOT_LOOKED_AT, (why,), remedy)
    assert seen["managed-namespaces"].state is DoorState.CLOSED


async def test_a_read_that_never_answers_is_given_up() -> None:
    found = await read(World().clock, "a right", asyncio.Event().wait, longest=0)
    assert isinstance(found, Unread)
    assert (found.why, bool(found.remedy)) == ("no answer came within 0 s", True)


async def test_without_a_port_nobody_looks() -> None:
    assert await looked(None) == {}


async def test_a_migration_and_a_look_afterwards_both_say_which_doors_are_open() -> None:
    world = World()
    world.add(identity=Identity.MANAGED)
    world.doors = WorldDoors(authenticators=(GITHUB,))
    job = await job_for(world)
    assert world.doors.asked == 0
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    said = "other ways in: open: jwt-authenticators; not looked at: node-ssh"
    assert any(one.startswith(said) for one in verdict.because)
    process = world.process()
    again = await verify(process.ports, process.timeouts, job)
    for evidence in (verdict.evidence, again):
        (seen,) = [one for one in evidence if isinstance(one, DoorsSeen)]
        assert {door.kind: door.state for door in seen.doors}["jwt-authenticators"] is DoorState.OPEN


async def test_reads_of_doors_that_fail_do_not_fail_a_migration() -> None:
    world = World()
    world.add()
    world.doors = WorldDoors(authenticators=ValueError("17"), namespaces=TryLater("throttled", after=600))
    verdict = await world.process().executor.migrate(await job_for(world))
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    said = "other ways in: not looked at: jwt-authenticators, managed-namespaces, node-ssh"
    assert any(one.startswith(said) for one in verdict.because)


@pytest.mark.parametrize(
    ("port", "rule", "outcome"),
    [
        (WorldDoors(), "", Outcome.VERIFIED),
        (WorldDoors(authenticators=(GITHUB,)), "W170", Outcome.FAILED),
        (WorldDoors(authenticators=Rejected("half")), "U170", Outcome.NOT_VERIFIED),
    ],
)
async def test_a_door_that_must_be_closed_is_named_before_the_first_write_and_in_the_verdict(
    port: WorldDoors, rule: str, outcome: Outcome
) -> None:
    world = World()
    world.add()
    world.doors = port
    wanted = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), doors=("jwt-authenticators",))
    job = await job_for(world, wanted)
    assert world.writes == []
    assert [one.rule for one in job.plan.findings if one.evidence == "target.doors.jwt-authenticators"] == (
        [rule] if rule else []
    )
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is outcome, verdict.because


async def test_a_cluster_without_steps_is_looked_at_if_a_door_must_be_closed() -> None:
    world = World()
    world.add()
    world.doors = WorldDoors(authenticators=(GITHUB,))
    verdict = await world.process().executor.migrate(await job_for(world))
    world.records = ()
    assert verdict.outcome is Outcome.VERIFIED
    wanted = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), doors=("jwt-authenticators",))
    plan = (await job_for(world, wanted)).plan
    assert "W170" in {one.rule for one in plan.findings}


@pytest.mark.parametrize("wanted", [(), ("node-ssh",)])
async def test_a_plan_asks_about_doors_only_if_the_fleet_file_does(wanted: tuple[str, ...]) -> None:
    world = fleet_world(2)
    world.doors = WorldDoors(authenticators=(GITHUB,))
    plan = await planned(world, replace(GROUPED, doors=wanted))
    assert world.doors.asked == (2 if wanted else 0)
    found = {finding.rule: finding for finding in plan.clusters[0].findings}
    assert ("I170" in found) == bool(wanted)
    if not wanted:
        looks = "look at them: `aks-entra doors shop-weu/shop-01`"
        assert found["I171"].remedy == f"{looks}; look with `az aks nodepool show`"


async def test_a_plan_that_is_made_again_asks_about_doors_as_the_first_one_did() -> None:
    world = fleet_world(1)
    world.doors = WorldDoors(authenticators=(GITHUB,))
    for wanted, asked in ((), 0), (("jwt-authenticators",), 2):
        plan = await planned(world, replace(GROUPED, doors=wanted))
        await plan_again(world.process().ports, plan, {plan.clusters[0].cluster: ("it changed",)}, ())
        assert world.doors.asked == asked
